select
    venue,
    symbol,
    trade_id,
    ts,
    received_at,
    price,
    quantity,
    is_buyer_maker,
    snapshot_id as landed_snapshot
from {{ source('raw', 'ticks') }}
