"""Alerts as Dagster sees them: failed runs are raised and cleared, and shown in the asset."""

# No `from __future__ import annotations` here: Dagster reads the types of parameters.

import dagster as dg
import pytest

from quant_pipeline.defs import alerts
from quant_pipeline.defs.resources import Lake
from quant_pipeline.settings import Settings


@dg.op(config_schema={"fails": bool})
def work(context: dg.OpExecutionContext) -> None:
    if context.op_config["fails"]:
        raise RuntimeError("on purpose")


@dg.job
def nightly() -> None:
    work()


def _run(instance: dg.DagsterInstance, *, fails: bool, **tags: str) -> None:
    config = {"ops": {"work": {"config": {"fails": fails}}}}
    nightly.execute_in_process(config, instance=instance, tags=tags, raise_on_error=False)


@pytest.fixture
def quiet(settings: Settings) -> Settings:
    """An empty lake of the test's own; every rule is on and nothing is sent."""
    return settings


def test_a_failed_run_is_an_alert_until_the_job_succeeds(quiet: Settings) -> None:
    sensor, resources = alerts.sensor(quiet), {"lake": Lake(quiet)}
    with dg.DagsterInstance.ephemeral() as instance:

        def look(cursor: str | None) -> tuple[dg.SensorResult | dg.SkipReason, str | None]:
            context = dg.build_sensor_context(instance=instance, cursor=cursor, resources=resources)
            outcome = sensor(context)
            assert isinstance(outcome, dg.SensorResult | dg.SkipReason)
            return outcome, (
                outcome.cursor if isinstance(outcome, dg.SensorResult) else context.cursor
            )

        _run(instance, fails=True)
        first, cursor = look(None)
        assert isinstance(first, dg.SensorResult)
        (shown,) = first.asset_events
        assert shown.asset_key == alerts.ALERTS_KEY
        assert shown.metadata["open"].value == 1
        assert shown.metadata["open_critical"].value == 1
        assert "nightly: the run failed" in str(shown.metadata["current"].value)

        again, cursor = look(cursor)
        assert isinstance(again, dg.SkipReason)
        _run(instance, fails=False)
        last, _ = look(cursor)
        assert isinstance(last, dg.SensorResult)
        (shown,) = last.asset_events
        assert shown.metadata["cleared"].value == 1
        assert shown.metadata["current"].value == "No alert is open."


def test_each_partition_is_judged_by_its_own_newest_run() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        for partition, fails in (("a", True), ("b", True), ("b", False), ("c", False)):
            _run(instance, fails=fails, **{"dagster/partition": partition})
        _run(instance, fails=True, **{"dagster/partition": "d", "dagster/will_retry": "true"})
        found, read_to = alerts.finished_runs(instance, since=0.0)
        assert {seen.subject: seen.value for seen in found} == {
            "nightly a": 1.0,
            "nightly b": 0.0,
            "nightly c": 0.0,
        }
        assert alerts.finished_runs(instance, since=read_to) == ([], read_to)
