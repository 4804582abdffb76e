"""Pair statistics and report as Dagster runs them, on the recorded session."""

from __future__ import annotations

from datetime import date

import dagster as dg
import pytest

from quant_pipeline import lake
from quant_pipeline.defs.freshness import changed_days, changed_pairs, published
from quant_pipeline.defs.partitions import PairDay, add_pairs
from quant_pipeline.research.pair import analyse, load
from quant_pipeline.settings import Pair, Settings

PAIR = Pair("BTCUSDT", "ETHUSDT")
PARTITION = PairDay(date(2024, 8, 9), PAIR)


@pytest.fixture(scope="module")
def outcome(definitions: dg.Definitions) -> dg.ExecuteInProcessResult:
    job = definitions.resolve_job_def("pair_day")
    with dg.DagsterInstance.ephemeral() as instance:
        add_pairs(instance, (PAIR,))
        return job.execute_in_process(instance=instance, partition_key=PARTITION.key)


def _metadata(outcome: dg.ExecuteInProcessResult, *key: str) -> dict[str, object]:
    events = outcome.asset_materializations_for_node("pair_statistics_and_report")
    found = next(event for event in events if event.asset_key == dg.AssetKey(list(key)))
    return {name: value.value for name, value in found.metadata.items()}


def test_published_numbers_are_the_librarys_on_the_same_bars(
    outcome: dg.ExecuteInProcessResult, analysed_lake: Settings
) -> None:
    with lake.connect(read_only=True, settings=analysed_lake) as connection:
        bars = load(connection, venue="binance", pair=PAIR, day=PARTITION.day, timeframe="1s")
        row = connection.sql(
            "SELECT y, x, day, timeframe, bars, metrics FROM analytics.pair_snapshots"
        ).fetchone()
    expected = analyse(bars, window=analysed_lake.rolling_window).metrics()
    assert row is not None
    assert row[:5] == ("BTCUSDT", "ETHUSDT", PARTITION.day, "1s", bars.n)
    expected.pop("lake_snapshot")  # the row itself made a newer one
    assert {name: row[5][name] for name in expected} == expected
    shown = _metadata(outcome, "analytics", "pair_snapshots")
    assert shown["hedge_ratio"] == expected["hedge_ratio"]


def test_the_report_is_one_click_away_with_a_preview(
    outcome: dg.ExecuteInProcessResult, analysed_lake: Settings
) -> None:
    metadata = _metadata(outcome, "reports", "pair")
    assert metadata["report"] == "/reports/pair/BTCUSDT-ETHUSDT/2024-08-09.html"
    assert metadata["preview"] == "![preview](/reports/pair/BTCUSDT-ETHUSDT/2024-08-09.svg)"
    page = analysed_lake.reports_dir / "pair" / "BTCUSDT-ETHUSDT" / "2024-08-09.html"
    assert str(page) == metadata["report_dialog"]
    assert "BTCUSDT" in page.read_text()


@pytest.mark.usefixtures("outcome")
def test_a_published_partition_is_fresh_until_its_bars_change(analysed_lake: Settings) -> None:
    with lake.connect(read_only=True, settings=analysed_lake) as connection:
        changed = changed_pairs(
            changed_days(connection, "1s", since=-1), [PAIR], first_day=date(2024, 1, 1)
        )
        done = published(connection, analysed_lake)
    assert set(changed) == {"2024-08-08|BTCUSDT-ETHUSDT", "2024-08-09|BTCUSDT-ETHUSDT"}
    assert done[PARTITION.key] >= changed[PARTITION.key]
    assert "2024-08-08|BTCUSDT-ETHUSDT" not in done


def test_a_day_without_bars_publishes_a_page_that_says_so_and_no_numbers(
    definitions: dg.Definitions, analysed_lake: Settings
) -> None:
    empty = PairDay(date(2024, 8, 20), PAIR)
    job = definitions.resolve_job_def("pair_day")
    with dg.DagsterInstance.ephemeral() as instance:
        add_pairs(instance, (PAIR,))
        assert job.execute_in_process(instance=instance, partition_key=empty.key).success
    with lake.connect(read_only=True, settings=analysed_lake) as connection:
        rows = connection.execute(
            "SELECT count(*) FROM analytics.pair_snapshots WHERE day = ?", [empty.day]
        ).fetchone()
    assert rows == (0,)


def test_snapshots_carry_the_lake_state_they_were_computed_from(
    definitions: dg.Definitions, analysed_lake: Settings
) -> None:
    job = definitions.resolve_job_def("snapshots")
    with dg.DagsterInstance.ephemeral() as instance:
        assert job.execute_in_process(instance=instance).success
    with lake.connect(read_only=True, settings=analysed_lake) as connection:
        tests = connection.sql(
            "SELECT series, statistic, pvalue, lake_snapshot, bars FROM analytics.adf_snapshots"
            " ORDER BY series"
        ).fetchall()
        correlation = connection.sql(
            "SELECT lower_95, correlation, upper_95, observations, lake_snapshot"
            " FROM analytics.correlation_snapshots"
        ).fetchall()
        newest = lake.current_snapshot(connection)
    assert [test[0] for test in tests] == ["BTCUSDT", "ETHUSDT", "spread"]
    assert len(correlation) == 1
    lower, value, upper, observations, snapshot = correlation[0]
    assert lower < value < upper
    assert observations == tests[0][4] - 1
    assert {test[3] for test in tests} == {snapshot}
    assert snapshot < newest


def test_the_same_partition_again_changes_nothing(
    definitions: dg.Definitions, outcome: dg.ExecuteInProcessResult, analysed_lake: Settings
) -> None:
    assert outcome.success
    before = _rows(analysed_lake)
    page = analysed_lake.reports_dir / "pair" / "BTCUSDT-ETHUSDT" / "2024-08-09.html"
    job = definitions.resolve_job_def("pair_day")
    with dg.DagsterInstance.ephemeral() as instance:
        add_pairs(instance, (PAIR,))
        for _ in range(2):
            again = job.execute_in_process(instance=instance, partition_key=PARTITION.key)
            assert again.success
    assert _rows(analysed_lake) == before
    assert page.exists()
    shown = _metadata(again, "analytics", "pair_snapshots")
    assert shown["hedge_ratio"] == _metadata(outcome, "analytics", "pair_snapshots")["hedge_ratio"]


def test_other_parameters_leave_the_default_results_alone(
    definitions: dg.Definitions, outcome: dg.ExecuteInProcessResult, analysed_lake: Settings
) -> None:
    assert outcome.success
    page = analysed_lake.reports_dir / "pair" / "BTCUSDT-ETHUSDT" / "2024-08-09.html"
    default = page.read_bytes()
    done = _published(analysed_lake)
    job = definitions.resolve_job_def("pair_day")
    parameters = {"rolling_window": 30, "liquidity_filter": True}
    config = {"ops": {"pair_statistics_and_report": {"config": parameters}}}
    with dg.DagsterInstance.ephemeral() as instance:
        add_pairs(instance, (PAIR,))
        run = job.execute_in_process(
            instance=instance, partition_key=PARTITION.key, run_config=config
        )
    assert run.success
    assert not run.asset_materializations_for_node("pair_statistics_and_report")
    observed = [
        event.asset_observation_data.asset_observation
        for event in run.all_events
        if event.event_type_value == "ASSET_OBSERVATION"
    ]
    assert {each.asset_key.to_user_string() for each in observed} == {
        "analytics/pair_snapshots",
        "reports/pair",
    }
    assert observed[0].metadata["parameters"].value == parameters
    own = "BTCUSDT-ETHUSDT.liquidity-filter-True.rolling-window-30"
    text = (analysed_lake.reports_dir / "pair" / own / "2024-08-09.html").read_text()
    assert "liquidity_filter True, rolling_window 30" in text
    assert page.read_bytes() == default
    assert _published(analysed_lake) == done
    with lake.connect(read_only=True, settings=analysed_lake) as connection:
        row = connection.execute(
            "SELECT rolling_window, liquidity_filter, removed_y, flags_snapshot"
            " FROM analytics.pair_snapshots ORDER BY taken_at DESC LIMIT 1"
        ).fetchone()
    assert row is not None
    assert row[:2] == (30, True)
    assert row[2] is not None
    assert row[3] is not None


def _rows(settings: Settings) -> list[tuple[object, ...]]:
    with lake.connect(read_only=True, settings=settings) as connection:
        return connection.sql("FROM analytics.pair_snapshots ORDER BY ALL").fetchall()


def _published(settings: Settings) -> dict[str, int]:
    with lake.connect(read_only=True, settings=settings) as connection:
        return published(connection, settings)
