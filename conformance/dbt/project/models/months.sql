{{ config(materialized='table') }} select date_trunc('month', ordered_at)::date as month, sum(amount) as paid from {{ ref('paid') }} group by 1
