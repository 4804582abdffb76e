{{ config(
    materialized='incremental',
    incremental_strategy='exact',
    unique_key=['venue', 'symbol', 'bucket'],
    partitioned_by=['year(bucket)', 'month(bucket)'],
    sorted_by=['symbol', 'bucket'],
    on_schema_change='fail',
) }}
{%- set large = "price * quantity >= " ~ var('large_trade_quote') %}
{{ with_touched_rows(ref('stg_ticks'), 'landed_snapshot', 'ts', '1 hour', in_slices=true) }},

trades as not materialized (
    {{ distinct_trades('touched_rows', in_slices=true) }}
)

select
    venue,
    symbol,
    time_bucket(interval '1 hour', ts) as bucket,
    count(*) as trade_count,
    {{ exact_sum('quantity') }} / count(*) as mean_quantity,
    quantile_cont(quantity, 0.1) as quantity_p10,
    quantile_cont(quantity, 0.25) as quantity_p25,
    quantile_cont(quantity, 0.5) as quantity_p50,
    quantile_cont(quantity, 0.75) as quantity_p75,
    quantile_cont(quantity, 0.9) as quantity_p90,
    quantile_cont(quantity, 0.99) as quantity_p99,
    max(quantity) as quantity_max,
    count(*) filter ({{ large }}) as large_trade_count,
    {{ exact_sum('price * quantity', large) }}
    / nullif({{ exact_sum('price * quantity') }}, 0) as large_trade_share,
    max(landed_snapshot) as src_snapshot
from trades
group by venue, symbol, time_bucket(interval '1 hour', ts)
