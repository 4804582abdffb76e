{{ config(materialized='view') }}
{{ rolled_up_live_model(ref('ohlc_1m'), ref('ohlc_1s_live'), ref('ohlc_1s_live'), '1 minute') }}
