{{ config(materialized='view') }}
{%- for timeframe in ['1s', '1m', '5m', '1h'] %}
select
    venue,
    symbol,
    '{{ timeframe }}' as timeframe,
    bucket,
    buy_volume,
    volume - buy_volume as sell_volume,
    2 * buy_volume - volume as signed_volume,
    (2 * buy_volume - volume) / nullif(volume, 0) as order_flow_imbalance,
    src_snapshot
from {{ ref('ohlc_' ~ timeframe) }}
{{ "union all" if not loop.last }}
{%- endfor %}
