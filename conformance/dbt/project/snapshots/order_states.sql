{% snapshot order_states %}
{{ config(target_schema='shop', unique_key='id', strategy='check', check_cols=['status', 'amount']) }}
select * from {{ ref('raw_orders') }}
{% endsnapshot %}
