{{ config(materialized='view') }}
with profiles as (
    {%- for timeframe in ['1h', '1d'] %}
    select
        *,
        '{{ timeframe }}' as timeframe
    from {{ ref('volume_profile_' ~ timeframe) }}
    {{ "union all" if not loop.last }}
    {%- endfor %}
)

select
    venue,
    symbol,
    timeframe,
    bucket,
    max(bin_low) filter (is_point_of_control) as point_of_control_low,
    max(bin_high) filter (is_point_of_control) as point_of_control_high,
    min(bin_low) filter (in_value_area) as value_area_low,
    max(bin_high) filter (in_value_area) as value_area_high,
    sum(volume) filter (in_value_area) / nullif(sum(volume), 0) as value_area_share,
    sum(volume) as volume,
    max(src_snapshot) as src_snapshot
from profiles
group by venue, symbol, timeframe, bucket
