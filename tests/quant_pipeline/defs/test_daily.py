"""The daily pages and the universe scan as Dagster runs them, on the recorded session."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from quant_pipeline import lake
from quant_pipeline.defs import housekeeping
from quant_pipeline.defs.housekeeping import replaced_runs
from quant_pipeline.defs.resources import Lake
from quant_pipeline.research import scans, universe
from quant_pipeline.settings import Settings

DAY = "2024-08-09"


@pytest.fixture(scope="module")
def run(definitions: dg.Definitions) -> dg.ExecuteInProcessResult:
    job = definitions.resolve_job_def("daily_reports")
    with dg.DagsterInstance.ephemeral() as instance:
        return job.execute_in_process(instance=instance, partition_key=DAY)


def test_a_dates_scan_takes_the_place_of_the_one_before(analysed_lake: Settings) -> None:
    with lake.connect(settings=analysed_lake) as connection:
        bars = universe.load(
            connection,
            venue="binance",
            symbols=list(analysed_lake.symbols),
            day=date.fromisoformat(DAY),
            timeframe="1s",
            liquidity_filter=True,
        )
        statistics = universe.analyse(bars)
        for _ in range(2):
            scans.replace(connection, statistics, taken_at=datetime.fromisoformat(DAY))
        rows = connection.sql(
            "SELECT y, x, timeframe FROM analytics.universe_scans WHERE day = '2024-08-09'"
        ).fetchall()
    assert sorted(rows) == [("BTCUSDT", "ETHUSDT", "1s"), ("ETHUSDT", "BTCUSDT", "1s")]


def test_every_page_of_the_date_is_one_click_away(
    run: dg.ExecuteInProcessResult, analysed_lake: Settings
) -> None:
    addresses = [
        value.value
        for event in run.all_events
        if event.is_step_materialization
        for value in event.step_materialization_data.materialization.metadata.values()
        if isinstance(value, dg.UrlMetadataValue)
    ]
    kinds = {str(address).split("/")[2] for address in addresses}
    assert {"universe", "symbol", "quality", "index.html"} <= kinds
    for address in addresses:
        assert (analysed_lake.reports_dir / str(address).removeprefix("/reports/")).is_file()


def test_a_scan_with_other_parameters_has_a_page_of_its_own_and_keeps_no_q_values(
    definitions: dg.Definitions, run: dg.ExecuteInProcessResult, analysed_lake: Settings
) -> None:
    assert run.success
    folder = analysed_lake.reports_dir / "universe"
    default = (folder / "all" / f"{DAY}.html").read_bytes()
    parameters = {"timeframe": "1s", "lookback_days": 2}
    with dg.DagsterInstance.ephemeral() as instance:
        own = definitions.resolve_job_def("daily_reports").execute_in_process(
            instance=instance,
            partition_key=DAY,
            run_config={"ops": {"universe_scan_and_report": {"config": parameters}}},
        )
    assert not own.asset_materializations_for_node("universe_scan_and_report")
    page = folder / "all.lookback-days-2.timeframe-1s" / f"{DAY}.html"
    assert "lookback_days 2, timeframe 1s" in page.read_text("utf-8")
    assert (folder / "all" / f"{DAY}.html").read_bytes() == default
    with lake.connect(read_only=True, settings=analysed_lake) as connection:
        kept = connection.sql(
            "SELECT count(*) FROM analytics.universe_scans WHERE days = 2"
        ).fetchall()
    assert kept == [(0,)]


def test_the_schedules_ask_for_the_date_that_has_ended(
    definitions: dg.Definitions, analysed_lake: Settings, tmp_path: Path
) -> None:
    repository = definitions.get_repository_def()
    at = datetime(2024, 8, 10, 0, 5, tzinfo=UTC)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        for name, key in (("daily_reports", DAY), ("daily_pairs", f"{DAY}|BTCUSDT-ETHUSDT")):
            context = dg.build_schedule_context(
                instance=instance,
                scheduled_execution_time=at,
                resources={"lake": Lake(analysed_lake)},
            )
            asked = repository.get_schedule_def(name)(context)
            (request,) = asked if isinstance(asked, list) else [asked]
            assert isinstance(request, dg.RunRequest)
            assert request.partition_key == key
        assert instance.get_dynamic_partitions("pairs") == ["BTCUSDT-ETHUSDT"]


def test_only_runs_that_a_newer_success_replaced_are_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(housekeeping, "_AT_ONCE", 2)  # what is kept must not fill every page
    failing = iter([True, False, False, False, True])

    @dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a", "b"]))
    def some() -> None:
        if next(failing):
            raise dg.Failure

    job = dg.Definitions(assets=[some], jobs=[dg.define_asset_job("work", [some])])
    work = job.resolve_job_def("work")
    tomorrow, yesterday = (datetime.now(UTC) + timedelta(days=days) for days in (1, -1))
    with dg.DagsterInstance.ephemeral() as instance:
        ids = [
            work.execute_in_process(
                instance=instance, partition_key=key, raise_on_error=False
            ).run_id
            for key in ("a", "a", "b", "a", "a")
        ]
        replaced = replaced_runs(instance, before=tomorrow)
        assert sorted(replaced) == sorted(ids[:2])  # the newest failure says what is wrong now
        assert replaced_runs(instance, before=yesterday) == []
