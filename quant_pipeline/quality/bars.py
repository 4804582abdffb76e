"""Checks of bars: equal to their ticks, and free of jumps that no market makes."""

from __future__ import annotations

import math
import random
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import duckdb

from quant_pipeline.quality.finding import Finding
from quant_pipeline.research import reading
from quant_pipeline.settings import TIMEFRAME_SECONDS, Timeframe

EXACT: Final = (
    "open",
    "high",
    "low",
    "close",
    "trade_count",
    "first_trade_id",
    "last_trade_id",
)
SUMMED: Final = ("volume", "quote_volume", "buy_volume", "vwap")
"""Sums are compared to nine digits: the bars add whole units, this check adds decimals."""

_TOLERANCE = 1e-9
_SPAN_S: dict[Timeframe, int] = {"1s": 60, "1m": 300, "5m": 900, "1h": 3600}
_HOUR = timedelta(hours=1)
_RECENT_HOURS = 24
_NO_BARS = "There are no bars yet."

# Shares no SQL with the models: trades are made distinct, ordered and added in another way.
_RECOMPUTED = """
with trades as (
    select * from lake.raw.ticks
    where venue = $venue and symbol = $symbol and ts >= $start and ts < $stop
        and snapshot_id <= $consumed
    qualify row_number() over (partition by trade_id, date_trunc('second', ts)
        order by received_at) = 1
)
select
    to_timestamp(floor(epoch(ts) / $seconds) * $seconds) at time zone 'UTC' as bucket,
    first(price order by ts, trade_id) as open,
    max(price) as high,
    min(price) as low,
    last(price order by ts, trade_id) as close,
    sum(quantity::decimal(38, 8))::double as volume,
    sum((price * quantity)::decimal(38, 8))::double as quote_volume,
    sum(if(is_buyer_maker, 0, quantity)::decimal(38, 8))::double as buy_volume,
    count(*) as trade_count,
    if(volume > 0, quote_volume / volume, null) as vwap,
    first(trade_id order by ts, trade_id) as first_trade_id,
    last(trade_id order by ts, trade_id) as last_trade_id
from trades group by bucket
"""


class Span(NamedTuple):
    """A symbol and the times `start <= t < stop` whose bars are recomputed."""

    symbol: str
    start: datetime
    stop: datetime


def equal_ticks(
    connection: duckdb.DuckDBPyConnection, timeframe: Timeframe, *, venue: str, spans: int
) -> Finding:
    """Whether bars are what their ticks say, in every column, on a random sample of spans.

    Half of the spans are of the newest day, half of all history. The lake's snapshot seeds the
    choice: the same lake gives the same sample, and every commit another one. Only ticks that the
    bars have consumed count; archived days, whose ticks have left the lake, are not sampled.
    """
    try:
        with reading.one_snapshot(connection) as snapshot:
            chosen = _choose(connection, timeframe, venue, spans, seed=snapshot)
            consumed = _one(connection, f"select max(src_snapshot) from lake.bars.ohlc_{timeframe}")
            if consumed is None or not chosen:
                return Finding(True, _NO_BARS)
            compared = [_compare(connection, timeframe, venue, span, consumed) for span in chosen]
    except duckdb.CatalogException:
        return Finding(True, _NO_BARS)
    bars = sum(count for count, _ in compared)
    wrong = [line for _, lines in compared for line in lines]
    metadata = {"spans": len(chosen), "bars_compared": bars, "bars_different": len(wrong)}
    if wrong:
        return Finding(
            False,
            f"{len(wrong)} of {bars:,} {timeframe} bars are not what their ticks say: {wrong[0]}."
            " `quant bars --full-refresh` rebuilds them.",
            metadata,
            severe=True,
        )
    return Finding(
        True, f"{bars:,} {timeframe} bars of {len(chosen)} spans equal their ticks.", metadata
    )


def price_jumps(
    connection: duckdb.DuckDBPyConnection,
    *,
    venue: str,
    lookback: timedelta,
    bound_mads: float,
) -> Finding:
    """Whether a one-minute log return of late is beyond what its symbol's last day makes likely.

    The scale is 1.4826 times the median absolute deviation of the day's returns, at least a basis
    point; a return over several minutes is divided by the root of their number.
    """
    try:
        rows = connection.execute(
            """
            with bars as (
                select symbol, bucket, ln(close) as price, max(bucket) over () as newest
                from lake.bars.ohlc_1m
                where venue = $venue and close > 0 and isfinite(close) and bucket >= (
                    select max(bucket) from lake.bars.ohlc_1m where venue = $venue
                ) - interval 1 day
            ),
            returns as (
                select symbol, bucket, newest,
                    (price - lag(price) over earlier)
                    / sqrt(epoch(bucket - lag(bucket) over earlier) / 60) as change
                from bars
                window earlier as (partition by symbol order by bucket)
            ),
            scales as (
                select symbol, greatest(1.4826 * mad(change), 1e-4) as scale
                from returns where change is not null group by symbol having count(*) >= 30
            )
            select symbol, max(abs(change) / scale), arg_max(bucket, abs(change)),
                arg_max(change, abs(change))
            from returns join scales using (symbol)
            where bucket >= newest - $lookback and change is not null
            group by symbol order by symbol
            """,
            {"venue": venue, "lookback": lookback},
        ).fetchall()
    except duckdb.CatalogException:
        return Finding(True, _NO_BARS)
    if not rows:
        return Finding(True, "Too few one-minute bars to know what a usual return is.")
    metadata = {f"{symbol} largest_return_mads": round(mads, 3) for symbol, mads, *_ in rows}
    jumps = [
        f"{symbol} {change:+.2%} at {bucket:%Y-%m-%d %H:%M} UTC, {mads:.0f} robust deviations"
        for symbol, mads, bucket, change in rows
        if mads > bound_mads
    ]
    metadata["jumps"] = len(jumps)
    if jumps:
        return Finding(False, f"Prices jumped: {'; '.join(jumps)}.", metadata)
    largest = max(mads for _, mads, *_ in rows)
    return Finding(
        True,
        f"No return beyond {bound_mads:g} robust deviations (largest {largest:.1f}).",
        metadata,
    )


def _choose(
    connection: duckdb.DuckDBPyConnection,
    timeframe: Timeframe,
    venue: str,
    spans: int,
    *,
    seed: int,
) -> list[Span]:
    """Random spans within random hours between each symbol's first and last bar."""
    known = connection.execute(
        "select symbol, min(bucket), max(bucket) from lake.bars.ohlc_1h where venue = ?"
        " group by symbol order by symbol",
        [venue],
    ).fetchall()
    archived = {
        row[0] for row in connection.execute("select day from lake.raw.archived_days").fetchall()
    }
    chance = random.Random(f"{timeframe} {seed}")
    wanted = max(2, spans // 4) if timeframe == "1h" else spans
    found = []
    for number in range(wanted if known else 0):
        symbol, first, last = chance.choice(known)
        hours = int((last - first) / _HOUR)
        back = chance.randint(0, min(hours, _RECENT_HOURS) if number % 2 else hours)
        hour = last - back * _HOUR
        start = hour + timedelta(
            seconds=chance.randrange(0, 3600 // _SPAN_S[timeframe]) * _SPAN_S[timeframe]
        )
        if hour.date() not in archived:
            found.append(Span(symbol, start, start + timedelta(seconds=_SPAN_S[timeframe])))
    return sorted(set(found))


def _compare(
    connection: duckdb.DuckDBPyConnection,
    timeframe: Timeframe,
    venue: str,
    span: Span,
    consumed: int,
) -> tuple[int, list[str]]:
    """How many bars there are, and a line for each that differs."""
    import polars as pl  # slow, and Dagster's processes load this module to know its checks

    where = {"venue": venue, "symbol": span.symbol, "start": span.start, "stop": span.stop}
    seconds = TIMEFRAME_SECONDS[timeframe]
    expected = connection.execute(
        _RECOMPUTED, {**where, "consumed": consumed, "seconds": seconds}
    ).pl()
    columns = ", ".join((*EXACT, *SUMMED))
    stored = connection.execute(
        f"select bucket, {columns} from lake.bars.ohlc_{timeframe}"
        " where venue = $venue and symbol = $symbol and bucket >= $start and bucket < $stop",
        where,
    ).pl()
    both = stored.cast({"bucket": pl.Datetime("us")}).join(
        expected.cast({"bucket": pl.Datetime("us")}),
        on="bucket",
        how="full",
        coalesce=True,
        suffix="_ticks",
    )
    lines = []
    for row in both.sort("bucket").iter_rows(named=True):
        differing = [
            f"{name} {row[name]} against {row[f'{name}_ticks']}"
            for name in (*EXACT, *SUMMED)
            if not _same(row[name], row[f"{name}_ticks"], exact=name in EXACT)
        ]
        if differing:
            lines.append(f"{span.symbol} {row['bucket']:%Y-%m-%d %H:%M:%S} {differing[0]}")
    # A bar that is there twice equals its ticks twice, and is as wrong as one that is missing.
    repeated = stored.filter(stored["bucket"].is_duplicated())["bucket"].unique().sort()
    lines += [f"{span.symbol} {bucket:%Y-%m-%d %H:%M:%S} is there twice" for bucket in repeated]
    return both.height, lines


def _same(stored: Any, expected: Any, *, exact: bool) -> bool:
    if stored is None or expected is None or exact:
        return bool(stored == expected)
    return math.isclose(stored, expected, rel_tol=_TOLERANCE)


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> Any:
    row = connection.execute(query).fetchone()
    return None if row is None else row[0]
