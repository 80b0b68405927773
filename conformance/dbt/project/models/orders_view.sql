select id, customer_id, amount, ordered_at, status from {{ source('raw', 'raw_orders') }}
