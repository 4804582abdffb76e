{# One-second bars from trades that are there once: one row per venue, symbol and second. #}
{% macro second_bars(trades) -%}
    {%- set id_bits = 43 %}
    select
        venue,
        symbol,
        date_trunc('second', ts) as bucket,
        arg_min(price, place) as open,
        max(price) as high,
        min(price) as low,
        arg_max(price, place) as close,
        {{ exact_sum('quantity') }} as volume,
        {{ exact_sum('price * quantity') }} as quote_volume,
        {{ exact_sum('quantity', 'not is_buyer_maker') }} as buy_volume,
        count(*) as trade_count,
        min(place) & {{ 2 ** id_bits - 1 }} as first_trade_id,
        max(place) & {{ 2 ** id_bits - 1 }} as last_trade_id,
        max(landed_snapshot) as src_snapshot
    from (
        select
            *,
            -- Place within the second: by trade time, then by trade id, in one number. Arrival
            -- never tells the order.
            case
                when trade_id >> {{ id_bits }} = 0
                    then ((epoch_us(ts) % 1000000) << {{ id_bits }}) | trade_id
                else error('trade id ' || trade_id || ' is not below 2^{{ id_bits }}')
            end as place
        from {{ trades }}
    ) as placed
    group by venue, symbol, bucket
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
