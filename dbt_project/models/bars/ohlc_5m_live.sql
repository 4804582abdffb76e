{{ config(materialized='view') }}
{{ rolled_up_live_model(ref('ohlc_5m'), ref('ohlc_1m_live'), ref('ohlc_1s_live'), '5 minutes') }}
