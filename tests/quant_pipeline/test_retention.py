"""Ticks past their time leave the lake; their bars stay, whatever dbt does later."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest
from dbt.contracts.graph.manifest import Manifest
from polars.testing import assert_frame_equal

from quant_pipeline import lake, maintenance, retention
from quant_pipeline.resident_dbt import DbtError, ResidentDbt
from quant_pipeline.settings import Settings
from tests.dbt_project.warehouse import BAR_MODELS, BAR_TABLES, LIQUIDITY_TABLES, read_all

NOW = datetime(2024, 8, 20, 12, 0, tzinfo=UTC)
DAYS = (date(2024, 8, 8), date(2024, 8, 9), date(2024, 8, 19))
BARS = "select * exclude (src_snapshot) from bars.ohlc_1m order by all"


def land(connection: duckdb.DuckDBPyConnection, day: date, first: int, count: int = 300) -> None:
    connection.execute(
        "insert into raw.ticks select 'binance', 'BTCUSDT', ? + r,"
        " ?::date + to_milliseconds(500 * r::bigint), now()::timestamp, 60000 + (r * 37) % 101,"
        " 0.001 * (1 + r % 5), r % 3 = 0 from range(?) as t (r)",
        [first, day, count],
    )


@pytest.fixture
def kept(settings: Settings) -> Settings:
    """The settings of a lake that keeps ticks for seven days, with ticks of three days in it."""
    with lake.connect(settings=settings) as connection:
        for number, day in enumerate(DAYS):
            land(connection, day, 1000 * (number + 1))
    return settings.model_copy(update={"tick_retention_days": 7})


def query(settings: Settings, sql: str) -> list[tuple[object, ...]]:
    with lake.connect(settings=settings) as connection:
        return connection.execute(sql).fetchall()


def maintain(settings: Settings) -> maintenance.Report:
    return maintenance.run(settings, daily=True, clock=lambda: NOW)


@pytest.mark.timeout(600)
def test_retired_ticks_are_in_the_archive_and_their_bars_stay_through_late_ticks_and_restore(
    kept: Settings, dbt_manifest: Manifest
) -> None:
    dbt = ResidentDbt(kept, manifest=dbt_manifest)
    early = maintain(kept)
    assert early.archived == []
    assert "run dbt before ticks are retired" in early.notes[0]
    dbt.run(select=BAR_MODELS)
    bars = query(kept, BARS)
    ticks = query(kept, "select * from raw.ticks order by trade_id")

    report = maintain(kept)
    assert [(day.day, day.ticks) for day in report.archived] == [(DAYS[0], 300), (DAYS[1], 300)]
    assert query(kept, "select distinct ts::date from raw.ticks") == [(DAYS[2],)]
    archived = pl.concat(pl.read_parquet(day.path) for day in report.archived)
    assert archived.drop("landed_snapshot").rows() == ticks[:600]

    # A late tick of an archived day: in no bar, and no bar is made of it alone.
    with lake.connect(settings=kept) as connection:
        land(connection, DAYS[0], 1300, count=1)
        land(connection, DAYS[2], 3300, count=1)
    dbt.run(select=BAR_MODELS)
    after_late = query(kept, BARS)
    assert [bar for bar in after_late if bar[2].date() != DAYS[2]] == [  # type: ignore[attr-defined]
        bar
        for bar in bars
        if bar[2].date() != DAYS[2]  # type: ignore[attr-defined]
    ]
    assert len(after_late) == len(bars)
    with pytest.raises(DbtError, match="quant restore"):
        dbt.run(select=BAR_MODELS, full_refresh=True)
    assert query(kept, BARS) == after_late

    # The late tick joins the archive as a file of its own; restoring brings both back.
    (again,) = maintain(kept).archived
    assert (again.ticks, Path(again.path).name) == (1, "ticks-2024-08-08-2.parquet")
    with lake.connect(settings=kept) as connection:
        assert retention.restore(connection, DAYS[0]) == 301
        assert retention.restore(connection, DAYS[1]) == 300
        with pytest.raises(retention.RetentionError, match="is not archived"):
            retention.restore(connection, DAYS[1])
    dbt.run(select=BAR_MODELS)
    restored = query(kept, BARS)
    dbt.run(select=BAR_MODELS, full_refresh=True)
    assert query(kept, BARS) == restored
    trades = query(
        kept, "select sum(trade_count) from bars.ohlc_1m where bucket::date = '2024-08-08'"
    )
    assert trades == [(301,)]


@pytest.mark.timeout(600)
def test_late_tick_that_waited_while_its_day_was_archived_is_in_every_bar_after_restore(
    kept: Settings, dbt_manifest: Manifest
) -> None:
    dbt = ResidentDbt(kept, manifest=dbt_manifest)
    dbt.run()
    assert [day.day for day in maintain(kept).archived] == [*DAYS[:2]]
    with lake.connect(settings=kept) as connection:
        connection.execute(
            "insert into raw.ticks values ('binance', 'BTCUSDT', 1300, '2024-08-08 06:30:00',"
            " now()::timestamp, 60050, 0.5, false)"
        )
        land(connection, DAYS[2], 3300, count=1)
    dbt.run()
    with lake.connect(settings=kept) as connection:
        assert retention.restore(connection, DAYS[0]) == 300
    assert query(kept, "select count(*) from raw.ticks where trade_id between 1000 and 1300") == [
        (301,)
    ]
    with lake.connect(settings=kept) as connection:
        retention.restore(connection, DAYS[1])  # or a full refresh is refused
    dbt.run()
    tables = (*BAR_TABLES, *LIQUIDITY_TABLES)
    restored = read_all(kept, tables)
    dbt.run(full_refresh=True)
    for table, frame in read_all(kept, tables).items():
        unmarked = [each.drop("src_snapshot", strict=False) for each in (restored[table], frame)]
        assert_frame_equal(*unmarked)
    late = pl.col("bucket") == datetime(2024, 8, 8, 6, 30)  # noqa: DTZ001
    assert restored["bars.ohlc_1s"].filter(late)["trade_count"].to_list() == [1]


def test_ticks_that_are_in_no_bar_yet_are_not_retired(
    kept: Settings, dbt_manifest: Manifest
) -> None:
    ResidentDbt(kept, manifest=dbt_manifest).run(select=BAR_MODELS)
    with lake.connect(settings=kept) as connection:
        land(connection, DAYS[1], 2300)
    report = maintain(kept)
    assert [day.day for day in report.archived] == [DAYS[0]]
    assert "has not consumed all ticks of 2024-08-09" in report.notes[0]
    assert query(kept, "select count(*) from raw.ticks") == [(900,)]


def test_nothing_is_retired_unless_it_is_switched_on(kept: Settings) -> None:
    off = kept.model_copy(update={"tick_retention_days": None})
    assert maintain(off).archived == []
    assert query(off, "select count(*) from raw.ticks") == [(900,)]


@pytest.mark.parametrize(
    "place", ["lake/archive", "archive/../lake/archive", "link/archive", "lake", ""]
)
def test_archive_and_lake_are_never_one_inside_the_other(kept: Settings, place: str) -> None:
    (kept.home / "link").symlink_to(kept.lake_path, target_is_directory=True)
    inside = kept.model_copy(update={"archive_path": str(kept.home / place)})
    report = maintain(inside)
    assert "choose another" in report.notes[0]
    assert query(kept, "select count(*) from raw.ticks") == [(900,)]
