{{ config(materialized='view') }}
with stored as (
    select *
    from {{ ref('ohlc_1s') }}
),

touched as (
    select distinct
        venue,
        symbol,
        time_bucket(interval '1 second', ts) as bucket
    from {{ ref('stg_ticks') }}
    where landed_snapshot > (select coalesce(max(stored.src_snapshot), -1) from stored)
),

ticks as (
    select landed.*
    from {{ ref('stg_ticks') }} as landed
    semi join touched
        on
            landed.venue = touched.venue
            and landed.symbol = touched.symbol
            and time_bucket(interval '1 second', landed.ts) = touched.bucket
    where
        landed.ts >= (select min(earliest.bucket) from touched as earliest)
        and landed.ts < (select max(latest.bucket) + interval '1 second' from touched as latest)
),

fresh as (
    {{ second_bars('ticks') }}
),

bars as (
    select stored.*
    from stored
    anti join touched
        on
            stored.venue = touched.venue
            and stored.symbol = touched.symbol
            and stored.bucket = touched.bucket
    union all
    select
        {{ bar_columns() }}
    from fresh
)

{{ live_bars('bars', 'bars', '1 second') }}
