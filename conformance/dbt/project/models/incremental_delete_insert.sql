{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='id') }}
select id, customer_id, amount, ordered_at, status from {{ ref('orders_view') }}
{% if is_incremental() %} where ordered_at >= (select max(ordered_at) from {{ this }}) {% endif %}
