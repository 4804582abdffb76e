{{ config(materialized='view') }}
{{ rolled_up_live_model(ref('ohlc_1h'), ref('ohlc_5m_live'), ref('ohlc_1s_live'), '1 hour') }}
