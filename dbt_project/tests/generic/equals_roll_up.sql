{# A bar equals the roll-up of the finer bars within it, in every column; and none is missing. #}
{% test equals_roll_up(model, finer, seconds) %}
with expected as (
    select
        venue,
        symbol,
        time_bucket(to_seconds({{ seconds }}), bucket) as bucket,
        first(open order by bucket) as open,
        max(high) as high,
        min(low) as low,
        last(close order by bucket) as close,
        {{ exact_sum('volume') }} as volume,
        {{ exact_sum('quote_volume') }} as quote_volume,
        {{ exact_sum('buy_volume') }} as buy_volume,
        cast(sum(trade_count) as bigint) as trade_count,
        first(first_trade_id order by bucket) as first_trade_id,
        last(last_trade_id order by bucket) as last_trade_id,
        max(src_snapshot) as src_snapshot
    from {{ finer }}
    group by all
),

actual as (
    select columns(* exclude (vwap))
    from {{ model }}
)

(from actual except from expected)
union all
(from expected except from actual)
{% endtest %}
