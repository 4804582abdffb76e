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
            sum(cast(round(volume * 1e8) as hugeint)) as total_units,
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
            sum(cast(round(volume * 1e8) as hugeint)) over (
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
    bin_width,
    bin_index * bin_width as bin_low,
    (bin_index + 1) * bin_width as bin_high,
    volume,
    buy_volume,
    volume - buy_volume as sell_volume,
    trade_count,
    bin_index = control_index as is_point_of_control,
    coalesce(units_before < {{ var('value_area_share') }} * total_units, true) as in_value_area,
    src_snapshot
{%- endmacro %}


{# The width of a symbol's price bins, in quote currency: ticks per bin times the tick size. #}
{% macro price_bin_width() -%}
    {%- set bins = var('price_bins') -%}
    case symbol
        {%- for symbol, rule in bins.items() %}
        when '{{ symbol }}' then cast({{ rule.ticks_per_bin }} * {{ rule.tick_size }} as double)
        {%- endfor %}
        else cast({{ bins.default.ticks_per_bin }} * {{ bins.default.tick_size }} as double)
    end
{%- endmacro %}
