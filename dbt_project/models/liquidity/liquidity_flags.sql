{{ config(materialized='view') }}
{%- set rules = var('liquidity_rules') %}
with bars as (
    {%- for timeframe in ['1s', '1m', '5m', '1h'] %}
    select
        venue,
        symbol,
        '{{ timeframe }}' as timeframe,
        bucket,
        trade_count,
        quote_volume,
        bucket - lag(bucket) over (
            partition by venue, symbol order by bucket
        ) as since_previous,
        -- The last hour that had ended when the bar did: a filter must not know what comes after.
        time_bucket(interval '1 hour', bucket + interval '{{ bar_length(timeframe) }}')
        - interval '1 hour' as spread_hour,
        {{ rules[timeframe].min_trades }} as min_trades,
        {{ rules[timeframe].min_quote_volume }} as min_quote_volume,
        interval '{{ rules[timeframe].max_staleness }}' as max_staleness
    from {{ ref('ohlc_' ~ timeframe) }}
    {{ "union all" if not loop.last }}
    {%- endfor %}
),

spreads as (
    select
        venue,
        symbol,
        bucket,
        -- The widest of what is defined: each is an estimate, and a filter errs on the safe side.
        greatest(roll_spread, corwin_schultz_spread, abdi_ranaldo_spread) as spread
    from {{ ref('illiquidity_1h') }}
),

judged as (
    select
        bars.venue,
        bars.symbol,
        bars.timeframe,
        bars.bucket,
        bars.trade_count < bars.min_trades as has_few_trades,
        bars.quote_volume < bars.min_quote_volume as has_little_volume,
        coalesce(spreads.spread > {{ rules.max_spread }}, false) as has_wide_spread,
        coalesce(bars.since_previous > bars.max_staleness, false) as follows_silence
    from bars
    left join spreads
        on
            bars.venue = spreads.venue
            and bars.symbol = spreads.symbol
            and bars.spread_hour = spreads.bucket
)

select
    *,
    has_few_trades or has_little_volume or has_wide_spread or follows_silence as is_thin
from judged
