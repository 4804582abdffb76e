{{ config(materialized='view') }}
with bars as (
    select
        *,
        time_bucket(interval '1 day', bucket) as midnight
    from {{ ref('ohlc_5m') }}
),

totals as (
    select
        venue,
        symbol,
        count(distinct midnight) as days_traded,
        -- The slots at which history begins and ends.
        min(bucket) - min(midnight) as first_slot,
        max(bucket) - max(midnight) as last_slot,
        {{ exact_sum('volume') }} as volume
    from bars
    group by venue, symbol
),

slots as (
    select
        venue,
        symbol,
        bucket - midnight as since_midnight,
        strftime(bucket, '%H:%M') as slot,
        {{ exact_sum('volume') }} as volume,
        cast(sum(trade_count) as bigint) as trade_count,
        max(src_snapshot) as src_snapshot
    from bars
    group by venue, symbol, since_midnight, slot
),

counted as (
    select
        slots.*,
        totals.volume as total_volume,
        -- Before the first trade and after the last there is no history, which is not no volume.
        totals.days_traded
        - cast(slots.since_midnight < totals.first_slot as bigint)
        - cast(slots.since_midnight > totals.last_slot as bigint) as day_count
    from slots
    inner join totals
        on slots.venue = totals.venue and slots.symbol = totals.symbol
)

select
    venue,
    symbol,
    slot,
    day_count,
    volume / day_count as mean_volume,
    trade_count / day_count as mean_trade_count,
    volume / nullif(total_volume, 0) as volume_share,
    src_snapshot
from counted
