"""Which trade ids of a range the lake does not hold."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import NamedTuple

import duckdb

from quant_pipeline import lake


class Ids(NamedTuple):
    """Trade ids from `first` to `last`, both included."""

    first: int
    last: int

    @property
    def width(self) -> int:
        """How many ids."""
        return self.last - self.first + 1


def missing_ids(
    connection: duckdb.DuckDBPyConnection,
    venue: str,
    symbol: str,
    wanted: Ids,
    start: datetime | None = None,
    end: datetime | None = None,
) -> list[Ids]:
    """Ids of `wanted` that are neither in `raw.ticks` nor known to be the venue's own holes.

    Args:
        wanted: the ids of the trades in [start, end).
        start, end: UTC without zone: only the files of those days are read; None: all.
    """
    margin = timedelta(seconds=1)
    times: dict[str, datetime] = {}
    if start is not None:
        times["start"] = start - margin
    if end is not None:
        times["end"] = end + margin
    bounds = {"start": "and ts >= $start", "end": "and ts <= $end"}
    rows = connection.execute(
        f"""
        with known as (
            select trade_id as first_id, trade_id as last_id from raw.ticks
            where venue = $venue and symbol = $symbol and trade_id between $first and $last
                {" ".join(bounds[name] for name in times)}
            union all
            select first_id, last_id from raw.capture_gaps
            where venue = $venue and symbol = $symbol and status = 'venue_hole'
                and last_id >= $first and first_id <= $last
            union all
            select $first - 1, $first - 1
            union all
            select $last + 1, $last + 1
        ),
        covered as (
            select first_id,
                max(last_id) over (
                    order by first_id rows between unbounded preceding and 1 preceding
                ) as before
            from known
        )
        select before + 1, first_id - 1 from covered where first_id > before + 1 order by 1
        """,
        {
            "venue": venue,
            "symbol": symbol,
            "first": wanted.first,
            "last": wanted.last,
            **times,
        },
    ).fetchall()
    return [Ids(*row) for row in rows]


def archived_between(
    connection: duckdb.DuckDBPyConnection, start: datetime, end: datetime
) -> list[date]:
    """Days of [start, end) that retention took out of the lake."""
    rows = connection.execute(
        "select distinct day from raw.archived_days where day >= ?::date and day < ? order by 1",
        [start, end],
    ).fetchall()
    return [row[0] for row in rows]


def resolve_gaps(
    connection: duckdb.DuckDBPyConnection,
    venue: str,
    symbol: str,
    wanted: Ids,
    holes: list[Ids],
    still_missing: list[Ids],
    now: datetime,
) -> int:
    """Write down what became of open gaps of `wanted`, and the venue's holes; returns gaps closed.

    An open gap is replaced by `repaired` rows for what was recovered and `venue_hole` rows for
    what the venue does not have, unless some of it is still missing, in `wanted` or beyond.
    """
    closed = 0
    with lake.transaction(connection):
        rows = connection.execute(
            "select first_id, last_id, detected_at, cause from raw.capture_gaps"
            " where venue = ? and symbol = ? and status = 'open'"
            " and last_id >= ? and first_id <= ?",
            [venue, symbol, *wanted],
        ).fetchall()
        for first, last, detected_at, cause in rows:
            gap = Ids(first, last)
            if any(_overlap(gap, span) for span in still_missing):
                continue
            beyond = [
                part
                for outside in _without(gap, [wanted])
                for part in missing_ids(connection, venue, symbol, outside)
            ]
            if beyond:
                continue
            closed += 1
            connection.execute(
                "delete from raw.capture_gaps where venue = ? and symbol = ? and status = 'open'"
                " and first_id = ? and last_id = ?",
                [venue, symbol, first, last],
            )
            for part in _without(gap, [*holes, *_recorded_holes(connection, venue, symbol, gap)]):
                _insert(connection, venue, symbol, part, detected_at, cause, "repaired", now)
        for hole in holes:
            _insert(connection, venue, symbol, hole, now, "backfill", "venue_hole", now)
    return closed


def _recorded_holes(
    connection: duckdb.DuckDBPyConnection, venue: str, symbol: str, ids: Ids
) -> list[Ids]:
    rows = connection.execute(
        "select first_id, last_id from raw.capture_gaps where venue = ? and symbol = ?"
        " and status = 'venue_hole' and last_id >= ? and first_id <= ?",
        [venue, symbol, *ids],
    ).fetchall()
    return [Ids(*row) for row in rows]


def _insert(
    connection: duckdb.DuckDBPyConnection,
    venue: str,
    symbol: str,
    ids: Ids,
    detected_at: datetime,
    cause: str,
    status: str,
    now: datetime,
) -> None:
    recovered = ids.width if status == "repaired" else 0
    connection.execute(
        "insert into raw.capture_gaps (venue, symbol, first_id, last_id, detected_at, cause,"
        " status, repaired_at, trades_recovered) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [venue, symbol, *ids, detected_at, cause, status, now, recovered],
    )


def _overlap(left: Ids, right: Ids) -> bool:
    return left.first <= right.last and right.first <= left.last


def _without(span: Ids, holes: list[Ids]) -> list[Ids]:
    """What of `span` is in none of the holes."""
    parts, position = [], span.first
    for hole in sorted(hole for hole in holes if _overlap(span, hole)):
        if position < hole.first:
            parts.append(Ids(position, hole.first - 1))
        position = max(position, hole.last + 1)
    if position <= span.last:
        parts.append(Ids(position, span.last))
    return parts
