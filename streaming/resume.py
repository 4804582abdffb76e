"""What the lake already holds: where each symbol continues, and which gaps are still open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb

from streaming.continuity import Span
from streaming.gaps import GapRow


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
    present: dict[GapRow, tuple[Span, ...]] = field(default_factory=dict)
    """Ids inside open gaps that the lake holds already."""


def read(connection: duckdb.DuckDBPyConnection, venue: str, symbols: Sequence[str]) -> LakeState:
    """Read it. Looks at the newest hour of ticks first and at all of them only for the rest."""
    positions: dict[str, Position] = {}
    for recent in (True, False):
        wanted = [symbol for symbol in symbols if symbol not in positions]
        if wanted:
            positions |= _positions(connection, venue, wanted, recent=recent)
    gaps = _open_gaps(connection, venue, symbols)
    return LakeState(positions, gaps, {gap: _present(connection, venue, gap) for gap in gaps})


def _positions(
    connection: duckdb.DuckDBPyConnection, venue: str, symbols: list[str], *, recent: bool
) -> dict[str, Position]:
    newest = "AND ts >= (SELECT max(ts) - INTERVAL 1 HOUR FROM raw.ticks WHERE venue = $venue)"
    rows = connection.execute(
        "SELECT symbol, max(trade_id), epoch_us(max(received_at)) FROM raw.ticks"
        f" WHERE venue = $venue AND symbol IN (SELECT unnest($symbols)) {newest if recent else ''}"
        " GROUP BY symbol",
        {"venue": venue, "symbols": symbols},
    ).fetchall()
    return {symbol: Position(last_id, received_us) for symbol, last_id, received_us in rows}


def _open_gaps(
    connection: duckdb.DuckDBPyConnection, venue: str, symbols: Sequence[str]
) -> tuple[GapRow, ...]:
    rows = connection.execute(
        "SELECT DISTINCT ON (symbol, first_id, last_id) symbol, first_id, last_id,"
        " epoch_us(detected_at), cause, status, epoch_us(repaired_at), trades_recovered"
        " FROM raw.capture_gaps WHERE venue = $venue AND status = 'open'"
        " AND symbol IN (SELECT unnest($symbols)) ORDER BY symbol, first_id, last_id, detected_at",
        {"venue": venue, "symbols": list(symbols)},
    ).fetchall()
    return tuple(GapRow(*row) for row in rows)


def _present(connection: duckdb.DuckDBPyConnection, venue: str, gap: GapRow) -> tuple[Span, ...]:
    """Ids of the gap that are in the lake, as spans."""
    rows: list[Any] = connection.execute(
        "WITH ids AS (SELECT DISTINCT trade_id FROM raw.ticks"
        " WHERE venue = ? AND symbol = ? AND trade_id BETWEEN ? AND ?),"
        " runs AS (SELECT trade_id, trade_id - row_number() OVER (ORDER BY trade_id) AS run"
        " FROM ids)"
        " SELECT min(trade_id), max(trade_id) FROM runs GROUP BY run ORDER BY 1",
        [venue, gap.symbol, gap.first_id, gap.last_id],
    ).fetchall()
    return tuple(Span(first, last) for first, last in rows)
