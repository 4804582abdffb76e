{{ config(
    materialized='incremental',
    incremental_strategy='exact_bars',
    unique_key=['venue', 'symbol', 'bucket'],
    partitioned_by=['year(bucket)', 'month(bucket)'],
    sorted_by=['symbol', 'bucket'],
    on_schema_change='fail',
) }}
-- depends_on: {{ ref('ohlc_revisions') }}
{{ with_touched_rows(ref('stg_ticks'), 'landed_snapshot', 'ts', '1 second', in_slices=true) }},

bars as (
    {{ second_bars('touched_rows', in_slices=true) }}
)

select
    {{ bar_columns() }}
from bars
