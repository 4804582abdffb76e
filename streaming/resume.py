"""What the lake already holds: where each symbol continues, and which gaps are still open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa

from quant_pipeline.settings import check_symbol
from streaming.continuity import Continuity, Span
from streaming.gaps import GapRow, Status

_NEIGHBOURS = 100_000
SymbolSpan = tuple[str, int, int]
"""A symbol, the first and the last of some trade ids."""


@dataclass(frozen=True, slots=True)
class Position:
    """The last trade of a symbol in the lake."""

    last_id: int
    received_us: int


@dataclass(frozen=True)
class LakeState:
    """What a worker must know before its first trade."""

    positions: dict[str, Position] = field(default_factory=dict)
    open_gaps: tuple[GapRow, ...] = ()
    present: dict[str, tuple[Span, ...]] = field(default_factory=dict)
    """Per symbol, ids inside open gaps that the lake holds already."""


def read(connection: duckdb.DuckDBPyConnection, venue: str, symbols: Sequence[str]) -> LakeState:
    """All that a start needs."""
    open_gaps = gaps(connection, venue, symbols, ("open",))
    return LakeState(
        positions(connection, venue, symbols),
        open_gaps,
        held(connection, venue, list(_disjoint(open_gaps))),
    )


def positions(
    connection: duckdb.DuckDBPyConnection, venue: str, symbols: Sequence[str]
) -> dict[str, Position]:
    """Where symbols end; looks at the newest hour of ticks first and at all only for the rest."""
    found: dict[str, Position] = {}
    for recent in (True, False):
        wanted = [symbol for symbol in symbols if symbol not in found]
        if wanted:
            found |= _positions(connection, venue, wanted, recent=recent)
    return found


# Values stand in the SQL as literals. All are validated: our venue, symbols of [A-Z0-9].


def _positions(
    connection: duckdb.DuckDBPyConnection, venue: str, symbols: list[str], *, recent: bool
) -> dict[str, Position]:
    newest = f"AND ts >= (SELECT max(ts) - INTERVAL 1 HOUR FROM raw.ticks WHERE venue = '{venue}')"
    rows = connection.execute(
        "SELECT symbol, max(trade_id), epoch_us(max(received_at)) FROM raw.ticks"
        f" WHERE venue = '{venue}' AND symbol IN ({_literals(symbols)})"
        f" {newest if recent else ''} GROUP BY symbol"
    ).fetchall()
    return {symbol: Position(last_id, received_us) for symbol, last_id, received_us in rows}


def gaps(
    connection: duckdb.DuckDBPyConnection,
    venue: str,
    symbols: Sequence[str],
    statuses: Sequence[Status],
) -> tuple[GapRow, ...]:
    """The gaps on record that have one of `statuses`, ascending within each symbol."""
    wanted = ", ".join(f"'{status}'" for status in statuses)
    rows = connection.execute(
        "SELECT DISTINCT ON (symbol, first_id, last_id, status) symbol, first_id, last_id,"
        " epoch_us(detected_at), cause, status, epoch_us(repaired_at), trades_recovered"
        f" FROM raw.capture_gaps WHERE venue = '{venue}' AND status IN ({wanted})"
        f" AND symbol IN ({_literals(symbols)})"
        " ORDER BY symbol, first_id, last_id, status, detected_at"
    ).fetchall()
    return tuple(GapRow(*row) for row in rows)


def held(
    connection: duckdb.DuckDBPyConnection, venue: str, spans: Sequence[SymbolSpan]
) -> dict[str, tuple[Span, ...]]:
    """Which ids of `spans` are in the lake, per symbol.

    One pass over the ticks whatever the number of spans: a query for each made restarts slower the
    more there was to repair.

    Args:
        spans: ascending within a symbol, without overlaps.
    """
    if not spans:
        return {}
    connection.register("wanted_spans", _table(spans))
    connection.register("stretches", _table(_stretches(spans)))
    rows: list[Any] = connection.execute(
        # The nearest span that begins at or before an id is the only one that may hold it.
        "WITH near AS (SELECT symbol, trade_id FROM raw.ticks JOIN stretches USING (symbol)"
        f" WHERE venue = '{venue}' AND trade_id BETWEEN first_id AND last_id),"
        " held AS (SELECT DISTINCT near.symbol, trade_id FROM near ASOF JOIN wanted_spans"
        " ON near.symbol = wanted_spans.symbol AND trade_id >= first_id"
        " WHERE trade_id <= last_id),"
        " runs AS (SELECT symbol, trade_id, trade_id"
        " - row_number() OVER (PARTITION BY symbol ORDER BY trade_id) AS run FROM held)"
        " SELECT symbol, min(trade_id), max(trade_id) FROM runs GROUP BY symbol, run"
    ).fetchall()
    connection.unregister("wanted_spans")
    connection.unregister("stretches")
    present: dict[str, list[Span]] = {}
    for symbol, first, last in rows:
        present.setdefault(symbol, []).append(Span(first, last))
    return {symbol: tuple(found) for symbol, found in present.items()}


def _disjoint(rows: Sequence[GapRow]) -> Iterator[SymbolSpan]:
    """The gaps' ids as ascending spans that do not overlap."""
    missing: dict[str, Continuity] = {}
    for gap in rows:
        missing.setdefault(gap.symbol, Continuity()).add_missing(gap.first_id, gap.last_id)
    for symbol, continuity in missing.items():
        for span in continuity.missing():
            yield symbol, *span


def _stretches(spans: Sequence[SymbolSpan]) -> list[SymbolSpan]:
    """Neighbouring spans joined, so that an old gap does not make all ids since then be read."""
    joined: list[SymbolSpan] = []
    for symbol, first, last in spans:
        if joined and joined[-1][0] == symbol and first - joined[-1][2] <= _NEIGHBOURS:
            joined[-1] = (symbol, joined[-1][1], last)
        else:
            joined.append((symbol, first, last))
    return joined


def _table(spans: Sequence[SymbolSpan]) -> pa.Table:
    symbols, firsts, lasts = zip(*spans, strict=True)
    return pa.table({"symbol": symbols, "first_id": firsts, "last_id": lasts})


def _literals(symbols: Sequence[str]) -> str:
    return ", ".join(f"'{check_symbol(symbol)}'" for symbol in symbols)
