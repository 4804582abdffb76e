{{ config(
    materialized='incremental',
    incremental_strategy='exact',
    unique_key=['venue', 'symbol', 'bucket'],
    partitioned_by=['year(bucket)', 'month(bucket)'],
    sorted_by=['symbol', 'bucket'],
    on_schema_change='fail',
) }}
{%- set window = var('rolling_vwap_minutes') %}
{%- if not 1 <= window <= 1440 %}
    {#- A run holds the day before each touched one, and no more. #}
    {{ exceptions.raise_compiler_error(
        "var rolling_vwap_minutes is " ~ window ~ "; it must be 1 to 1440, at most a day"
    ) }}
{%- endif %}
{{ with_touched_rows(ref('ohlc_1m'), 'src_snapshot', 'bucket', '1 day', neighbours=true) }},

running as (
    select
        venue,
        symbol,
        bucket,
        vwap,
        {{ exact_sum('volume', over='session') }} as session_volume,
        {{ exact_sum('quote_volume', over='session') }} as session_quote_volume,
        {{ exact_sum('volume', over='recent') }} as rolling_volume,
        {{ exact_sum('quote_volume', over='recent') }} as rolling_quote_volume,
        max(src_snapshot) over session as session_snapshot,
        max(src_snapshot) over recent as rolling_snapshot
    from touched_rows
    window
        session as (
            partition by venue, symbol, time_bucket(interval '1 day', bucket)
            order by bucket
        ),
        recent as (
            partition by venue, symbol
            order by bucket
            range between interval '{{ window - 1 }} minutes' preceding and current row
        )
)

select
    running.venue,
    running.symbol,
    running.bucket,
    running.vwap,
    running.session_quote_volume / nullif(running.session_volume, 0) as session_vwap,
    running.rolling_quote_volume / nullif(running.rolling_volume, 0) as rolling_vwap,
    running.session_volume,
    running.rolling_volume,
    greatest(running.session_snapshot, running.rolling_snapshot) as src_snapshot
from running
{%- if is_incremental() %}
semi join touched
    on
        running.venue = touched.venue
        and running.symbol = touched.symbol
        and time_bucket(interval '1 day', running.bucket) = touched.bucket
{%- endif %}
