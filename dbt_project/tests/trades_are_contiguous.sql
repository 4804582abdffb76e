{#
  Each trade id from a symbol's first to its last was counted by a bar, but for those that capture knows
  to be missing: the venue's own holes and gaps that are still open. A warning: history that was
  backfilled in pieces has holes by intention.
#}
{{ config(severity='warn') }}
with spans as (
    select
        venue,
        symbol,
        arg_min(first_trade_id, bucket) as first_id,
        arg_max(last_trade_id, bucket) as last_id,
        sum(trade_count) as trade_count
    from {{ ref('ohlc_1h') }}
    group by venue, symbol
),

known as (
    select
        spans.venue,
        spans.symbol,
        sum(
            least(gaps.last_id, spans.last_id) - greatest(gaps.first_id, spans.first_id) + 1
        ) as ids
    from spans
    inner join {{ source('raw', 'capture_gaps') }} as gaps
        on
            spans.venue = gaps.venue
            and spans.symbol = gaps.symbol
            and spans.first_id <= gaps.last_id
            and spans.last_id >= gaps.first_id
            and gaps.status in ('open', 'venue_hole')
    group by spans.venue, spans.symbol
)

select
    spans.*,
    spans.last_id - spans.first_id + 1 - spans.trade_count - coalesce(known.ids, 0) as missing
from spans
left join known
    on
        spans.venue = known.venue
        and spans.symbol = known.symbol
where spans.last_id - spans.first_id + 1 - spans.trade_count > coalesce(known.ids, 0)
