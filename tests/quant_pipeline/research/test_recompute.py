"""A published row is computed again, bit for bit, whatever happened to the lake since."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import duckdb
import pytest
from dbt.contracts.graph.manifest import Manifest

from quant_pipeline import lake, maintenance, retention
from quant_pipeline.defs.pairs import append_snapshot
from quant_pipeline.defs.snapshots import append, latest_window
from quant_pipeline.research import as_of, pair_bars, pair_statistics, recompute
from quant_pipeline.research.pair_window import PairWindow
from quant_pipeline.research.reading import Window
from quant_pipeline.resident_dbt import CompiledModel, ResidentDbt
from quant_pipeline.settings import Pair, Settings

PAIR = Pair("BTCUSDT", "ETHUSDT")
DAY = date(2024, 8, 8)

# Two random walks that share their steps; ETHUSDT trades less, and hardly at all in every tenth
# minute, which makes those bars thin.
_TICKS = """
insert into raw.ticks
select 'binance', symbol, {first} + r,
    timestamp '2024-08-08 10:00:00' + r * interval 700 millisecond,
    timestamp '2024-08-08 10:00:01' + r * interval 700 millisecond,
    level * exp(sum(hash(r // 2, {seed}) % 1000 / 1e7 - 5e-5) over (partition by symbol order by r)
        + hash(r, symbol) % 1000 / 1e7),
    0.5, hash(r) % 2 = 0
from range({first}, {first} + {count}) as t (r)
cross join (values ('BTCUSDT', 60000.0), ('ETHUSDT', 2500.0)) as s (symbol, level)
where symbol = 'BTCUSDT' or (r // 86) % 10 <> 3 or r % 40 = 0
"""


def _land(settings: Settings, first: int, count: int, seed: int) -> None:
    with lake.connect(settings=settings) as connection:
        connection.execute(_TICKS.format(first=first, count=count, seed=seed))


def _window(connection: duckdb.DuckDBPyConnection, *, liquidity_filter: bool) -> PairWindow:
    window = latest_window(
        connection,
        PAIR,
        venue="binance",
        timeframe="1m",
        lookback_h=0.5,
        liquidity_filter=liquidity_filter,
    )
    assert window is not None
    return window


def _take_everything(settings: Settings) -> list[int]:
    """Publish rows with and without the filter; the lake snapshots they name."""
    snapshots = []
    with lake.connect(settings=settings) as connection:
        for liquidity_filter in (True, False):
            window = _window(connection, liquidity_filter=liquidity_filter)
            append(connection, window, now=datetime(2024, 8, 8, 11, tzinfo=UTC))
            bars = pair_bars.load(
                connection,
                venue="binance",
                pair=PAIR,
                day=DAY,
                timeframe="1m",
                ticks=False,
                liquidity_filter=liquidity_filter,
            )
            statistics = pair_statistics.analyse(bars, window=10)
            append_snapshot(connection, statistics, now=datetime(2024, 8, 8, 11, tzinfo=UTC))
            snapshots += [window.snapshot, bars.snapshot]
    return snapshots


def _again(
    settings: Settings, models: tuple[CompiledModel, ...], snapshots: list[int]
) -> list[recompute.Recomputed]:
    with lake.connect(read_only=True, settings=settings) as connection:
        rows = [row for snapshot in snapshots for row in recompute.find(connection, snapshot)]
        return list(recompute.again(connection, models, rows))


def test_rows_are_the_same_after_late_ticks_expiry_and_compaction(
    settings: Settings, dbt_manifest: Manifest
) -> None:
    dbt = ResidentDbt(settings, manifest=dbt_manifest)
    _land(settings, 0, 4_000, seed=1)
    dbt.run()
    _land(settings, 4_000, 150, seed=1)  # in no stored bar, so in no flag, when the rows are taken
    snapshots = _take_everything(settings)
    _land(settings, 2_000, 900, seed=2)  # copies of trades, and
    with lake.connect(settings=settings) as connection:  # late trades at prices nobody had seen
        connection.execute(
            "insert into raw.ticks select 'binance', 'BTCUSDT', 10000 + r,"
            " timestamp '2024-08-08 10:20:00' + r * interval 3 second, now()::timestamp, 61500, 1,"
            " true from range(200) t (r)"
        )
    dbt.run()
    report = maintenance.run(
        settings, daily=True, clock=lambda: datetime.now(UTC) + timedelta(days=30)
    )
    assert report.snapshots_expired > max(snapshots)
    models = ResidentDbt(settings, manifest=dbt_manifest).compile(*as_of.MODELS)
    found = _again(settings, models, snapshots)
    assert [each.table for each in found].count("adf_snapshots") == 6
    assert {each.table for each in found} == set(recompute.TABLES)
    for each in found:
        assert each.equal, [column for column in each.columns if column.outcome == "different"]
        assert sum(column.outcome == "equal" for column in each.columns) >= len(each.columns) - 1
    assert max(each.row["removed_x"] for each in found) >= 1
    # and the comparison can tell: today's lake gives other numbers
    (spread,) = [
        each.row
        for each in found
        if each.table == "adf_snapshots"
        and each.row["series"] == "spread"
        and not each.row["liquidity_filter"]
    ]
    with lake.connect(read_only=True, settings=settings) as connection:
        newest = lake.current_snapshot(connection)
        where = Window("binance", spread["read_from"], spread["read_to"])
        moment = as_of.Moment(newest)
        with as_of.lake_as_of(connection, models, where, symbols=PAIR, moment=moment) as past:
            changed = {**spread, "lake_snapshot": newest}
            columns = recompute._window(past, changed)
    assert any(column.outcome == "different" for column in columns)


def test_a_snapshot_nothing_was_published_from_is_named_with_those_there_are(
    settings: Settings,
) -> None:
    with (
        lake.connect(read_only=True, settings=settings) as connection,
        pytest.raises(recompute.NoSuchSnapshotError, match=r"snapshot 77; .*: none yet"),
    ):
        recompute.find(connection, 77)


def test_archived_ticks_cannot_be_told_apart(settings: Settings) -> None:
    where = Window("binance", datetime(2024, 8, 8), datetime(2024, 8, 9))  # noqa: DTZ001
    with lake.connect(settings=settings) as connection:
        connection.execute(
            "insert into raw.archived_days values ('2024-08-08', now()::timestamp, 'x', 1)"
        )
        with (
            pytest.raises(as_of.CannotRecomputeError, match="2024-08-08 are archived"),
            as_of.lake_as_of(connection, (), where, symbols=PAIR, moment=as_of.Moment(1)),
        ):
            pass


def test_rows_that_are_older_than_a_restore_are_refused_and_later_ones_are_not(
    settings: Settings,
) -> None:
    where = Window("binance", datetime(2024, 8, 8), datetime(2024, 8, 9))  # noqa: DTZ001
    file = f"{settings.home}/ticks-2024-08-08.parquet"
    with lake.connect(settings=settings) as connection:
        published = lake.current_snapshot(connection)
        connection.execute(f"copy (from raw.ticks) to '{file}' (format parquet)")
        connection.execute(
            "insert into raw.archived_days values ('2024-08-08', now()::timestamp, ?, 0)", [file]
        )
        retention.restore(connection, DAY)
        with (
            pytest.raises(
                as_of.CannotRecomputeError, match="2024-08-08 were archived and restored"
            ),
            as_of.lake_as_of(connection, (), where, symbols=PAIR, moment=as_of.Moment(published)),
        ):
            pass
        later = as_of.Moment(lake.current_snapshot(connection))
        with as_of.lake_as_of(connection, (), where, symbols=PAIR, moment=later):
            pass
