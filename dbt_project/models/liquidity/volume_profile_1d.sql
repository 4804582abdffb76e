{{ config(
    materialized='incremental',
    incremental_strategy='exact',
    unique_key=['venue', 'symbol', 'bucket', 'bin_index'],
    partitioned_by=['year(bucket)', 'month(bucket)'],
    sorted_by=['symbol', 'bucket', 'bin_index'],
    on_schema_change='fail',
) }}
{{ with_touched_rows(ref('volume_profile_1h'), 'src_snapshot', 'bucket', '1 day') }},

hourly as (
    select
        *,
        time_bucket(interval '1 day', bucket) as day_start
    from touched_rows
),

bins as (
    select
        venue,
        symbol,
        day_start as bucket,
        bin_index,
        {{ exact_sum('volume') }} as volume,
        {{ exact_sum('buy_volume') }} as buy_volume,
        cast(sum(trade_count) as bigint) as trade_count,
        max(src_snapshot) as src_snapshot
    from hourly
    group by venue, symbol, day_start, bin_index
),

{{ profile_from_bins('bins') }}

select
    {{ profile_columns() }}
from taken
