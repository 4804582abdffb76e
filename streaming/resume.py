"""What the lake already holds: where each symbol continues, and which gaps are still open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb

from quant_pipeline.settings import check_symbol
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


# Values stand in the SQL as literals: binding any parameter makes DuckDB import pandas, which
# costs a restarted worker two seconds. All are validated: our venue, symbols of [A-Z0-9].


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


def _open_gaps(
    connection: duckdb.DuckDBPyConnection, venue: str, symbols: Sequence[str]
) -> tuple[GapRow, ...]:
    rows = connection.execute(
        "SELECT DISTINCT ON (symbol, first_id, last_id) symbol, first_id, last_id,"
        " epoch_us(detected_at), cause, status, epoch_us(repaired_at), trades_recovered"
        f" FROM raw.capture_gaps WHERE venue = '{venue}' AND status = 'open'"
        f" AND symbol IN ({_literals(symbols)})"
        " ORDER BY symbol, first_id, last_id, detected_at"
    ).fetchall()
    return tuple(GapRow(*row) for row in rows)


def _present(connection: duckdb.DuckDBPyConnection, venue: str, gap: GapRow) -> tuple[Span, ...]:
    """Ids of the gap that are in the lake, as spans."""
    rows: list[Any] = connection.execute(
        "WITH ids AS (SELECT DISTINCT trade_id FROM raw.ticks"
        f" WHERE venue = '{venue}' AND symbol = {_literals([gap.symbol])}"
        f" AND trade_id BETWEEN {gap.first_id:d} AND {gap.last_id:d}),"
        " runs AS (SELECT trade_id, trade_id - row_number() OVER (ORDER BY trade_id) AS run"
        " FROM ids)"
        " SELECT min(trade_id), max(trade_id) FROM runs GROUP BY run ORDER BY 1"
    ).fetchall()
    return tuple(Span(first, last) for first, last in rows)


def _literals(symbols: Sequence[str]) -> str:
    return ", ".join(f"'{check_symbol(symbol)}'" for symbol in symbols)
