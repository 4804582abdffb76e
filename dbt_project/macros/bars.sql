{#
  One-second bars from ticks: one row per venue, symbol and second, each trade counted once.

  Ticks are grouped as if no trade were there twice and every number small. The seconds of which that
  may not be so are found first, in a cheap pass, and made of their distinct trades, in 128 bits. So a
  rebuild does not group every trade by its id, which costs several times the rest.

  in_slices: as for distinct_trades.
#}
{% macro second_bars(ticks, in_slices=false) -%}
    with copied as materialized (
        {{ copied_blocks(ticks, in_slices) }}
    ),

    doubtful as materialized (
        select
            ticks.venue,
            ticks.symbol,
            date_trunc('second', ticks.ts) as bucket
        from {{ ticks }} as ticks
        semi join copied on {{ block_of('ticks') }} = copied.block
        {#- A scan each, which reads nothing of files whose largest number is below. #}
        {%- for is_unusual in ['quantity > 3e5', 'price > 3e5', 'trade_id >= ' ~ 2 ** 43] %}
        union
        select
            venue,
            symbol,
            date_trunc('second', ts) as bucket
        from {{ ticks }}
        where
            {{ is_unusual }}
            and (quantity >= 9e10 or price * quantity >= 9e10 or trade_id >= {{ 2 ** 43 }})
        {%- endfor %}
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

    sure_trades as not materialized (
        select ticks.*
        from {{ ticks }} as ticks
        anti join doubtful
            on
                ticks.venue = doubtful.venue
                and ticks.symbol = doubtful.symbol
                and date_trunc('second', ticks.ts) = doubtful.bucket
    ),

    seconds as not materialized (
        {{ _grouped_seconds('sure_trades', 'bigint', 43) }}
        union all
        {{ _grouped_seconds('doubtful_trades', 'hugeint', 63) }}
    )

    select
        * exclude (volume, quote_volume, buy_volume),
        cast(volume as double) / 1e8 as volume,
        cast(quote_volume as double) / 1e8 as quote_volume,
        cast(buy_volume as double) / 1e8 as buy_volume
    from seconds
{%- endmacro %}


{#
  `trades` by second, volumes in whole units of 1e-8 (the cast rounds, halves to the even one): sums of
  whole numbers do not depend on their order. Each amount must fit an `integer`, and each id must be
  below 2 to the power of `id_bits`, so that a place within the second fits one too.
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
        max(landed_snapshot) as src_snapshot
    from (
        select
            *,
            epoch_us(ts) // 1000000 as second,
            -- Not `cast`: doubtful trades may be left out only after it is tried on them.
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
        make_timestamp(period * epoch_us(interval '{{ length }}')) as bucket,
        arg_min(open, placed.bucket) as open,
        max(high) as high,
        min(low) as low,
        arg_max(close, placed.bucket) as close,
        {{ exact_sum('volume') }} as volume,
        {{ exact_sum('quote_volume') }} as quote_volume,
        {{ exact_sum('buy_volume') }} as buy_volume,
        cast(sum(trade_count) as bigint) as trade_count,
        arg_min(first_trade_id, placed.bucket) as first_trade_id,
        arg_max(last_trade_id, placed.bucket) as last_trade_id,
        max(src_snapshot) as src_snapshot
    from (
        -- A division groups faster than time_bucket.
        select
            *,
            epoch_us(bucket) // epoch_us(interval '{{ length }}') as period
        from {{ bars }}
    ) as placed
    group by venue, symbol, period
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
