"""Keep the lake fast and small while it is in use: merge, expire, clean up.

Two tiers. Every time: small files are merged. Daily: everything is merged, ticks that landed twice
are looked for, old snapshots expire, files that nobody can be reading are removed, and ticks past
their retention leave. It runs in a process of its own (`quant maintain`), since a process should
have one lake connection in use.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Final

import duckdb
import psycopg

from quant_pipeline import catalog, compaction, copies, lake, retention
from quant_pipeline.compaction import DBT_SCHEMAS, DbtBusyError, TableFiles
from quant_pipeline.retention import ArchivedDay
from quant_pipeline.settings import Settings

PASSING_ERRORS: Final = (duckdb.Error, psycopg.Error, catalog.CatalogError, lake.LakeError, OSError)
"""What a run raises when the lake is away or its DuckDB died; the next run starts afresh."""

_DAY = timedelta(days=1)
_DBT_WAIT_S = 5.0
_DBT_WAIT_DAILY_S = 60.0


@dataclass(frozen=True)
class TableChange:
    """A table's current files before and after."""

    name: str
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int


@dataclass
class Report:
    """What maintenance did, or would do.

    Attributes:
        daily: whether the daily tier ran.
        dry_run: nothing was changed; `tables` shows the files that would be left, bytes as before.
        tables: every table that holds files.
        snapshots_expired: snapshots that can no longer be travelled to.
        files_removed: replaced files that were deleted from the store.
        orphans_removed: files deleted that no table named.
        archived: days that retention retired.
        notes: what was left for the next time, and why.
        seconds: wall time.
    """

    daily: bool
    dry_run: bool
    tables: list[TableChange] = field(default_factory=list)
    snapshots_expired: int = 0
    files_removed: int = 0
    orphans_removed: int = 0
    archived: list[ArchivedDay] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def files_before(self) -> int:
        """Current files of all tables when it began."""
        return sum(table.files_before for table in self.tables)

    @property
    def files_after(self) -> int:
        """Current files of all tables when it ended."""
        return sum(table.files_after for table in self.tables)

    @property
    def bytes_before(self) -> int:
        """Size of the current files when it began."""
        return sum(table.bytes_before for table in self.tables)

    @property
    def bytes_after(self) -> int:
        """Size of the current files when it ended."""
        return sum(table.bytes_after for table in self.tables)


def _utc_now() -> datetime:
    return datetime.now(UTC)


def run(
    settings: Settings,
    *,
    daily: bool | None = None,
    dry_run: bool = False,
    clock: Callable[[], datetime] = _utc_now,
) -> Report:
    """Run what is due, once.

    Args:
        settings: names the lake and its schedule.
        daily: run the daily tier too; None: if a day has passed since it last ran.
        dry_run: only tell what would be done.
        clock: the time, aware, for ages and the record.

    Raises:
        catalog.CatalogError, lake.LakeError: the lake cannot be opened.
        duckdb.Error: something that the next run will not cure by itself.
    """
    started = time.monotonic()
    # The connection is this run's own: a DuckDB instance that failed must not be used again.
    with lake.connect(settings=settings) as connection:
        dsn = catalog.ensure(settings)
        with catalog.advisory_lock(dsn, "maintenance", wait=False) as is_free:
            if daily is None:
                daily = _is_daily_due(dsn, clock())
            report = Report(daily=daily, dry_run=dry_run)
            if not is_free:
                report.notes.append("another maintenance is running; nothing was done")
            elif dry_run:
                _foresee(connection, settings, report, clock())
            else:
                _work(connection, settings, dsn, report, clock())
    report.seconds = time.monotonic() - started
    if is_free and not dry_run:
        _record(dsn, report, clock())
    return report


def _work(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    dsn: str,
    report: Report,
    now: datetime,
) -> None:
    before = compaction.table_files(connection)
    if report.daily:
        _retire(connection, settings, dsn, report, now)
    _merge(connection, dsn, report, None if report.daily else settings.maintenance_small_file_bytes)
    if report.daily:
        _guarded(report, "the search for copies", lambda: copies.search(connection))
        _expire_and_clean(connection, settings, report, now)
    report.tables = _changes(before, compaction.table_files(connection))


def _merge(
    connection: duckdb.DuckDBPyConnection, dsn: str, report: Report, below_bytes: int | None
) -> None:
    def merge(*, of_dbt: bool) -> None:
        for table in compaction.mergeable(connection, below_bytes=below_bytes):
            if (table.schema in DBT_SCHEMAS) is of_dbt:
                names = table.schema, table.table
                action = partial(compaction.merge, connection, *names, below_bytes=below_bytes)
                _guarded(report, ".".join(names), action)

    merge(of_dbt=False)
    with_deletes = [
        table
        for table in compaction.table_files(connection)
        if table.schema in DBT_SCHEMAS and table.delete_files
    ]
    todo = compaction.mergeable(connection, below_bytes=below_bytes)
    if not with_deletes and not any(table.schema in DBT_SCHEMAS for table in todo):
        return
    try:
        with compaction.no_dbt(dsn, wait_s=_DBT_WAIT_DAILY_S if report.daily else _DBT_WAIT_S):
            for files in with_deletes:
                names = files.schema, files.table
                action = partial(compaction.rewrite, connection, *names, everything=report.daily)
                _guarded(report, files.name, action)
            merge(of_dbt=True)
    except DbtBusyError as error:
        report.notes.append(f"{error}: bars are left for the next time")


def _guarded(report: Report, name: str, action: Callable[[], object]) -> None:
    """Leave a table for the next time if somebody changed the files that were being merged."""
    try:
        action()
    except duckdb.TransactionException as error:
        report.notes.append(f"{name} was in use and is left for the next time: {error}")


def _retire(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    dsn: str,
    report: Report,
    now: datetime,
) -> None:
    days = retention.due(connection, settings, now)
    if not days:
        return
    try:
        with (
            compaction.no_dbt(dsn, wait_s=_DBT_WAIT_DAILY_S),
            catalog.advisory_lock(dsn, "backfill", wait=False) as is_free,
        ):
            if not is_free:
                report.notes.append("a backfill is running: retention is left for the next time")
                return
            for day in days:
                _retire_day(connection, settings, report, day, now)
    except DbtBusyError as error:
        report.notes.append(f"{error}: retention is left for the next time")


def _retire_day(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    report: Report,
    day: date,
    now: datetime,
) -> None:
    try:
        moment = now.astimezone(UTC).replace(tzinfo=None)
        report.archived.append(retention.retire(connection, settings, day, now=moment))
    except retention.RetentionError as error:
        report.notes.append(f"the ticks of {day} were not retired: {error}")


def _expire_and_clean(
    connection: duckdb.DuckDBPyConnection, settings: Settings, report: Report, now: datetime
) -> None:
    calls = _cleanup_calls(settings, now, dry_run=report.dry_run)
    report.snapshots_expired = len(connection.execute(*calls["expire"]).fetchall())
    report.files_removed = len(connection.execute(*calls["files"]).fetchall())
    report.orphans_removed = len(connection.execute(*calls["orphans"]).fetchall())


def _cleanup_calls(
    settings: Settings, now: datetime, *, dry_run: bool
) -> dict[str, tuple[str, list[datetime]]]:
    """The three calls that forget and delete; never `cleanup_all`, which breaks open readers."""
    ages = {
        "expire": ("ducklake_expire_snapshots", timedelta(days=settings.snapshot_retention_days)),
        "files": ("ducklake_cleanup_old_files", timedelta(hours=settings.file_grace_hours)),
        "orphans": ("ducklake_delete_orphaned_files", timedelta(days=settings.orphan_grace_days)),
    }
    dry = str(dry_run).lower()
    return {
        name: (
            f"call {function}('{lake.LAKE}', dry_run => {dry}, older_than => ?::timestamptz)",
            [now - age],
        )
        for name, (function, age) in ages.items()
    }


def _foresee(
    connection: duckdb.DuckDBPyConnection, settings: Settings, report: Report, now: datetime
) -> None:
    limit = None if report.daily else settings.maintenance_small_file_bytes
    taken = {
        f"{table.schema}.{table.table}": table
        for table in compaction.mergeable(connection, below_bytes=limit, rewritten=True)
    }
    for files in compaction.table_files(connection):
        if not files.files:
            continue
        merged = taken.get(files.name)
        after = files.files - merged.files + merged.partitions if merged else files.files
        report.tables.append(TableChange(files.name, files.files, after, files.bytes, files.bytes))
    if report.daily:
        report.archived = [
            ArchivedDay(day, 0, settings.archive_folder)
            for day in retention.due(connection, settings, now)
        ]
        _expire_and_clean(connection, settings, report, now)


def _changes(before: list[TableFiles], after: list[TableFiles]) -> list[TableChange]:
    earlier = {table.name: table for table in before}
    changes = []
    for table in after:
        was = earlier.get(table.name, TableFiles(table.schema, table.table, 0, 0, 0))
        if was.files or table.files:
            changes.append(TableChange(table.name, was.files, table.files, was.bytes, table.bytes))
    return changes


def _is_daily_due(dsn: str, now: datetime) -> bool:
    with psycopg.connect(dsn) as postgres:
        _prepare_record(postgres)
        row = postgres.execute(
            "select max(finished_at) from quant_maintenance where daily"
        ).fetchone()
    return row is None or row[0] is None or now - row[0] >= _DAY


def _record(dsn: str, report: Report, now: datetime) -> None:
    """In the catalog's server rather than the lake, where each run would leave another file."""
    with psycopg.connect(dsn) as postgres:
        _prepare_record(postgres)
        postgres.execute(
            "insert into quant_maintenance values (%s, %s, %s)",
            (now, report.daily, json.dumps(asdict(report), default=str)),
        )
        postgres.execute(
            "delete from quant_maintenance where finished_at < %s", (now - timedelta(days=30),)
        )


def _prepare_record(postgres: psycopg.Connection[tuple[object, ...]]) -> None:
    postgres.execute(
        "create table if not exists quant_maintenance"
        " (finished_at timestamptz not null, daily boolean not null, report jsonb not null)"
    )
