{#
  From bins of volume, one row per venue, symbol, bucket and bin_index, to a profile: which bin is the
  point of control, and which make up the value area.

  The value area grows from the point of control, one bin at a time, to whichever neighbour, above or
  below, has traded more (above on a tie), until it holds the share asked for. A bin without trades
  is a neighbour with volume 0. That greedy walk takes bins in the order of the least volume met on
  the way to them, so a sort finds it. Of equal largest volumes the lowest price is the point of
  control.
#}
{% macro profile_from_bins(bins) -%}
    controls as (
        select
            venue,
            symbol,
            bucket,
            sum(cast(volume * 1e8 as hugeint)) as total_units,
            arg_max(bin_index, (volume, -bin_index)) as control_index
        from {{ bins }}
        group by venue, symbol, bucket
    ),

    sided as (
        select
            bins.*,
            controls.total_units,
            controls.control_index,
            abs(bins.bin_index - controls.control_index) as distance,
            sign(bins.bin_index - controls.control_index) as side
        from {{ bins }} as bins
        inner join controls using (venue, symbol, bucket)
    ),

    walked as (
        select
            *,
            case
                when row_number() over walk < distance + cast(distance = 0 as integer) then 0.0
                else min(volume) over walk
            end as least_volume_met
        from sided
        window walk as (partition by venue, symbol, bucket, side order by distance)
    ),

    taken as (
        select
            *,
            sum(cast(volume * 1e8 as hugeint)) over (
                partition by venue, symbol, bucket
                order by distance > 0, least_volume_met desc, side desc, distance
                rows between unbounded preceding and 1 preceding
            ) as units_before
        from walked
    )
{%- endmacro %}


{# The columns of a profile, from `taken`. #}
{% macro profile_columns() -%}
    venue,
    symbol,
    bucket,
    bin_index,
    {{ price_bin_width('bin_index') }} as bin_width,
    {{ price_bin_low('bin_index') }} as bin_low,
    {{ price_bin_low('(bin_index + 1)') }} as bin_high,
    volume,
    buy_volume,
    volume - buy_volume as sell_volume,
    trade_count,
    bin_index = control_index as is_point_of_control,
    coalesce(units_before < {{ var('value_area_share') }} * total_units, true) as in_value_area,
    src_snapshot
{%- endmacro %}


{#
  The number of the bin that `price` is in. Numbers grow with the price, and bins side by side have
  numbers side by side.

  A symbol in `price_bins` has bins of one width: ticks per bin times the tick size. Any other has
  bins as wide as a thousandth of its price's power of ten, 10 from 10,000 and 0.0001 from 0.1 on, so
  9,000 for each power. A price decides alone which is its bin, whatever came before or arrives later.
#}
{% macro price_bin(price) -%}
    coalesce(
        -- The quotient is rounded first: 0.3 / 0.1 is 2.9999999999999996.
        floor(round({{ price }} / {{ _ticks_wide() }}, 6)),
        floor(round({{ price }} / pow(10, floor(log10({{ price }})) - 3), 6))
        + 9000 * floor(log10({{ price }}))
    )
{%- endmacro %}


{# The lower end of a bin, which belongs to it. #}
{% macro price_bin_low(bin) -%}
    {%- set magnitude = _magnitude(bin) -%}
    {%- set step = "(" ~ bin ~ " - 9000 * " ~ magnitude ~ ")" -%}
    coalesce(
        {{ bin }} * {{ _ticks_wide() }},
        case
            -- Divided where it can be: 1234 / 1e5 is 0.01234, 1234 * 1e-5 is not.
            when {{ magnitude }} < 3 then {{ step }} / pow(10, 3 - {{ magnitude }})
            else {{ step }} * pow(10, {{ magnitude }} - 3)
        end
    )
{%- endmacro %}


{% macro price_bin_width(bin) -%}
    coalesce({{ _ticks_wide() }}, pow(10, {{ _magnitude(bin) }} - 3))
{%- endmacro %}


{# The power of ten that the prices of a bin start from, of a symbol without bins of its own. #}
{% macro _magnitude(bin) -%}
    floor(({{ bin }} - 1000) / 9000)
{%- endmacro %}


{# The width that `price_bins` sets for a symbol, else NULL: of a branch of its own, for it may set none. #}
{% macro _ticks_wide() -%}
    case
        {%- for symbol, rule in (var('price_bins') or {}).items() %}
        when symbol = '{{ symbol }}' then cast({{ rule.ticks_per_bin }} * {{ rule.tick_size }} as double)
        {%- endfor %}
        when false then cast(null as double)
    end
{%- endmacro %}
