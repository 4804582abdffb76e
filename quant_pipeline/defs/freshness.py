"""What is fresh: which dates and symbols changed after a lake snapshot, and which pairs that names.

Pure decisions and two queries; sensors.py turns the answers into runs.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime
from typing import Final, Literal, TypeVar

import duckdb

from quant_pipeline.defs.partitions import PairDay
from quant_pipeline.research.published import BY_SETTINGS, by_settings
from quant_pipeline.settings import Pair, Settings, Timeframe

NEVER: Final = -1
"""The snapshot before every snapshot."""

SETTLE_S: Final = 2.0
"""Seconds after the end of a minute in which its last trades land: a flush, and the way here."""

_ATTEMPTS: Final = 5

Outcome = Literal["unfinished", "succeeded", "failed"]
T = TypeVar("T")


@dataclass(frozen=True)
class TickCommits:
    """What landed in raw.ticks since a snapshot."""

    rows: int
    snapshot: int
    newest_trade: datetime
    rows_by_symbol: Mapping[str, int]


@dataclass(frozen=True)
class Backlog:
    """The sensor's memory between ticks: what was seen, what still waits, what was asked for.

    Attributes:
        snapshot: newest lake snapshot whose changes are in `waiting` or were run.
        waiting: partition key -> snapshot of its newest change not yet run.
        last_run: partition key -> epoch seconds of its newest run.
        requested: partition key -> the change a run was asked for, and how often in vain.
        pairs: pairs whose history up to `snapshot` was looked at.
    """

    snapshot: int = NEVER
    waiting: Mapping[str, int] = field(default_factory=dict)
    last_run: Mapping[str, float] = field(default_factory=dict)
    requested: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    pairs: tuple[str, ...] = ()

    def dumps(self) -> str:
        """The backlog as a sensor cursor."""
        return json.dumps({each.name: getattr(self, each.name) for each in fields(self)})

    @classmethod
    def loads(cls, cursor: str | None) -> Backlog:
        """Read a cursor; None is the beginning."""
        if not cursor:
            return cls()
        values = json.loads(cursor)
        requested = {key: tuple(value) for key, value in values.pop("requested", {}).items()}
        pairs = tuple(values.pop("pairs", ()))
        return cls(**values, requested=requested, pairs=pairs)

    def add(self, changed: Mapping[str, int], snapshot: int) -> Backlog:
        """The backlog after these partitions were found changed, up to `snapshot`."""
        return replace(
            self, snapshot=max(snapshot, self.snapshot), waiting={**self.waiting, **changed}
        )

    def keep(self, pairs: Iterable[Pair]) -> Backlog:
        """The backlog without what waits for pairs that are no longer in the settings."""
        names = {pair.key for pair in pairs}
        return replace(
            self,
            waiting=_of_pairs(self.waiting, names),
            requested=_of_pairs(self.requested, names),
            pairs=tuple(sorted(names)),
        )

    def settle(self, outcomes: Mapping[str, Outcome]) -> Backlog:
        """The backlog after the runs that were asked for were looked at.

        One that failed waits again, so that nothing is missed because the lake was away or a run
        was killed; after five in vain it waits for its bars to change.
        """
        waiting, requested = dict(self.waiting), dict(self.requested)
        for key, outcome in outcomes.items():
            snapshot, failures = requested.pop(key)
            if outcome == "unfinished":
                requested[key] = (snapshot, failures)
            elif outcome == "failed" and failures + 1 < _ATTEMPTS:
                waiting.setdefault(key, snapshot)
                requested[key] = (snapshot, failures + 1)
        return replace(self, waiting=waiting, requested=requested)

    def take(
        self, *, now: float, interval_s: float, limit: int, running: Iterable[str]
    ) -> tuple[dict[str, int], Backlog]:
        """Choose what to run now, longest unrun first, and the backlog that then remains.

        A partition waits while a run of it is in progress, and for the next multiple of
        `interval_s` on the clock (UTC) after its last one. So at the default of a minute a day in
        progress is re-run once a minute, just after the minute has closed.
        """
        busy = set(running)
        slot = (now - SETTLE_S) // interval_s
        due = sorted(
            (self.last_run.get(key, 0.0), key)
            for key in self.waiting
            if key not in busy
            and (key not in self.last_run or (self.last_run[key] - SETTLE_S) // interval_s < slot)
        )
        chosen = {key: self.waiting[key] for _, key in due[:limit]}
        waiting = {key: value for key, value in self.waiting.items() if key not in chosen}
        recent = {key: at for key, at in self.last_run.items() if now - at < 2 * interval_s}
        requested = dict(self.requested)
        for key, snapshot in chosen.items():
            before, failures = requested.get(key, (snapshot, 0))
            requested[key] = (snapshot, failures if before == snapshot else 0)
        backlog = replace(
            self,
            waiting=waiting,
            last_run=recent | dict.fromkeys(chosen, now),
            requested=requested,
        )
        return chosen, backlog


def _of_pairs(values: Mapping[str, T], names: Collection[str]) -> dict[str, T]:
    return {key: value for key, value in values.items() if key.partition("|")[2] in names}


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


def published(connection: duckdb.DuckDBPyConnection, settings: Settings) -> dict[str, int]:
    """Partition key -> lake snapshot of the newest pair statistics published for it.

    Only those with the settings' parameters count: a researcher's own run is no reason not to
    bring the partition up to date.
    """
    rows = connection.execute(
        "SELECT day, y, x, max(lake_snapshot) FROM analytics.pair_snapshots"
        f" WHERE {BY_SETTINGS} GROUP BY ALL",
        by_settings(settings),
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
