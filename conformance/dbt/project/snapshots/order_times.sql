{% snapshot order_times %}
{{ config(target_schema='shop', unique_key='id', strategy='timestamp', updated_at='ordered_at') }}
select * from {{ ref('raw_orders') }}
{% endsnapshot %}
