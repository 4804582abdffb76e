{{ config(materialized='view') }}
{{ live_roll_up_model(ref('ohlc_1m'), ref('ohlc_1s_live'), ref('ohlc_1s_live'), '1 minute') }}
