{{ config(
    materialized='incremental',
    incremental_strategy='exact_bars',
    unique_key=['venue', 'symbol', 'bucket'],
    partitioned_by=['year(bucket)', 'month(bucket)'],
    sorted_by=['symbol', 'bucket'],
    on_schema_change='fail',
) }}
-- depends_on: {{ ref('ohlc_revisions') }}
{{ rolled_up_model(ref('ohlc_5m'), '1 hour') }}
