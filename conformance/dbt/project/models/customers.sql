{{ config(materialized='table') }}
with totals as (
    select customer_id, sum(amount) as total, count(*) as orders, max(ordered_at) as last_order
    from {{ ref('orders_view') }} group by customer_id
)
select c.id as customer_id, c.name, c.country, coalesce(t.total, 0) as total, t.orders, t.last_order
from {{ ref('raw_customers') }} c left join totals t on t.customer_id = c.id
