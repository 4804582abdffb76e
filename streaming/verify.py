"""Prove from the lake that no trade is missing: ids are contiguous but for recorded venue holes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import duckdb

from streaming.continuity import Continuity, Span

Explanation = Literal["venue_hole", "open", "unexplained"]


@dataclass(frozen=True, slots=True)
class Absence:
    """Ids that the lake does not hold, and what `raw.capture_gaps` says about them."""

    span: Span
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class SymbolProof:
    """What the lake holds of one symbol. `first_id` and `last_id` bound what was looked at."""

    symbol: str
    first_id: int
    last_id: int
    trades: int
    repeated_rows: int
    absences: tuple[Absence, ...]

    def absent(self, *explanations: Explanation) -> int:
        """How many ids are absent for one of these reasons."""
        return sum(a.span.width for a in self.absences if a.explanation in explanations)

    @property
    def is_whole(self) -> bool:
        """Whether every id is there or was never the venue's."""
        return self.absent("open", "unexplained") == 0


def verify(
    connection: duckdb.DuckDBPyConnection,
    venue: str,
    symbols: Sequence[str] | None = None,
    since: datetime | None = None,
) -> list[SymbolProof]:
    """Examine the lake.

    Args:
        symbols: only these; None: all that the lake holds.
        since: only trades at or after this (exchange time, UTC); their ids bound the proof.

    Raises:
        ValueError: the lake holds no trade of a symbol that was named.
    """
    parameters: dict[str, object] = {"venue": venue, "since": since or datetime(1970, 1, 1)}  # noqa: DTZ001 - the lake's timestamps are naive UTC
    bounds = connection.execute(
        "SELECT symbol, min(trade_id), max(trade_id), count(DISTINCT trade_id), count(*)"
        " FROM raw.ticks WHERE venue = $venue AND ts >= $since GROUP BY symbol ORDER BY symbol",
        parameters,
    ).fetchall()
    if symbols is not None:
        held = {row[0] for row in bounds}
        for symbol in symbols:
            if symbol not in held:
                raise ValueError(
                    f"the lake holds no trade of symbol {symbol!r} since {since or 'the beginning'}"
                    f"; it holds {', '.join(sorted(held)) or 'none at all'}"
                )
        bounds = [row for row in bounds if row[0] in symbols]
    proofs = []
    for symbol, first_id, last_id, trades, rows in bounds:
        holes = _holes(connection, parameters | {"symbol": symbol})
        recorded = _recorded(connection, venue, symbol)
        tail = [Span(*span[1:]) for span in recorded if span[0] == "open" and span[1] > last_id]
        absences = tuple(explain([*holes, *tail], recorded))
        proofs.append(SymbolProof(symbol, first_id, last_id, trades, rows - trades, absences))
    return proofs


def explain(holes: Iterable[Span], recorded: Iterable[tuple[str, int, int]]) -> Iterable[Absence]:
    """Split holes by what the recorded gaps `(status, first, last)` say of their ids."""
    spans: dict[str, Continuity] = {"venue_hole": Continuity(), "open": Continuity()}
    for status, first, last in recorded:
        if status in spans:
            spans[status].add_missing(first, last)
    explanations: tuple[Explanation, ...] = ("venue_hole", "open")
    for hole in holes:
        left = Continuity()
        left.add_missing(*hole)
        for explanation in explanations:
            for claimed in spans[explanation].missing(*hole):
                for part in list(left.missing(*claimed)):
                    left.discard(*part)
                    yield Absence(part, explanation)
        for part in left.missing():
            yield Absence(part, "unexplained")


def _holes(connection: duckdb.DuckDBPyConnection, parameters: dict[str, object]) -> list[Span]:
    rows = connection.execute(
        "SELECT trade_id + 1, following - 1 FROM ("
        "  SELECT trade_id, lead(trade_id) OVER (ORDER BY trade_id) AS following FROM raw.ticks"
        "  WHERE venue = $venue AND symbol = $symbol AND ts >= $since"
        ") WHERE following > trade_id + 1 ORDER BY trade_id",
        parameters,
    ).fetchall()
    return [Span(first, last) for first, last in rows]


def _recorded(
    connection: duckdb.DuckDBPyConnection, venue: str, symbol: str
) -> list[tuple[str, int, int]]:
    return connection.execute(
        "SELECT DISTINCT status, first_id, last_id FROM raw.capture_gaps"
        " WHERE venue = ? AND symbol = ? ORDER BY first_id",
        [venue, symbol],
    ).fetchall()
