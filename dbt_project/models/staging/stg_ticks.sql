select
    ticks.venue,
    ticks.symbol,
    ticks.trade_id,
    ticks.ts,
    ticks.received_at,
    ticks.price,
    ticks.quantity,
    ticks.is_buyer_maker,
    ticks.snapshot_id as landed_snapshot
from {{ source('raw', 'ticks') }} as ticks
-- What is left of an archived day are late trades only: bars made of them would be wrong.
anti join {{ source('raw', 'archived_days') }} as archived on cast(ticks.ts as date) = archived.day
