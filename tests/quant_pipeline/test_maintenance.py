"""Maintenance leaves rows, snapshot ids and everybody at work alone; only files change."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import psycopg
import pytest
from dbt.contracts.graph.manifest import Manifest

from quant_pipeline import catalog, compaction, lake, maintenance
from quant_pipeline import settings as settings_module
from quant_pipeline.resident_dbt import ResidentDbt
from quant_pipeline.settings import Settings
from tests.dbt_project.warehouse import BAR_MODELS

TICKS = """
insert into raw.ticks
select 'binance', 'BTCUSDT', {first} + r, timestamp '2024-08-08' + interval ({first} + r) second,
    now()::timestamp, 60000 + r, 0.1, r % 2 = 0
from range({count}) as t (r)
"""


def commit_ticks(connection: duckdb.DuckDBPyConnection, commits: int, first: int = 0) -> None:
    for number in range(commits):
        connection.execute(TICKS.format(first=first + number * 10, count=10))


def ticks_with_snapshots(connection: duckdb.DuckDBPyConnection) -> list[tuple[object, ...]]:
    return connection.execute("select snapshot_id, * from raw.ticks order by trade_id").fetchall()


def file_count(connection: duckdb.DuckDBPyConnection, name: str) -> int:
    return next(table.files for table in compaction.table_files(connection) if table.name == name)


def stored_files(settings: Settings) -> int:
    return len(list((Path(settings.lake_path) / "raw" / "ticks").rglob("*.parquet")))


@pytest.fixture
def connection(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    with lake.connect(settings=settings) as connection:
        yield connection


def later(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


def test_merging_keeps_every_rows_snapshot_id_through_both_tiers_and_expiry(
    settings: Settings, connection: duckdb.DuckDBPyConnection
) -> None:
    """The bars' watermark is a snapshot id: a merge that changed one would corrupt the bars."""
    commit_ticks(connection, 30)
    before = ticks_with_snapshots(connection)
    assert len({row[0] for row in before}) == 30
    small = maintenance.run(settings, daily=False)
    assert file_count(connection, "raw.ticks") == 1
    assert ticks_with_snapshots(connection) == before
    commit_ticks(connection, 5, first=300)
    before = ticks_with_snapshots(connection)
    daily = maintenance.run(settings, daily=True, clock=lambda: later(30))
    assert daily.snapshots_expired > 30
    assert ticks_with_snapshots(connection) == before
    middle = sorted({row[0] for row in before})[15]
    fresh = connection.execute(
        "select count(*) from raw.ticks where snapshot_id > ?", [middle]
    ).fetchone()
    assert fresh == (sum(row[0] > middle for row in before),)
    (change,) = [table for table in small.tables if table.name == "raw.ticks"]
    assert (change.files_before, change.files_after) == (30, 1)
    assert change.bytes_after < change.bytes_before


def test_files_above_the_small_limit_wait_for_the_daily_merge(
    settings: Settings, connection: duckdb.DuckDBPyConnection
) -> None:
    commit_ticks(connection, 4)
    tiny = settings.model_copy(update={"maintenance_small_file_bytes": 100})
    maintenance.run(tiny, daily=False)
    assert file_count(connection, "raw.ticks") == 4
    maintenance.run(tiny, daily=True)
    assert file_count(connection, "raw.ticks") == 1


def test_replaced_files_stay_for_the_grace_and_go_after_it(
    settings: Settings, connection: duckdb.DuckDBPyConnection
) -> None:
    commit_ticks(connection, 6)
    maintenance.run(settings, daily=True)
    assert stored_files(settings) == 7
    kept = maintenance.run(settings, daily=True, clock=lambda: later(5.9 / 24))
    assert (kept.files_removed, stored_files(settings)) == (0, 7)
    removed = maintenance.run(settings, daily=True, clock=lambda: later(6.1 / 24))
    assert (removed.files_removed, stored_files(settings)) == (6, 1)
    assert connection.execute("select count(*) from raw.ticks").fetchone() == (60,)


def test_orphans_are_removed_after_their_grace_only(
    settings: Settings, connection: duckdb.DuckDBPyConnection
) -> None:
    commit_ticks(connection, 1)
    orphan = Path(settings.lake_path) / "raw" / "ticks" / "nobodys.parquet"
    connection.execute(f"copy (select 1 as x) to '{orphan}' (format parquet)")
    maintenance.run(settings, daily=True, clock=lambda: later(1.9))
    assert orphan.exists()
    report = maintenance.run(settings, daily=True, clock=lambda: later(2.1))
    assert report.orphans_removed == 1
    assert not orphan.exists()


def test_dry_run_tells_and_changes_nothing(
    settings: Settings, connection: duckdb.DuckDBPyConnection
) -> None:
    commit_ticks(connection, 6)
    snapshot = lake.current_snapshot(connection)
    report = maintenance.run(settings, daily=True, dry_run=True, clock=lambda: later(30))
    (change,) = [table for table in report.tables if table.name == "raw.ticks"]
    assert (change.files_before, change.files_after) == (6, 1)
    assert report.snapshots_expired > 6
    assert lake.current_snapshot(connection) == snapshot
    assert file_count(connection, "raw.ticks") == 6
    again = maintenance.run(settings, dry_run=True)
    assert again.daily, "a dry run does not count as the day's"


@pytest.mark.parametrize("daily", [False, True])
def test_dry_run_foresees_the_files_of_every_partition(
    settings: Settings, connection: duckdb.DuckDBPyConnection, daily: bool
) -> None:
    for day in range(4):
        commit_ticks(connection, commits=2 + day, first=day * 86_400)
    foreseen = maintenance.run(settings, daily=daily, dry_run=True)
    done = maintenance.run(settings, daily=daily)
    # The daily tier also writes down that it looked for copies, in a table that was empty.
    there_before = [table for table in done.tables if table.files_before]
    assert [(table.name, table.files_after) for table in foreseen.tables] == [
        (table.name, table.files_after) for table in there_before
    ]
    assert (done.files_before, sum(table.files_after for table in there_before)) == (14, 4)


@pytest.mark.parametrize("daily", [False, True])
def test_dry_run_foresees_that_files_with_deleted_rows_are_rewritten_and_merged(
    settings: Settings, connection: duckdb.DuckDBPyConnection, daily: bool
) -> None:
    for schema in ("bars", "analytics"):  # dbt's, and one whose files are never rewritten
        connection.execute(f"create table {schema}.mine (bucket bigint, run bigint)")
        for run in range(4):
            connection.execute(f"insert into {schema}.mine select r, {run} from range(100) t (r)")
        # A share of the first file too small to rewrite often, and half of two others.
        connection.execute(f"delete from {schema}.mine where run = 0 and bucket = 7")
        connection.execute(f"delete from {schema}.mine where run in (1, 2) and bucket < 50")
    foreseen = maintenance.run(settings, daily=daily, dry_run=True)
    done = maintenance.run(settings, daily=daily)
    assert {table.name: table.files_after for table in foreseen.tables} == {
        table.name: table.files_after for table in done.tables
    }
    expected = {"bars.mine": 1 if daily else 2, "analytics.mine": 4}
    assert {table.name: table.files_after for table in done.tables} == expected


def test_daily_tier_is_due_once_a_day(
    settings: Settings, connection: duckdb.DuckDBPyConnection
) -> None:
    assert maintenance.run(settings).daily
    assert not maintenance.run(settings).daily
    assert not maintenance.run(settings, clock=lambda: later(0.9)).daily
    assert maintenance.run(settings, clock=lambda: later(1.1)).daily


def test_second_maintenance_steps_back(
    settings: Settings, connection: duckdb.DuckDBPyConnection
) -> None:
    commit_ticks(connection, 3)
    assert settings.catalog_dsn is not None
    with catalog.advisory_lock(settings.catalog_dsn, "maintenance", wait=False) as is_free:
        assert is_free
        report = maintenance.run(settings, daily=False)
    assert "another maintenance is running" in report.notes[0]
    assert file_count(connection, "raw.ticks") == 3


def test_raw_tables_are_never_rewritten(connection: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(ValueError, match=r"raw.ticks must not be rewritten"):
        compaction.rewrite(connection, "raw", "ticks", everything=True)


def test_bars_with_deleted_rows_are_rewritten_and_merged_but_not_under_a_dbt_run(
    settings: Settings, connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.execute("create table bars.mine (bucket bigint, src_snapshot bigint)")
    for run in range(10):
        connection.execute("begin")
        connection.execute(f"delete from bars.mine where bucket >= {run * 2}")
        rows = ", ".join(f"({run * 2 + i}, {run})" for i in range(4))
        connection.execute(f"insert into bars.mine values {rows}")
        connection.execute("commit")
    before = connection.execute("from bars.mine order by bucket").fetchall()
    assert file_count(connection, "bars.mine") == 10
    monkeypatch.setattr(maintenance, "_DBT_WAIT_S", 0.1)
    assert settings.catalog_dsn is not None
    with psycopg.connect(settings.catalog_dsn, autocommit=True) as dbt:
        dbt.execute("select pg_advisory_lock(hashtext('dbt'))")
        report = maintenance.run(settings, daily=False)
        assert "a dbt run has held the lake" in report.notes[0]
        assert file_count(connection, "bars.mine") == 10
    maintenance.run(settings, daily=False)
    (table,) = [t for t in compaction.table_files(connection) if t.name == "bars.mine"]
    assert (table.files, table.delete_files) == (1, 0)
    assert connection.execute("from bars.mine order by bucket").fetchall() == before


@pytest.mark.parametrize(
    ("name", "value"),
    [("file_grace_hours", 0.5), ("orphan_grace_days", 0.5), ("snapshot_retention_days", 0.5)],
)
def test_graces_too_short_for_open_readers_are_refused(name: str, value: float) -> None:
    with pytest.raises(settings_module.SettingsError, match=name):
        settings_module.load(**{name: value})


WRITER = """
import pathlib, sys, time
from quant_pipeline import lake
connection = lake.connect()
rows, stop = 10, pathlib.Path(sys.argv[1])
while not stop.exists():
    connection.execute(
        "insert into raw.ticks select 'binance', 'BTCUSDT', ? + r,"
        " timestamp '2024-08-08' + interval (? + r) second, now()::timestamp, 60000 + r % 7, 0.5,"
        " r % 2 = 0 from range(20) as t (r)", [rows, rows])
    rows += 20
    time.sleep(0.2)
print(rows)
"""

READER = """
import pathlib, sys, time
from quant_pipeline import lake
connection = lake.connect(read_only=True)
reads, stop = 0, pathlib.Path(sys.argv[1])
while reads < 3 or not stop.exists():
    connection.execute("begin")
    first = connection.execute("select count(*), sum(trade_id) from raw.ticks").fetchone()
    time.sleep(0.7)  # meanwhile files are replaced under this open transaction
    again = connection.execute("select count(*), sum(trade_id) from raw.ticks").fetchone()
    assert first == again, (first, again)
    connection.execute("commit")
    reads += 1
print(reads)
"""

MAINTAIN = "from quant_pipeline.cli import main; main()"


def _maintenance_rounds(settings: Settings) -> int:
    with psycopg.connect(lake.ensure(settings)) as postgres:
        row = postgres.execute("select to_regclass('quant_maintenance') is not null").fetchone()
        if row == (True,):
            row = postgres.execute("select count(*) from quant_maintenance").fetchone()
    assert row is not None
    return int(row[0])


def test_writer_reader_and_dbt_are_not_disturbed_by_maintenance(
    settings: Settings,
    connection: duckdb.DuckDBPyConnection,
    dbt_manifest: Manifest,
    tmp_path: Path,
) -> None:
    """All at once, in their own processes: nobody fails, no row is lost, bars equal a rebuild."""
    stop = tmp_path / "stop"
    environment = os.environ | {
        "QUANT_HOME": str(settings.home),
        "QUANT_CATALOG_DSN": str(settings.catalog_dsn),
    }

    def start(*command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *command],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    dbt = ResidentDbt(settings, manifest=dbt_manifest)
    commit_ticks(connection, 1)
    dbt.run(select=BAR_MODELS)
    rounds = _maintenance_rounds(settings)
    connection.close()
    writer = start("-c", WRITER, str(stop))
    reader = start("-c", READER, str(stop))
    keeper = start("-c", MAINTAIN, "maintain", "--every", "0.3")
    try:
        runs, deadline = 0, time.monotonic() + 200
        while runs < 3 or _maintenance_rounds(settings) < rounds + 3:
            assert time.monotonic() < deadline
            assert writer.poll() is None
            dbt.run(select=BAR_MODELS)
            runs += 1
        stop.touch()
        written, _ = writer.communicate(timeout=30)
        reads, reader_errors = reader.communicate(timeout=30)
    finally:
        for process in (writer, reader):
            process.kill()
        keeper.terminate()
        kept, keeper_errors = keeper.communicate(timeout=30)
    assert writer.returncode == 0
    assert reader.returncode == 0, reader_errors
    assert keeper.returncode == 0, keeper_errors
    merges = [line for line in kept.splitlines() if "files in" in line]
    assert len(merges) >= 3
    assert int(reads) >= 3
    assert runs >= 3
    dbt.run(select=BAR_MODELS)
    with lake.connect(settings=settings) as fresh:
        stored = fresh.execute(
            "select count(*), count(distinct trade_id) from raw.ticks"
        ).fetchone()
        assert stored == (int(written), int(written))
        bars = "select * exclude (src_snapshot) from bars.ohlc_1m order by all"
        incremental = fresh.execute(bars).fetchall()
    dbt.run(select=BAR_MODELS, full_refresh=True)
    with lake.connect(settings=settings) as fresh:
        assert fresh.execute(bars).fetchall() == incremental
        assert sum(1 for _ in incremental) == -(-int(written) // 60)
