"""What is fresh: which dates and symbols changed after a lake snapshot, and which pairs that names.

Pure decisions and two queries; sensors.py turns the answers into runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

import duckdb

from quant_pipeline.defs.partitions import PairDay
from quant_pipeline.settings import Pair, Timeframe

NEVER: Final = -1
"""The snapshot before every snapshot."""


@dataclass(frozen=True)
class TickCommits:
    """What landed in raw.ticks since a snapshot."""

    rows: int
    snapshot: int
    newest_trade: datetime
    rows_by_symbol: Mapping[str, int]


@dataclass(frozen=True)
class Backlog:
    """The sensor's memory between ticks: what was seen, what still waits, what ran last when.

    Attributes:
        snapshot: newest lake snapshot whose changes are in `waiting` or were run.
        waiting: partition key -> snapshot of its newest change not yet run.
        last_run: partition key -> epoch seconds of its newest run.
    """

    snapshot: int = NEVER
    waiting: Mapping[str, int] = field(default_factory=dict)
    last_run: Mapping[str, float] = field(default_factory=dict)

    def dumps(self) -> str:
        """The backlog as a sensor cursor."""
        return json.dumps(
            {"snapshot": self.snapshot, "waiting": self.waiting, "last_run": self.last_run}
        )

    @classmethod
    def loads(cls, cursor: str | None) -> Backlog:
        """Read a cursor; None is the beginning."""
        return cls(**json.loads(cursor)) if cursor else cls()

    def add(self, changed: Mapping[str, int], snapshot: int) -> Backlog:
        """The backlog after these partitions were found changed, up to `snapshot`."""
        return Backlog(max(snapshot, self.snapshot), {**self.waiting, **changed}, self.last_run)

    def take(
        self, *, now: float, interval_s: float, limit: int, running: Iterable[str]
    ) -> tuple[dict[str, int], Backlog]:
        """Choose what to run now, longest unrun first, and the backlog that then remains.

        A partition waits while a run of it is in progress and for `interval_s` after its last
        one, so that a day in progress is re-run as it grows but not without pause.
        """
        busy = set(running)
        due = sorted(
            (self.last_run.get(key, 0.0), key)
            for key in self.waiting
            if key not in busy and now - self.last_run.get(key, float("-inf")) >= interval_s
        )
        chosen = {key: self.waiting[key] for _, key in due[:limit]}
        waiting = {key: value for key, value in self.waiting.items() if key not in chosen}
        recent = {key: at for key, at in self.last_run.items() if now - at < interval_s}
        return chosen, Backlog(self.snapshot, waiting, recent | dict.fromkeys(chosen, now))


def tick_commits(connection: duckdb.DuckDBPyConnection, *, since: int) -> TickCommits | None:
    """What raw.ticks received after snapshot `since`; None if nothing."""
    rows = connection.execute(
        "SELECT symbol, count(*), max(snapshot_id), max(ts) FROM raw.ticks"
        " WHERE snapshot_id > ? GROUP BY symbol ORDER BY symbol",
        [since],
    ).fetchall()
    if not rows:
        return None
    return TickCommits(
        rows=sum(row[1] for row in rows),
        snapshot=max(row[2] for row in rows),
        newest_trade=max(row[3] for row in rows),
        rows_by_symbol={row[0]: row[1] for row in rows},
    )


def changed_days(
    connection: duckdb.DuckDBPyConnection, timeframe: Timeframe, *, since: int
) -> dict[tuple[str, date], int]:
    """(symbol, UTC date) of every stored bar that changed after snapshot `since`, with the newest
    snapshot that changed one. A tick of last week names last week's date and no other.
    """
    if not has_table(connection, "bars", f"ohlc_{timeframe}"):
        return {}
    rows = connection.execute(
        f"SELECT symbol, bucket::DATE, max(snapshot_id) FROM bars.ohlc_{timeframe}"
        " WHERE snapshot_id > ? GROUP BY ALL",
        [since],
    ).fetchall()
    return {(symbol, day): snapshot for symbol, day, snapshot in rows}


def changed_pairs(
    changes: Mapping[tuple[str, date], int], pairs: Iterable[Pair], *, first_day: date
) -> dict[str, int]:
    """Partition keys whose pair has a leg among the changes, with the newest snapshot of either."""
    found: dict[str, int] = {}
    for pair in pairs:
        for (symbol, day), snapshot in changes.items():
            if symbol in pair and day >= first_day:
                key = PairDay(day, pair).key
                found[key] = max(found.get(key, NEVER), snapshot)
    return found


def bars_watermark(connection: duckdb.DuckDBPyConnection) -> int:
    """Newest tick snapshot that the finest bars have consumed; NEVER if there are none."""
    if not has_table(connection, "bars", "ohlc_1s"):
        return NEVER
    row = connection.execute("SELECT max(src_snapshot) FROM bars.ohlc_1s").fetchone()
    return NEVER if row is None or row[0] is None else int(row[0])


def published(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Partition key -> lake snapshot of the newest pair statistics published for it."""
    rows = connection.execute(
        "SELECT day, y, x, max(lake_snapshot) FROM analytics.pair_snapshots GROUP BY ALL"
    ).fetchall()
    return {PairDay(day, Pair(y, x)).key: snapshot for day, y, x, snapshot in rows}


def has_table(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> bool:
    """Whether the lake has this table or view; before the first dbt run there are no bars."""
    row = connection.execute(
        "SELECT count(*) FROM information_schema.tables"
        " WHERE table_catalog = 'lake' AND table_schema = ? AND table_name = ?",
        [schema, table],
    ).fetchone()
    return row is not None and row[0] > 0
