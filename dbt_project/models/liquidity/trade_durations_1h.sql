{{ config(
    materialized='incremental',
    incremental_strategy='exact',
    unique_key=['venue', 'symbol', 'bucket'],
    partitioned_by=['year(bucket)', 'month(bucket)'],
    sorted_by=['symbol', 'bucket'],
    on_schema_change='fail',
) }}
{{ with_touched_rows(ref('stg_ticks'), 'landed_snapshot', 'ts', '1 hour', in_slices=true) }},

trades as not materialized (
    {{ distinct_trades('touched_rows', in_slices=true) }}
),

durations as (
    select
        venue,
        symbol,
        landed_snapshot,
        time_bucket(interval '1 hour', ts) as bucket,
        epoch_us(ts) - lag(epoch_us(ts)) over (
            partition by venue, symbol, time_bucket(interval '1 hour', ts)
            order by ts, trade_id
        ) as duration_us
    from trades
)

select
    venue,
    symbol,
    bucket,
    count(duration_us) as duration_count,
    cast(sum(duration_us) as double) / nullif(count(duration_us), 0) / 1e6 as mean_s,
    quantile_cont(cast(duration_us as double), 0.5) / 1e6 as median_s,
    quantile_cont(cast(duration_us as double), 0.9) / 1e6 as p90_s,
    quantile_cont(cast(duration_us as double), 0.99) / 1e6 as p99_s,
    max(duration_us) / 1e6 as max_s,
    cast(count(*) filter (duration_us = 0) as double)
    / nullif(count(duration_us), 0) as simultaneous_share,
    max(landed_snapshot) as src_snapshot
from durations
group by venue, symbol, bucket
