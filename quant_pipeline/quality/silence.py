"""How long each symbol has been silent, against its own rhythm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import duckdb

from quant_pipeline.schema import WORKER_STOPPED

LOOKED_BACK: Final = timedelta(hours=24)
"""A longer silence reads as this long: looking further back would read every tick there is."""

_RECENT: Final = timedelta(minutes=10)
_USUAL_QUANTILE = 0.95
_BAR_S = 60.0


@dataclass(frozen=True)
class Silence:
    """A symbol's silence.

    Attributes:
        symbol: the venue's symbol.
        silent_s: seconds since its newest trade was received, at most those of `LOOKED_BACK`.
        listened_s: the part of it since the newest connection that carries the symbol: an outage of
            ours is not the symbol's silence.
        limit_s: from here on the silence is not its usual rhythm.
    """

    symbol: str
    silent_s: float
    listened_s: float
    limit_s: float


@dataclass(frozen=True)
class Silences:
    """Every captured symbol's silence.

    Attributes:
        symbols: those that were ever received.
        never: symbols that were never received.
        released: whether the worker was told to stop, and no other took over.
    """

    symbols: tuple[Silence, ...]
    never: tuple[str, ...]
    released: bool = False

    @property
    def stream_s(self) -> float:
        """Seconds since any trade was received; 0 if none ever was."""
        return min((each.silent_s for each in self.symbols), default=0.0)

    @property
    def stream_limit_s(self) -> float:
        """The liveliest symbol's limit."""
        return min((each.limit_s for each in self.symbols), default=float("inf"))

    @property
    def stopped(self) -> bool:
        """Whether nothing at all arrives: then the stream has stopped, and no symbol is quiet."""
        return self.stream_s > self.stream_limit_s

    @property
    def overdue(self) -> tuple[Silence, ...]:
        """Symbols that are silent beyond their limit while others are not."""
        if self.stopped:
            return ()
        return tuple(each for each in self.symbols if each.listened_s > each.limit_s)


def measure(
    connection: duckdb.DuckDBPyConnection,
    *,
    venue: str,
    symbols: Sequence[str],
    now: datetime,
    shortest_s: float,
    factor: float,
) -> Silences:
    """Measure the silences at `now` (UTC, naive).

    A symbol's rhythm is the 95 % quantile of the time between its one-minute bars with a trade,
    over the last day that has any; an outage in that day does not make itself usual. The limit is
    `factor` times that, and not below `shortest_s`.
    """
    last = _last_received(connection, venue, symbols, now - _RECENT)
    if absent := [symbol for symbol in symbols if symbol not in last]:
        last |= _last_received(connection, venue, absent, now - LOOKED_BACK)
    silent = set(symbols) - set(last)
    known = silent & _ever_received(connection, venue) if silent else set()
    usual_s = _rhythm(connection, venue, symbols)
    newest = _newest_connections(connection, venue)
    connected = {symbol: at for symbol, (at, _) in newest.items()}
    longest_s = LOOKED_BACK.total_seconds()
    found = []
    for symbol in symbols:
        if symbol not in last and symbol not in known:
            continue
        silent_s = _seconds(now, last[symbol]) if symbol in last else longest_s
        listened_s = _seconds(now, connected[symbol]) if symbol in connected else longest_s
        # A day of silence is one whatever the rhythm.
        limit_s = min(max(shortest_s, factor * usual_s.get(symbol, _BAR_S)), longest_s - 1)
        found.append(Silence(symbol, silent_s, min(silent_s, listened_s), limit_s))
    reasons = {newest[symbol][1] for symbol in symbols if symbol in newest}
    return Silences(
        tuple(found), never=tuple(sorted(silent - known)), released=reasons == {WORKER_STOPPED}
    )


def _seconds(now: datetime, then: datetime) -> float:
    return max((now - then).total_seconds(), 0.0)


def _newest_connections(
    connection: duckdb.DuckDBPyConnection, venue: str
) -> dict[str, tuple[datetime, str | None]]:
    """When the newest connection that carries a symbol began, and why it ended if it did."""
    rows = connection.execute(
        """
        with newest as (
            select max(connected_at) as at from lake.raw.capture_sessions where venue = $venue
        ),
        recent as (
            select unnest(symbols) as symbol, connected_at, reason
            from lake.raw.capture_sessions, newest
            where venue = $venue and connected_at >= newest.at - $looked_back
        )
        select symbol, max(connected_at), arg_max(coalesce(reason, ''), connected_at)
        from recent group by symbol
        """,
        {"venue": venue, "looked_back": LOOKED_BACK},
    ).fetchall()
    return {symbol: (at, reason or None) for symbol, at, reason in rows}


def _last_received(
    connection: duckdb.DuckDBPyConnection, venue: str, symbols: Sequence[str], since: datetime
) -> dict[str, datetime]:
    rows = connection.execute(
        "select symbol, max(received_at) from lake.raw.ticks"
        " where venue = ? and symbol in (select unnest(?)) and received_at >= ? group by symbol",
        [venue, list(symbols), since],
    ).fetchall()
    return dict(rows)


def _ever_received(connection: duckdb.DuckDBPyConnection, venue: str) -> set[str]:
    """Symbols with a bar, or with a tick where there are no bars yet."""
    try:
        rows = connection.execute(
            "select distinct symbol from lake.bars.ohlc_1h where venue = ?", [venue]
        ).fetchall()
    except duckdb.CatalogException:
        rows = []
    if not rows:
        rows = connection.execute(
            "select distinct symbol from lake.raw.ticks where venue = ?", [venue]
        ).fetchall()
    return {row[0] for row in rows}


def _rhythm(
    connection: duckdb.DuckDBPyConnection, venue: str, symbols: Sequence[str]
) -> dict[str, float]:
    try:
        rows = connection.execute(
            """
            with gaps as (
                select symbol, epoch(bucket - lag(bucket) over (
                    partition by symbol order by bucket)) as gap_s
                from lake.bars.ohlc_1m
                where venue = $venue and symbol in (select unnest($symbols)) and bucket >= (
                    select max(bucket) from lake.bars.ohlc_1m where venue = $venue
                ) - interval 1 day
            )
            select symbol, quantile_cont(gap_s, $quantile) from gaps
            where gap_s is not null group by symbol
            """,
            {"venue": venue, "symbols": list(symbols), "quantile": _USUAL_QUANTILE},
        ).fetchall()
    except duckdb.CatalogException:
        return {}
    return {symbol: float(usual_s) for symbol, usual_s in rows}
