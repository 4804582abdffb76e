{{ config(materialized='view') }}
with bars as (
    select *
    from {{ ref('ohlc_5m') }}
),

totals as (
    select
        venue,
        symbol,
        count(distinct time_bucket(interval '1 day', bucket)) as day_count,
        {{ exact_sum('volume') }} as volume
    from bars
    group by venue, symbol
),

slots as (
    select
        venue,
        symbol,
        strftime(bucket, '%H:%M') as slot,
        {{ exact_sum('volume') }} as volume,
        cast(sum(trade_count) as bigint) as trade_count,
        max(src_snapshot) as src_snapshot
    from bars
    group by venue, symbol, slot
)

select
    slots.venue,
    slots.symbol,
    slots.slot,
    totals.day_count,
    slots.volume / totals.day_count as mean_volume,
    slots.trade_count / totals.day_count as mean_trade_count,
    slots.volume / nullif(totals.volume, 0) as volume_share,
    slots.src_snapshot
from slots
inner join totals
    on slots.venue = totals.venue and slots.symbol = totals.symbol
