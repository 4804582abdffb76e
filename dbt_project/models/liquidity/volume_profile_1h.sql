{{ config(
    materialized='incremental',
    incremental_strategy='exact',
    unique_key=['venue', 'symbol', 'bucket', 'bin_index'],
    partitioned_by=['year(bucket)', 'month(bucket)'],
    sorted_by=['symbol', 'bucket', 'bin_index'],
    on_schema_change='fail',
) }}
{{ with_touched_rows(ref('stg_ticks'), 'landed_snapshot', 'ts', '1 hour') }},

trades as not materialized (
    {{ distinct_trades('touched_rows') }}
),

placed as (
    select
        *,
        {{ price_bin_width() }} as bin_width
    from trades
),

bins as (
    select
        venue,
        symbol,
        time_bucket(interval '1 hour', ts) as bucket,
        -- The quotient is rounded first: 0.3 / 0.1 is 2.9999999999999996.
        cast(floor(round(price / bin_width, 6)) as bigint) as bin_index,
        any_value(bin_width) as bin_width,
        {{ exact_sum('quantity') }} as volume,
        {{ exact_sum('quantity', 'not is_buyer_maker') }} as buy_volume,
        count(*) as trade_count,
        max(landed_snapshot) as src_snapshot
    from placed
    group by venue, symbol, time_bucket(interval '1 hour', ts), bin_index
),

{{ profile_from_bins('bins') }}

select
    {{ profile_columns() }}
from taken
