{{ config(
    materialized='incremental',
    incremental_strategy='exact',
    unique_key=['venue', 'symbol', 'bucket', 'bin_index'],
    partitioned_by=['year(bucket)', 'month(bucket)'],
    sorted_by=['symbol', 'bucket', 'bin_index'],
    on_schema_change='fail',
) }}
{{ with_touched_rows(ref('stg_ticks'), 'landed_snapshot', 'ts', '1 hour', in_slices=true) }},

trades as not materialized (
    {{ distinct_trades('touched_rows', in_slices=true) }}
),

bins as (
    select
        venue,
        symbol,
        time_bucket(interval '1 hour', ts) as bucket,
        cast({{ price_bin('price') }} as bigint) as bin_index,
        {{ exact_sum('quantity') }} as volume,
        {{ exact_sum('quantity', 'not is_buyer_maker') }} as buy_volume,
        count(*) as trade_count,
        max(landed_snapshot) as src_snapshot
    from trades
    group by venue, symbol, time_bucket(interval '1 hour', ts), bin_index
),

{{ profile_from_bins('bins') }}

select
    {{ profile_columns() }}
from taken
