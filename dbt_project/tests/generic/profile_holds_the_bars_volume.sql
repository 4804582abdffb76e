{# A profile's bins hold all the volume that the bars of its span hold, and no more. #}
{% test profile_holds_the_bars_volume(model, bars, length) %}
with profiles as (
    select
        venue,
        symbol,
        bucket,
        {{ exact_sum('volume') }} as volume
    from {{ model }}
    group by venue, symbol, bucket
),

spans as (
    select
        venue,
        symbol,
        time_bucket(interval '{{ length }}', bars.bucket) as span,
        {{ exact_sum('volume') }} as volume
    from {{ bars }} as bars
    group by venue, symbol, span
)

select *
from profiles
full join spans
    on
        profiles.venue = spans.venue
        and profiles.symbol = spans.symbol
        and profiles.bucket = spans.span
where profiles.volume is distinct from spans.volume
{% endtest %}
