"""Checks as Dagster makes them: all in one run, with numbers, on a full lake and an empty one."""

from __future__ import annotations

import dagster as dg
import pytest

from quant_pipeline.defs import checks
from quant_pipeline.defs.resources import Lake
from quant_pipeline.settings import Settings

_MADE = {
    "raw/ticks": {"no_open_gaps", "every_symbol_is_heard_of", "clocks_agree"},
    "bars/ohlc_1s": {"equals_its_ticks"},
    "bars/ohlc_1m": {"equals_its_ticks", "no_price_jumps"},
    "bars/ohlc_5m": {"equals_its_ticks"},
    "bars/ohlc_1h": {"equals_its_ticks"},
    "analytics/pair_snapshots": {"one_row_per_key", "both_legs_trade", "no_drift"},
    "analytics/adf_snapshots": {"one_row_per_key"},
    "analytics/correlation_snapshots": {"one_row_per_key"},
    "analytics/alerts": {"one_row_per_key"},
}


def _evaluations(definitions: dg.Definitions) -> list[dg.AssetCheckEvaluation]:
    job = definitions.resolve_job_def("checks")
    with dg.DagsterInstance.ephemeral() as instance:
        outcome = job.execute_in_process(instance=instance)
    assert outcome.success
    return list(outcome.get_asset_check_evaluations())


@pytest.fixture(scope="module")
def evaluations(definitions: dg.Definitions) -> list[dg.AssetCheckEvaluation]:
    return _evaluations(definitions)


def test_one_run_makes_every_check(evaluations: list[dg.AssetCheckEvaluation]) -> None:
    made: dict[str, set[str]] = {}
    for each in evaluations:
        made.setdefault(each.asset_key.to_user_string(), set()).add(each.check_name)
    assert made == _MADE


def test_bars_of_dbt_pass_and_say_how_many_were_compared(
    evaluations: list[dg.AssetCheckEvaluation],
) -> None:
    (hours,) = (
        each
        for each in evaluations
        if each.asset_key == dg.AssetKey(["bars", "ohlc_1h"])
        and each.check_name == "equals_its_ticks"
    )
    assert hours.passed, hours.description
    assert hours.metadata["bars_compared"].value > 0
    assert hours.metadata["bars_different"].value == 0


def test_a_recording_that_ended_long_ago_is_a_stream_that_stopped(
    evaluations: list[dg.AssetCheckEvaluation],
) -> None:
    failed = {each.check_name: each for each in evaluations if not each.passed}
    assert set(failed) == {"every_symbol_is_heard_of"}
    stopped = failed["every_symbol_is_heard_of"]
    assert stopped.severity is dg.AssetCheckSeverity.ERROR
    assert (stopped.description or "").startswith("The stream has stopped")


def test_an_empty_lake_fails_no_check(settings: Settings) -> None:
    all_checks = checks.definitions(settings)
    alone = dg.Definitions(
        asset_checks=all_checks, jobs=[checks.job(all_checks)], resources={"lake": Lake(settings)}
    )
    evaluations = _evaluations(alone)
    assert len(evaluations) == sum(map(len, _MADE.values()))
    assert [each.check_name for each in evaluations if not each.passed] == []
    assert all(each.description for each in evaluations)
