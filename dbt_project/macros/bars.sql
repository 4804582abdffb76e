{#
  One-second bars from ticks: one row per venue, symbol and second, each trade counted once.

  All ticks are grouped in one pass, as if no trade were there twice and every number small, and each
  second says whether that was so. A bit per trade id, taken modulo 64: as many bits as rows tell that
  all ids differ. Seconds in doubt (copies, more than 64 trades, numbers too large for 64 bits) are
  made again from their distinct trades, in 128 bits. So a rebuild does not group every trade by its
  id, which costs several times the rest.
#}
{% macro second_bars(ticks) -%}
    with seconds as materialized (
        {{ _grouped_seconds(ticks, 'bigint', 43) }}
    ),

    doubtful as materialized (
        select
            venue,
            symbol,
            bucket
        from seconds
        where not is_certain
    ),

    doubtful_ticks as materialized (
        select ticks.*
        from {{ ticks }} as ticks
        semi join doubtful
            on
                ticks.venue = doubtful.venue
                and ticks.symbol = doubtful.symbol
                and date_trunc('second', ticks.ts) = doubtful.bucket
    ),

    doubtful_trades as not materialized (
        {{ distinct_trades('doubtful_ticks') }}
    ),

    made_again as (
        {{ _grouped_seconds('doubtful_trades', 'hugeint', 63) }}
    ),

    made as (
        select *
        from seconds
        where is_certain
        union all
        select *
        from made_again
    )

    select
        * exclude (is_certain, volume, quote_volume, buy_volume),
        cast(volume as double) / 1e8 as volume,
        cast(quote_volume as double) / 1e8 as quote_volume,
        cast(buy_volume as double) / 1e8 as buy_volume
    from made
{%- endmacro %}


{#
  `trades` by second, volumes in whole units of 1e-8 (the cast rounds, halves to the even one): sums of
  whole numbers do not depend on their order. is_certain: each trade is there once, each amount fits an
  `integer`, and each id is below 2 to the power of `id_bits`, so that a place within the second fits
  one too. A trade that does not fit has no bit, so one test tells all.
#}
{% macro _grouped_seconds(trades, integer, id_bits) -%}
    select
        venue,
        symbol,
        make_timestamp(second * 1000000) as bucket,
        arg_min(price, place) as open,
        max(price) as high,
        min(price) as low,
        arg_max(price, place) as close,
        sum(units) as volume,
        sum(quote_units) as quote_volume,
        sum(case when is_buyer_maker then 0 else units end) as buy_volume,
        count(*) as trade_count,
        cast(min(place) & {{ 2 ** id_bits - 1 }} as bigint) as first_trade_id,
        cast(max(place) & {{ 2 ** id_bits - 1 }} as bigint) as last_trade_id,
        max(landed_snapshot) as src_snapshot,
        coalesce(
            bit_count(
                bit_or(
                    case
                        when
                            units is not null
                            and quote_units is not null
                            and trade_id >> {{ id_bits }} = 0
                            then cast(1 as ubigint) << cast(trade_id & 63 as ubigint)
                    end
                )
            ), 0
        ) = count(*) as is_certain
    from (
        select
            *,
            epoch_us(ts) // 1000000 as second,
            try_cast(quantity * 1e8 as {{ integer }}) as units,
            try_cast(price * quantity * 1e8 as {{ integer }}) as quote_units,
            -- Place within the second: by trade time, then by trade id, in one number. Arrival
            -- never tells the order.
            (cast(epoch_us(ts) % 1000000 as {{ integer }}) << {{ id_bits }}) | trade_id as place
        from {{ trades }}
    ) as placed
    group by venue, symbol, second
{%- endmacro %}


{# Bars of one timeframe from bars of a finer one: one row per venue, symbol and `length`. #}
{% macro roll_up(bars, length) -%}
    select
        venue,
        symbol,
        time_bucket(interval '{{ length }}', {{ bars }}.bucket) as bucket,
        arg_min(open, {{ bars }}.bucket) as open,
        max(high) as high,
        min(low) as low,
        arg_max(close, {{ bars }}.bucket) as close,
        {{ exact_sum('volume') }} as volume,
        {{ exact_sum('quote_volume') }} as quote_volume,
        {{ exact_sum('buy_volume') }} as buy_volume,
        cast(sum(trade_count) as bigint) as trade_count,
        arg_min(first_trade_id, {{ bars }}.bucket) as first_trade_id,
        arg_max(last_trade_id, {{ bars }}.bucket) as last_trade_id,
        max(src_snapshot) as src_snapshot
    from {{ bars }}
    group by venue, symbol, time_bucket(interval '{{ length }}', {{ bars }}.bucket)
{%- endmacro %}


{#
  The columns of every bar table, in order, from bars that lack vwap. It is the quote volume per unit
  of base volume, NULL if nothing was traded. It lies between low and high; rounding may put the
  quotient a last digit outside, so it is held there.
#}
{% macro bar_columns() -%}
    venue,
    symbol,
    bucket,
    open,
    high,
    low,
    close,
    volume,
    quote_volume,
    buy_volume,
    trade_count,
    case
        when volume > 0 then greatest(low, least(high, quote_volume / volume))
    end as vwap,
    first_trade_id,
    last_trade_id,
    src_snapshot
{%- endmacro %}


{#
  The columns of a live bar: those of a bar, then until when it may change in the ordinary course of
  things, and whether that has passed. A bar is final once its venue's trades are `final_after_s` past
  its end, the same rule by which a change counts as a revision.
#}
{% macro live_bars(bars, live_seconds, length) -%}
select
    {{ bars }}.*,
    {{ bars }}.bucket
    + interval '{{ length }}'
    + to_milliseconds({{ (setting('final_after_s') * 1000) | int }}) as final_after,
    clocks.venue_time >= final_after as is_final
from {{ bars }}
inner join (
    select
        venue,
        max(bucket) + interval '1 second' as venue_time
    from {{ live_seconds }}
    group by venue
) as clocks
    on {{ bars }}.venue = clocks.venue
{%- endmacro %}


{# The whole of a table that rolls up a finer one. #}
{% macro rolled_up_model(finer, length) -%}
{{ with_touched_rows(finer, 'src_snapshot', 'bucket', length) }},

bars as (
    {{ roll_up('touched_rows', length) }}
)

select
    {{ bar_columns() }}
from bars
{%- endmacro %}


{# The whole of a live view: `stored`, with what it has not consumed rolled up from `finer`, itself live. #}
{% macro rolled_up_live_model(stored, finer, live_seconds, length) -%}
with stored as (
    select *
    from {{ stored }}
),

touched as (
    select distinct
        venue,
        symbol,
        time_bucket(interval '{{ length }}', bucket) as bucket
    from {{ finer }}
    where src_snapshot > (select coalesce(max(src_snapshot), -1) from stored)
),

finer as (
    select live.* exclude (final_after, is_final)
    from {{ finer }} as live
    semi join touched
        on
            live.venue = touched.venue
            and live.symbol = touched.symbol
            and time_bucket(interval '{{ length }}', live.bucket) = touched.bucket
),

rolled_up as (
    {{ roll_up('finer', length) }}
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
    from rolled_up
)

{{ live_bars('bars', live_seconds, length) }}
{%- endmacro %}
