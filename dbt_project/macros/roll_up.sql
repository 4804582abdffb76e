{# Bars of one timeframe from bars of a finer one: one row per venue, symbol and `length`. #}
{% macro roll_up(bars, length) -%}
    select
        venue,
        symbol,
        time_bucket(interval '{{ length }}', bucket) as bucket,
        arg_min(open, bucket) as open,
        max(high) as high,
        min(low) as low,
        arg_max(close, bucket) as close,
        {{ exact_sum('volume') }} as volume,
        {{ exact_sum('quote_volume') }} as quote_volume,
        {{ exact_sum('buy_volume') }} as buy_volume,
        cast(sum(trade_count) as bigint) as trade_count,
        arg_min(first_trade_id, bucket) as first_trade_id,
        arg_max(last_trade_id, bucket) as last_trade_id,
        max(src_snapshot) as src_snapshot
    from {{ bars }}
    group by venue, symbol, time_bucket(interval '{{ length }}', bucket)
{%- endmacro %}


{# The whole of a model that rolls `finer` up, consuming only bars that have changed. #}
{% macro roll_up_model(finer, length) -%}
    {%- if is_incremental() %}
    {%- set todo = pending(finer, 'src_snapshot', 'bucket') %}
    {%- endif %}

with
{%- if is_incremental() %}
touched as (
    {{ touched_buckets(finer, 'src_snapshot', 'bucket', todo, length) }}
),

candidates as (
    {{ rows_in_ranges(finer, 'src_snapshot', 'bucket', todo) }}
),

finer as (
    select candidates.*
    from candidates
    semi join touched
        on
            candidates.venue = touched.venue
            and candidates.symbol = touched.symbol
            and time_bucket(interval '{{ length }}', candidates.bucket) = touched.bucket
),
{%- else %}
finer as (
    select *
    from {{ finer }}
),
{%- endif %}

bars as (
    {{ roll_up('finer', length) }}
)

select
    {{ bar_columns() }}
from bars
{%- endmacro %}
