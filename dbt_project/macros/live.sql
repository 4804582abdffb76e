{#
  The last two columns of a live bar: until when it may change in the ordinary course of things, and
  whether that has passed. A bar is final once its venue's trades are `final_after_s` past its end
  (the same rule by which a change counts as a revision).
#}
{% macro with_finality(bars, live_seconds, length) -%}
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


{# The whole of a live view that rolls `finer` (itself live) up over what `stored` has not consumed. #}
{% macro live_roll_up_model(stored, finer, live_seconds, length) -%}
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
    select live_finer.*
    from {{ finer }} as live_finer
    semi join touched
        on
            live_finer.venue = touched.venue
            and live_finer.symbol = touched.symbol
            and time_bucket(interval '{{ length }}', live_finer.bucket) = touched.bucket
),

rolled_up as (
    {{ roll_up('finer', length) }}
),

bars as (
    select *
    from stored
    anti join touched using (venue, symbol, bucket)
    union all
    select
        {{ bar_columns() }}
    from rolled_up
)

{{ with_finality('bars', live_seconds, length) }}
{%- endmacro %}
