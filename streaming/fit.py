"""Fit a batch to what the lake holds, for batches whose past nobody vouches for.

A worker that starts while the lake is away does not know where the lake ends, and a spooled file
that the disk damaged is missing between its neighbours. Such batches are compared with the lake
as they land: trades that it holds already are left out, and ids that it should hold by then and
does not are declared as gaps, in the same commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from streaming import resume
from streaming.batch import Batch
from streaming.continuity import Continuity, Span
from streaming.gaps import LONG_ABSENCE, GapChanges, GapRow, Status

_EXPLAINS: Final[tuple[Status, ...]] = ("open", "venue_hole")


@dataclass(frozen=True)
class Fitted:
    """A batch that continues what the lake holds."""

    batch: Batch
    declared: tuple[GapRow, ...] = ()
    """Its gap rows that were found by fitting."""


def fit(
    connection: duckdb.DuckDBPyConnection,
    venue: str,
    batch: Batch,
    *,
    cause: str,
    resume_max_us: int,
) -> Fitted:
    """Compare a batch with the lake that it is about to land in.

    Args:
        cause: of the gaps that are found.
        resume_max_us: after a longer absence the cause is `long_absence` instead.
    """
    ids = ids_by_symbol(batch)
    repaired = [row for row in batch.gaps.rows if row.status == "repaired"]
    symbols = sorted(ids.keys() | {row.symbol for row in repaired})
    if not symbols:
        return Fitted(batch)
    ends = resume.positions(connection, venue, symbols)
    claims = {name: Continuity() for name in symbols}
    for name, own in ids.items():
        first = ends[name].last_id + 1 if name in ends else int(own[0])
        if first <= own[-1]:
            claims[name].add_missing(first, int(own[-1]))
    for row in repaired:
        claims[row.symbol].add_missing(row.first_id, row.last_id)
    held = resume.held(connection, venue, list(_below(ids, ends, repaired)))
    for name, spans in held.items():
        _discard(claims[name], spans)
    for name, own in ids.items():
        _discard(claims[name], runs(own))
    _discard_explained(claims, batch.gaps.rows)
    if any(claim.missing_count for claim in claims.values()):
        _discard_explained(claims, resume.gaps(connection, venue, symbols, _EXPLAINS))
    declared = tuple(
        GapRow(
            name,
            *span,
            batch.sealed_us,
            LONG_ABSENCE
            if name in ends and batch.sealed_us - ends[name].received_us > resume_max_us
            else cause,
            "open",
            None,
            0,
        )
        for name, claim in claims.items()
        for span in claim.missing()
    )
    changes = GapChanges(batch.gaps.replaced, batch.gaps.rows + declared)
    return Fitted(replace(_without(batch, held), gaps=changes), declared)


def ids_by_symbol(batch: Batch) -> dict[str, npt.NDArray[np.int64]]:
    """A batch's trade ids, ascending."""
    if not batch.rows:
        return {}
    symbols = batch.ticks["symbol"].combine_chunks()
    names = symbols.dictionary.to_pylist()
    indices = symbols.indices.to_numpy()
    trade_ids = batch.ticks["trade_id"].to_numpy()
    return {names[index]: np.unique(trade_ids[indices == index]) for index in np.unique(indices)}


def runs(ids: npt.NDArray[np.int64]) -> Iterator[Span]:
    """Ascending ids as spans."""
    if len(ids):
        breaks = np.flatnonzero(np.diff(ids) > 1)
        firsts = ids[np.concatenate(([0], breaks + 1))]
        lasts = ids[np.concatenate((breaks, [len(ids) - 1]))]
        yield from (Span(int(a), int(b)) for a, b in zip(firsts, lasts, strict=True))


def _below(
    ids: dict[str, npt.NDArray[np.int64]],
    ends: dict[str, resume.Position],
    repaired: Sequence[GapRow],
) -> Iterator[tuple[str, int, int]]:
    """Ids that the lake may hold: of this batch, and of the gaps that it calls repaired."""
    for name, end in ends.items():
        spans = Continuity()
        for span in runs(ids[name]) if name in ids else ():
            if span.first <= end.last_id:
                spans.add_missing(span.first, min(span.last, end.last_id))
        for row in repaired:
            if row.symbol == name:
                spans.add_missing(row.first_id, row.last_id)
        yield from ((name, *span) for span in spans.missing())


def _discard(claim: Continuity, spans: Iterable[Span]) -> None:
    for span in spans:
        claim.discard(*span)


def _discard_explained(claims: dict[str, Continuity], rows: Iterable[GapRow]) -> None:
    for row in rows:
        if row.status in _EXPLAINS:
            claims[row.symbol].discard(row.first_id, row.last_id)


def _without(batch: Batch, held: dict[str, tuple[Span, ...]]) -> Batch:
    """The batch without the trades that the lake holds."""
    ticks = batch.ticks
    for name, spans in held.items():
        for span in spans:
            is_held = pc.and_(
                pc.equal(ticks["symbol"], name),
                pc.and_(
                    pc.greater_equal(ticks["trade_id"], span.first),
                    pc.less_equal(ticks["trade_id"], span.last),
                ),
            )
            ticks = ticks.filter(pc.invert(is_held))
    return batch if ticks is batch.ticks else replace(batch, ticks=ticks)
