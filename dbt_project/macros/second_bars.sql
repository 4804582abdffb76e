{# One-second bars from ticks: one row per venue, symbol and second, without vwap. #}
{% macro second_bars(ticks) -%}
    select
        venue,
        symbol,
        bucket,
        -- Within a venue's time, trade ids tell the order; arrival never does.
        arg_min(price, (ts, trade_id)) as open,
        max(price) as high,
        min(price) as low,
        arg_max(price, (ts, trade_id)) as close,
        {{ exact_sum('quantity') }} as volume,
        {{ exact_sum('price * quantity') }} as quote_volume,
        {{ exact_sum('quantity', 'not is_buyer_maker') }} as buy_volume,
        count(*) as trade_count,
        arg_min(trade_id, (ts, trade_id)) as first_trade_id,
        arg_max(trade_id, (ts, trade_id)) as last_trade_id,
        max(landed_snapshot) as src_snapshot
    from (
        -- A trade landed twice is counted once. Its copies say the same; the first received speaks.
        select
            venue,
            symbol,
            trade_id,
            time_bucket(interval '1 second', ts) as bucket,
            arg_min(ts, received_at) as ts,
            arg_min(price, received_at) as price,
            arg_min(quantity, received_at) as quantity,
            arg_min(is_buyer_maker, received_at) as is_buyer_maker,
            max(landed_snapshot) as landed_snapshot
        from {{ ticks }}
        group by venue, symbol, trade_id, time_bucket(interval '1 second', ts)
    ) as trades
    group by venue, symbol, bucket
{%- endmacro %}
