"""Which rows of the scheduled statistics are a pair's history: those by the settings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest

from quant_pipeline import lake
from quant_pipeline.alerts import readings
from quant_pipeline.alerts.rules import configured
from quant_pipeline.defs.snapshots import append, latest_window
from quant_pipeline.research import snapshots
from quant_pipeline.settings import Pair, Settings

PAIR = Pair("BTCUSDT", "ETHUSDT")
START = datetime(2024, 8, 9, 1, tzinfo=UTC)
OTHER = ({"timeframe": "1m"}, {"lookback_h": 0.05}, {"liquidity_filter": False})


@pytest.fixture(scope="module")
def by_the_second(make_recorded_lake: Callable[[str], Settings]) -> Settings:
    """Twelve recorded minutes, with snapshots of one-second bars."""
    return make_recorded_lake("history").model_copy(update={"snapshot_timeframe": "1s"})


def take(
    connection: duckdb.DuckDBPyConnection, settings: Settings, hour: int, **own: Any
) -> datetime:
    """Take a snapshot as the schedule does, or with parameters of one's own."""
    parameters = {
        "timeframe": settings.snapshot_timeframe,
        "lookback_h": settings.snapshot_lookback_h,
        "liquidity_filter": settings.snapshot_liquidity_filter,
    }
    window = latest_window(connection, PAIR, venue=settings.venue, **{**parameters, **own})
    assert window is not None
    taken_at = START + timedelta(hours=hour)
    append(connection, window, now=taken_at)
    return taken_at.replace(tzinfo=None)


@pytest.mark.parametrize("lookback_h", [24.0, 720.0, 1 / 3, 0.1], ids="{:.2f} h".format)
def test_a_researchers_own_runs_are_no_part_of_the_history(
    by_the_second: Settings, lookback_h: float
) -> None:
    settings = by_the_second.model_copy(update={"snapshot_lookback_h": lookback_h})
    with lake.connect(settings=settings) as connection:
        scheduled = [take(connection, settings, hour) for hour in (0, 5)]
        for hour, own in enumerate(OTHER, start=1):
            take(connection, settings, hour, **own)
        history = snapshots.load(connection, settings, PAIR)
    assert history.correlation["taken_at"].to_list() == scheduled
    assert history.spread["taken_at"].to_list() == scheduled
    assert history.changes().is_empty()


def test_rows_older_than_their_parameters_stay(
    make_recorded_lake: Callable[[str], Settings],
) -> None:
    settings = make_recorded_lake("older").model_copy(
        update={"snapshot_timeframe": "1s", "snapshot_liquidity_filter": False}
    )
    with lake.connect(settings=settings) as connection:
        older = take(connection, settings, 0)
        for table in ("adf_snapshots", "correlation_snapshots"):
            connection.execute(
                f"update analytics.{table}"
                " set read_from = null, read_to = null, liquidity_filter = null"
            )
        newer = take(connection, settings, 1)
        history = snapshots.load(connection, settings, PAIR)
    assert history.correlation["taken_at"].to_list() == [older, newer]


def test_alerts_judge_what_the_history_shows(by_the_second: Settings) -> None:
    alerting = by_the_second.model_copy(
        update={"alert_rules": ("correlation_breakdown", "cointegration_lost")}
    )
    with lake.connect(settings=alerting) as connection:

        def judged() -> list[readings.Observation]:
            now = START.replace(tzinfo=None) + timedelta(hours=20)
            return readings.read(connection, alerting, configured(alerting), now=now)

        for hour in range(6):
            take(connection, alerting, hour)
        before = judged()
        assert {seen.rule for seen in before} >= {"correlation_breakdown", "cointegration_lost"}
        for hour, own in enumerate(OTHER, start=6):
            take(connection, alerting, hour, **own)
        assert judged() == before
