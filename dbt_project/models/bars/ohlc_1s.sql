{{ config(
    materialized='incremental',
    incremental_strategy='exact_bars',
    unique_key=['venue', 'symbol', 'bucket'],
    partitioned_by=['year(bucket)', 'month(bucket)'],
    sorted_by=['symbol', 'bucket'],
    on_schema_change='fail',
) }}
-- depends_on: {{ ref('ohlc_revisions') }}
{%- set ticks = ref('stg_ticks') %}
{%- if is_incremental() %}
    {%- set todo = pending(ticks, 'landed_snapshot', 'ts') %}
{%- endif %}

with
{%- if is_incremental() %}
touched as (
    {{ touched_buckets(ticks, 'landed_snapshot', 'ts', todo, '1 second') }}
),

candidates as (
    {{ rows_in_ranges(ticks, 'landed_snapshot', 'ts', todo) }}
),

ticks as (
    select candidates.*
    from candidates
    semi join touched
        on
            candidates.venue = touched.venue
            and candidates.symbol = touched.symbol
            and time_bucket(interval '1 second', candidates.ts) = touched.bucket
),
{%- else %}
ticks as (
    select *
    from {{ ticks }}
),
{%- endif %}

bars as (
    {{ second_bars('ticks') }}
)

select
    {{ bar_columns() }}
from bars
