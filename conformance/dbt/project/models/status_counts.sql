{{ config(materialized='materialized_view') }} select status, count(*) as n from {{ ref('orders_view') }} group by status
