{{ config(materialized='incremental', incremental_strategy='microbatch', unique_key='id', event_time='ordered_at', batch_size='month', begin='2024-01-01', lookback=40) }}
select id, customer_id, amount, ordered_at, status from {{ ref('orders_view') }}
