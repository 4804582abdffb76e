"""The life of a gap: suspected, declared, repaired or found to be the venue's own. No I/O.

An id that is skipped may only be late: for the length of the reorder window it is *suspected*, and
trades beyond it wait. What is still missing then is *declared*: its row is written in the same
commit as the first trade beyond it, so the lake never holds a hole without a row. When nothing of
it is missing any more its row is replaced: `repaired` for ids that were recovered, `venue_hole`
for ids that the venue itself does not have. One gap may end as several rows, each of one status.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from streaming.continuity import Continuity, Span

Status = Literal["open", "repaired", "venue_hole"]

LONG_ABSENCE = "long_absence"
"""Cause of a gap that is left to `quant backfill`: the worker was away longer than allowed."""


class GapRow(NamedTuple):
    """A row of `raw.capture_gaps`, without the venue. Times in microseconds since the epoch."""

    symbol: str
    first_id: int
    last_id: int
    detected_us: int
    cause: str
    status: Status
    repaired_us: int | None
    trades_recovered: int


class GapKey(NamedTuple):
    """Which row a change replaces."""

    symbol: str
    first_id: int
    last_id: int


@dataclass(frozen=True, slots=True)
class GapChanges:
    """Rows to delete and rows to insert, in one commit."""

    replaced: tuple[GapKey, ...] = ()
    rows: tuple[GapRow, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.replaced or self.rows)


@dataclass(slots=True)
class Gap:
    """A declared gap."""

    symbol: str
    span: Span
    detected_us: int
    cause: str
    is_recorded: bool = False  # its open row is in the lake, or on its way there
    holes: list[Span] = field(default_factory=list)

    @property
    def key(self) -> GapKey:
        return GapKey(self.symbol, self.span.first, self.span.last)


@dataclass(slots=True)
class _Suspect:
    span: Span
    detected_us: int
    cause: str


class GapBook:
    """All gaps of a venue's symbols. Missing ids themselves live in each symbol's `Continuity`."""

    def __init__(self, continuities: Mapping[str, Continuity], reorder_window_us: int) -> None:
        self._continuities = continuities
        self._window_us = reorder_window_us
        self._suspects: dict[str, list[_Suspect]] = {}
        self._gaps: dict[str, list[Gap]] = {}
        self.repaired_trades = 0
        self.hole_trades = 0
        self.closed_gaps = 0
        self.reordered_trades = 0

    def suspect(self, symbol: str, span: Span, now_us: int, cause: str) -> None:
        """An id beyond `span` arrived."""
        self._suspects.setdefault(symbol, []).append(_Suspect(span, now_us, cause))

    def declare(self, symbol: str, span: Span, now_us: int, cause: str) -> Gap:
        """Take `span`, known to be missing, as a gap at once."""
        gap = Gap(symbol, span, now_us, cause)
        self._gaps.setdefault(symbol, []).append(gap)
        return gap

    def restore(self, row: GapRow) -> Gap:
        """Take over a gap that an earlier run left open in the lake."""
        span = Span(row.first_id, row.last_id)
        gap = Gap(row.symbol, span, row.detected_us, row.cause, is_recorded=True)
        self._gaps.setdefault(row.symbol, []).append(gap)
        return gap

    def declare_due(self, now_us: int) -> list[Gap]:
        """Declare what is still missing of suspicions older than the reorder window."""
        declared = []
        for symbol, suspects in list(self._suspects.items()):
            continuity = self._continuities[symbol]
            waiting = []
            for suspect in suspects:
                if now_us - suspect.detected_us < self._window_us:
                    if next(continuity.missing(*suspect.span), None) is not None:
                        waiting.append(suspect)
                    else:
                        self.reordered_trades += suspect.span.width
                    continue
                still = list(continuity.missing(*suspect.span))
                self.reordered_trades += suspect.span.width - sum(span.width for span in still)
                declared += [
                    self.declare(symbol, span, suspect.detected_us, suspect.cause) for span in still
                ]
            if waiting:
                self._suspects[symbol] = waiting
            else:
                del self._suspects[symbol]
        return declared

    def holds(self) -> dict[str, int]:
        """Per symbol, the first id that must wait because an id below it is only suspected."""
        return {
            symbol: min(suspect.span.first for suspect in suspects)
            for symbol, suspects in self._suspects.items()
        }

    def admit_hole(self, symbol: str, span: Span) -> None:
        """The venue does not have these ids: stop missing them."""
        for gap in self._gaps.get(symbol, ()):
            first, last = max(span.first, gap.span.first), min(span.last, gap.span.last)
            if first <= last:
                for part in list(self._continuities[symbol].missing(first, last)):
                    gap.holes.append(part)
                    self._continuities[symbol].discard(*part)

    def settle(self, now_us: int) -> GapChanges:
        """What `raw.capture_gaps` must be told with the next commit."""
        replaced: list[GapKey] = []
        rows: list[GapRow] = []
        for symbol, gaps in list(self._gaps.items()):
            continuity = self._continuities[symbol]
            unresolved = []
            for gap in gaps:
                if next(continuity.missing(*gap.span), None) is not None:
                    unresolved.append(gap)
                    if not gap.is_recorded:
                        rows.append(_row(gap, gap.span, "open", None))
                        gap.is_recorded = True
                    continue
                if gap.is_recorded:
                    replaced.append(gap.key)
                rows += self._final_rows(gap, now_us)
                self.closed_gaps += 1
            if unresolved:
                self._gaps[symbol] = unresolved
            else:
                del self._gaps[symbol]
        return GapChanges(tuple(replaced), tuple(rows))

    def open_gaps(self, symbol: str | None = None) -> Iterable[Gap]:
        """Declared gaps that are not resolved, oldest first for each symbol."""
        if symbol is not None:
            return tuple(self._gaps.get(symbol, ()))
        return tuple(gap for gaps in self._gaps.values() for gap in gaps)

    @property
    def suspected_count(self) -> int:
        """How many suspicions wait for the reorder window to pass."""
        return sum(map(len, self._suspects.values()))

    def _final_rows(self, gap: Gap, now_us: int) -> list[GapRow]:
        rows = []
        position = gap.span.first
        for hole in sorted(gap.holes):
            if position < hole.first:
                rows.append(_row(gap, Span(position, hole.first - 1), "repaired", now_us))
            rows.append(_row(gap, hole, "venue_hole", now_us))
            self.hole_trades += hole.width
            position = hole.last + 1
        if position <= gap.span.last:
            rows.append(_row(gap, Span(position, gap.span.last), "repaired", now_us))
        self.repaired_trades += sum(row.trades_recovered for row in rows)
        return rows


def _row(gap: Gap, span: Span, status: Status, repaired_us: int | None) -> GapRow:
    recovered = span.width if status == "repaired" else 0
    return GapRow(gap.symbol, *span, gap.detected_us, gap.cause, status, repaired_us, recovered)
