{#
  The whole of a table of illiquidity measures from the bars of each `length`, as pairs of successive
  bars within it. Sources: Roll (1984), Corwin and Schultz (2012), Abdi and Ranaldo (2017), Amihud
  (2002); formulas in the models' descriptions, the same as in quant_pipeline.analytics. An estimate
  that the formula leaves undefined, a spread or its square that is not positive, is NULL, never zero.
#}
{% macro illiquidity_model(bars, length) -%}
{%- set fine = "1e24" -%} {# squared log returns of a minute are near 1e-7 #}
{{ with_touched_rows(bars, 'src_snapshot', 'bucket', length) }},

logs as (
    select
        venue,
        symbol,
        time_bucket(interval '{{ length }}', bucket) as period,
        bucket,
        quote_volume,
        src_snapshot,
        ln(close) as log_close,
        ln(high) as log_high,
        ln(low) as log_low,
        (ln(high) + ln(low)) / 2 as log_mid,
        power(ln(high / low), 2) as range_squared,
        ln(close) - lag(ln(close)) over successive as log_return
    from touched_rows
    window successive as (
        partition by venue, symbol, time_bucket(interval '{{ length }}', bucket)
        order by bucket
    )
),

pairs as (
    select
        *,
        lag(log_return) over successive as previous_return,
        lag(log_close) over successive as previous_close,
        lag(log_mid) over successive as previous_mid,
        lag(log_high) over successive as previous_high,
        lag(log_low) over successive as previous_low,
        range_squared + lag(range_squared) over successive as beta
    from logs
    window successive as (partition by venue, symbol, period order by bucket)
),

-- A jump between two bars is not a range: the second is moved to where the first one closed.
jumps as (
    select
        *,
        greatest(0, previous_close - log_high) + least(0, previous_close - log_low) as jump
    from pairs
),

two_bar_spreads as (
    select
        *,
        (sqrt(2 * beta) - sqrt(beta)) / (3 - 2 * sqrt(2))
        - (
            greatest(log_high + jump, previous_high) - least(log_low + jump, previous_low)
        ) / sqrt(3 - 2 * sqrt(2)) as alpha
    from jumps
),

sums as (
    select
        venue,
        symbol,
        period as bucket,
        count(*) as bar_count,
        count(previous_return) as return_pairs,
        count(beta) as bar_pairs,
        {{ exact_sum('log_return * previous_return', scale=fine) }} as sum_product,
        {{ exact_sum('log_return', 'previous_return is not null', scale=fine) }} as sum_return,
        {{ exact_sum('previous_return', scale=fine) }} as sum_previous,
        {{ exact_sum('2 * (exp(alpha) - 1) / (1 + exp(alpha))', scale=fine) }} as sum_two_bar_spread,
        {{ exact_sum(
            '(previous_close - previous_mid) * (previous_close - log_mid)', scale=fine
        ) }} as sum_mid_product,
        count(log_return) filter (quote_volume > 0) as impacts,
        {{ exact_sum('abs(log_return) / quote_volume', 'quote_volume > 0', scale=fine) }} as sum_impact,
        max(src_snapshot) as src_snapshot
    from two_bar_spreads
    group by venue, symbol, period
),

moments as (
    select
        *,
        (sum_product - sum_return * sum_previous / return_pairs)
        / nullif(return_pairs - 1, 0) as return_covariance,
        sum_two_bar_spread / nullif(bar_pairs, 0) as mean_two_bar_spread,
        4 * sum_mid_product / nullif(bar_pairs, 0) as squared_mid_spread
    from sums
)

select
    venue,
    symbol,
    bucket,
    bar_count,
    case when return_covariance < 0 then 2 * sqrt(-return_covariance) end as roll_spread,
    case when mean_two_bar_spread > 0 then mean_two_bar_spread end as corwin_schultz_spread,
    case when squared_mid_spread > 0 then sqrt(squared_mid_spread) end as abdi_ranaldo_spread,
    1e6 * sum_impact / nullif(impacts, 0) as amihud_per_million,
    src_snapshot
from moments
{%- endmacro %}
