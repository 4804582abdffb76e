"""Checks of what the worker landed: gaps, silence, clocks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import duckdb

from quant_pipeline.quality.finding import Finding
from quant_pipeline.quality.silence import Silences

_NOT_LIVE_MS = 86_400_000
"""A trade received a day late is history (a backfill, a replay), not a clock that is wrong."""
_FEWEST_TRADES = 20


def open_gaps(
    connection: duckdb.DuckDBPyConnection, *, venue: str, now: datetime, error_after_s: float
) -> Finding:
    """Whether trades are known to be missing that may still be fetched.

    A gap is repaired within seconds as a rule: one older than `error_after_s` is severe.
    """
    rows = connection.execute(
        "select symbol, count(*), sum(last_id - first_id + 1)::bigint, min(detected_at)"
        " from lake.raw.capture_gaps where venue = ? and status = 'open'"
        " group by symbol order by symbol",
        [venue],
    ).fetchall()
    oldest_s = max((max((now - row[3]).total_seconds(), 0.0) for row in rows), default=0.0)
    metadata = {
        "open_gaps": sum(row[1] for row in rows),
        "missing_trades": sum(row[2] for row in rows),
        "oldest_s": round(oldest_s, 3),
    }
    if not rows:
        return Finding(True, "No capture gap is open.", metadata)
    named = ", ".join(f"{symbol} {missing:,} trades" for symbol, _, missing, _ in rows)
    return Finding(
        False,
        f"Trades are missing and not repaired: {named}, the oldest for {oldest_s:,.0f} s."
        " What the worker cannot fetch, `quant backfill` can.",
        metadata,
        severe=oldest_s > error_after_s,
    )


def staleness(silences: Silences) -> Finding:
    """Whether every symbol is heard of as often as is usual for it."""
    ratios = {
        f"{each.symbol} silence_over_limit": round(each.listened_s / each.limit_s, 4)
        for each in silences.symbols
    }
    metadata = {
        "stream_silent_s": round(silences.stream_s, 3),
        "stale_symbols": len(silences.overdue),
        "never_received": len(silences.never),
        **ratios,
    }
    if not silences.symbols:
        return Finding(True, "Nothing was ever received: there is no rhythm to judge by.", metadata)
    if silences.stopped and silences.released:
        return Finding(
            False,
            f"Nothing is captured: the worker was told to stop, {silences.stream_s:,.0f} s ago or"
            " less. `quant up` or `quant stream` captures again, and repairs what was missed.",
            metadata,
        )
    if silences.stopped:
        return Finding(
            False,
            f"The stream has stopped: no trade of any symbol for {silences.stream_s:,.0f} s,"
            f" when {silences.stream_limit_s:,.0f} s is unusual for the liveliest.",
            metadata,
            severe=True,
        )
    complaints = [
        f"{each.symbol} is silent for {each.listened_s:,.0f} s, beyond {each.limit_s:,.0f} s"
        for each in silences.overdue
    ]
    if silences.never:
        complaints.append(f"{', '.join(silences.never)} never received")
    if complaints:
        return Finding(False, "; ".join(complaints) + ".", metadata)
    return Finding(True, "Every symbol trades in its usual rhythm.", metadata)


def clock_skew(
    connection: duckdb.DuckDBPyConnection,
    *,
    venue: str,
    symbols: Sequence[str],
    now: datetime,
    lookback: timedelta,
    bound_ms: float,
) -> Finding:
    """Whether our clock and the exchange's agree: the median of reception minus trade time.

    No trade can be received before it happened, so a negative median is our clock being behind; one
    above the bound is our clock being ahead, or a feed that has fallen behind.
    """
    row = connection.execute(
        "select median(epoch_us(received_at) - epoch_us(ts)) / 1000.0, count(*)"
        " from lake.raw.ticks where venue = $venue and symbol in (select unnest($symbols))"
        " and received_at >= $since and received_at <= $now"
        " and abs(epoch_ms(received_at) - epoch_ms(ts)) < $not_live",
        {
            "venue": venue,
            "symbols": list(symbols),
            "since": now - lookback,
            "now": now,
            "not_live": _NOT_LIVE_MS,
        },
    ).fetchone()
    assert row is not None
    median_ms, trades = row
    if trades < _FEWEST_TRADES:
        return Finding(
            True, f"{trades} live trades of late: too few to judge a clock by.", {"trades": trades}
        )
    metadata = {"median_delay_ms": round(median_ms, 3), "trades": trades}
    if median_ms < 0:
        said = f"Trades are received {-median_ms:,.1f} ms before they happen: our clock is behind."
    elif median_ms > bound_ms:
        said = (
            f"Trades are received {median_ms:,.0f} ms after they happen (bound {bound_ms:,.0f} ms):"
            " our clock is ahead, or the feed has fallen behind."
        )
    else:
        return Finding(
            True, f"Trades are received {median_ms:,.1f} ms after they happen.", metadata
        )
    return Finding(False, said, metadata)
