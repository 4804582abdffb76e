{{ config(
    materialized='incremental',
    incremental_strategy='append',
    full_refresh=false,
    partitioned_by=['year(revised_at)', 'month(revised_at)'],
    on_schema_change='fail',
) }}
-- The bar models append to this table in the transaction that changes their bars
-- (macros/exact_bars.sql). What it records cannot be recomputed, so no full refresh drops it.
select
    cast(null as varchar) as venue,
    cast(null as varchar) as symbol,
    cast(null as varchar) as timeframe,
    cast(null as timestamp) as bucket,
    cast(null as timestamp) as revised_at,
    cast(null as bigint) as src_snapshot,
    cast(null as double) as old_open,
    cast(null as double) as new_open,
    cast(null as double) as old_high,
    cast(null as double) as new_high,
    cast(null as double) as old_low,
    cast(null as double) as new_low,
    cast(null as double) as old_close,
    cast(null as double) as new_close,
    cast(null as double) as old_volume,
    cast(null as double) as new_volume,
    cast(null as bigint) as old_trade_count,
    cast(null as bigint) as new_trade_count
where false
