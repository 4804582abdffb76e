{# The columns of every bar table, in order, from rows that lack vwap. #}
{% macro bar_columns() -%}
    venue,
    symbol,
    bucket,
    open,
    high,
    low,
    close,
    volume,
    quote_volume,
    buy_volume,
    trade_count,
    {{ vwap() }} as vwap,
    first_trade_id,
    last_trade_id,
    src_snapshot
{%- endmacro %}
