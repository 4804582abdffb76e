"""Sensors against a real lake: what is observed, and what is run for which change."""

from __future__ import annotations

import json
from collections.abc import Callable

import dagster as dg
import pytest

from quant_pipeline import catalog, lake
from quant_pipeline.defs import resident
from quant_pipeline.defs.resources import Lake
from quant_pipeline.defs.sensors import bars_changed, ticks_landed
from quant_pipeline.resident_loop import LOCK
from quant_pipeline.settings import Pair, Settings

_JOB = dg.define_asset_job("bars", selection="*")
_TICK = "('binance', 'BTCUSDT', {id}, TIMESTAMP '{ts}', now()::TIMESTAMP, 61000.5, 0.01, true)"


@pytest.fixture(scope="module")
def busy_lake(make_recorded_lake: Callable[[str], Settings]) -> Settings:
    """A lake of this module's own, with the recorded session and its bars."""
    return make_recorded_lake("sensors")


def _tick(
    sensor: dg.SensorDefinition,
    settings: Settings,
    cursor: str | None = None,
    *,
    unfinished: str | None = None,
) -> dg.SensorResult | dg.SkipReason:
    with dg.DagsterInstance.ephemeral() as instance:
        if unfinished is not None:
            instance.add_run(dg.DagsterRun(unfinished, status=dg.DagsterRunStatus.STARTED))
        context = dg.build_sensor_context(
            instance=instance, cursor=cursor, resources={"lake": Lake(settings)}
        )
        outcome = sensor(context)
    assert isinstance(outcome, dg.SensorResult | dg.SkipReason)
    return outcome


def _land(settings: Settings, trade_id: int, ts: str) -> None:
    with lake.connect(settings=settings) as connection:
        connection.execute(f"INSERT INTO raw.ticks VALUES {_TICK.format(id=trade_id, ts=ts)}")


def test_an_empty_lake_is_no_work(settings: Settings) -> None:
    assert isinstance(_tick(ticks_landed(_JOB), settings), dg.SkipReason)
    outcome = _tick(bars_changed(_JOB), settings)
    assert isinstance(outcome, dg.SensorResult)
    assert not outcome.run_requests


def test_ticks_without_bars_are_observed_and_resampled_once(settings: Settings) -> None:
    _land(settings, 1, "2024-08-08 12:00:00")
    first = _tick(ticks_landed(_JOB), settings)
    assert isinstance(first, dg.SensorResult)
    assert [request.run_key for request in first.run_requests or []] == [
        f"bars@{_newest(settings)}"
    ]
    (observed,) = first.asset_events
    assert observed.asset_key == dg.AssetKey(["raw", "ticks"])
    assert observed.metadata["rows"].value == 1
    again = _tick(ticks_landed(_JOB), settings, first.cursor)
    assert isinstance(again, dg.SensorResult)
    assert again.run_requests == first.run_requests, "one key is one run"
    assert not again.asset_events


def test_ticks_observed_during_a_run_get_a_run_of_their_own(settings: Settings) -> None:
    _land(settings, 1, "2024-08-08 12:00:00")
    during = _tick(ticks_landed(_JOB), settings, unfinished="bars")
    assert isinstance(during, dg.SensorResult)
    assert during.asset_events
    assert not during.run_requests
    after = _tick(ticks_landed(_JOB), settings, during.cursor)
    assert isinstance(after, dg.SensorResult)
    assert [each.run_key for each in after.run_requests or []] == [f"bars@{_newest(settings)}"]


def test_a_resident_dbt_is_left_to_do_its_work(settings: Settings) -> None:
    _land(settings, 1, "2024-08-08 12:00:00")
    with catalog.advisory_lock(lake.ensure(settings), LOCK):
        outcome = _tick(ticks_landed(_JOB), settings)
    assert isinstance(outcome, dg.SensorResult)
    assert not outcome.run_requests
    assert outcome.asset_events


def test_what_a_resident_dbt_keeps_is_reported_once_a_change(busy_lake: Settings) -> None:
    with catalog.advisory_lock(lake.ensure(busy_lake), LOCK):
        outcome = _tick(ticks_landed(_JOB), busy_lake)
        assert isinstance(outcome, dg.SensorResult)
        reported = {
            event.asset_key.to_user_string(): event
            for event in outcome.asset_events
            if isinstance(event, dg.AssetMaterialization)
        }
        with lake.connect(read_only=True, settings=busy_lake) as connection:
            row = connection.sql("SELECT count(*), max(src_snapshot) FROM bars.ohlc_1m").fetchone()
            again = resident.table_states(
                connection, since=json.loads(outcome.cursor or "")["tables"]
            )
    assert row is not None
    assert reported["bars/ohlc_1m"].metadata["dagster/row_count"].value == row[0]
    assert reported["bars/ohlc_1m"].metadata["lake_snapshot"].value == row[1]
    assert "liquidity/illiquidity_1h" in reported
    assert "bars/ohlc_1m_live" not in reported
    assert again == []


def test_pairs_come_and_go_with_the_settings(busy_lake: Settings) -> None:
    pair, other = Pair("BTCUSDT", "ETHUSDT"), Pair("ETHUSDT", "BTCUSDT")
    now = {"settings": busy_lake}
    resource = Lake(busy_lake, lambda: now["settings"])

    def tick(cursor: str | None) -> dg.SensorResult:
        context = dg.build_sensor_context(
            instance=instance, cursor=cursor, resources={"lake": resource}
        )
        outcome = bars_changed(_JOB)(context)
        assert isinstance(outcome, dg.SensorResult)
        for request in outcome.dynamic_partitions_requests or []:
            assert isinstance(request, dg.AddDynamicPartitionsRequest)
            instance.add_dynamic_partitions("pairs", list(request.partition_keys))
        return outcome

    def asked(outcome: dg.SensorResult) -> set[str]:
        return {(each.partition_key or "").partition("|")[2] for each in outcome.run_requests or []}

    with dg.DagsterInstance.ephemeral() as instance:
        first = tick(None)
        assert asked(first) == {pair.key}
        now["settings"] = busy_lake.model_copy(update={"pairs": (pair, other)})
        second = tick(first.cursor)
        assert other.key in asked(second)
        assert set(instance.get_dynamic_partitions("pairs")) == {pair.key, other.key}
        now["settings"] = busy_lake.model_copy(update={"pairs": (other,)})
        third = tick(second.cursor)
        assert pair.key not in asked(third)
        assert set(instance.get_dynamic_partitions("pairs")) == {pair.key, other.key}


def test_both_recorded_days_are_run_and_then_nothing_more(busy_lake: Settings) -> None:
    first = _tick(bars_changed(_JOB), busy_lake)
    assert isinstance(first, dg.SensorResult)
    assert sorted(request.partition_key or "" for request in first.run_requests or []) == [
        "2024-08-08|BTCUSDT-ETHUSDT",
        "2024-08-09|BTCUSDT-ETHUSDT",
    ]
    again = _tick(bars_changed(_JOB), busy_lake, first.cursor)
    assert isinstance(again, dg.SensorResult)
    assert not again.run_requests


def test_a_late_tick_names_its_own_day_and_no_other(
    busy_lake: Settings, dbt_manifest: object
) -> None:
    from quant_pipeline.resident_dbt import ResidentDbt

    first = _tick(bars_changed(_JOB), busy_lake)
    assert isinstance(first, dg.SensorResult)
    _land(busy_lake, 3735600000, "2024-08-05 10:00:00")
    ResidentDbt(busy_lake, manifest=dbt_manifest).run()  # type: ignore[arg-type]
    outcome = _tick(bars_changed(_JOB), busy_lake, first.cursor)
    assert isinstance(outcome, dg.SensorResult)
    (request,) = outcome.run_requests or []
    assert request.partition_key == "2024-08-05|BTCUSDT-ETHUSDT"
    assert json.loads(outcome.cursor or "")["waiting"] == {}


def _newest(settings: Settings) -> int:
    with lake.connect(read_only=True, settings=settings) as connection:
        return lake.current_snapshot(connection)
