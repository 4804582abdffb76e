{{ config(
    materialized='incremental',
    incremental_strategy='exact',
    unique_key=['venue', 'symbol', 'bucket'],
    partitioned_by=['year(bucket)', 'month(bucket)'],
    sorted_by=['symbol', 'bucket'],
    on_schema_change='fail',
) }}
{{ illiquidity_model(ref('ohlc_1m'), '1 day') }}
