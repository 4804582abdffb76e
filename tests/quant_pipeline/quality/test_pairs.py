"""Published pair statistics: each row once, legs that trade together, no drift."""

from __future__ import annotations

from datetime import datetime, timedelta

import duckdb
import pytest

from quant_pipeline.quality.finding import Finding
from quant_pipeline.quality.pairs import drift, one_leg_share, one_row_per_key
from quant_pipeline.settings import Pair, Settings

NOW = datetime.fromisoformat("2024-08-10T12:00")
PAIR = Pair("AAA", "BBB")
DAY = timedelta(days=1)


def _publish(
    connection: duckdb.DuckDBPyConnection, venue: str, age_days: int, **metrics: float | None
) -> None:
    at = NOW - age_days * DAY
    connection.execute(
        "insert into analytics.pair_snapshots (taken_at, venue, y, x, timeframe, window_start,"
        " window_end, bars, lake_snapshot, code_version, day, rolling_window, metrics)"
        " values (?, ?, ?, ?, '1s', ?, ?, 100, 1, 'test', ?, 60, map(?::varchar[], ?::double[]))",
        [at, venue, *PAIR, at, at, at.date(), list(metrics), list(metrics.values())],
    )


def test_a_statistic_far_from_its_days_has_drifted(
    connection: duckdb.DuckDBPyConnection, quality_lake: Settings, venue: str
) -> None:
    settings = quality_lake.model_copy(
        update={"venue": venue, "pairs": (PAIR,), "pair_timeframe": "1s", "rolling_window": 60}
    )
    assert (
        drift(connection, settings, now=NOW).description
        == "Fewer than 5 earlier days to compare with."
    )
    for age, beta in enumerate([1.00, 1.01, 0.99, 1.02, 0.98], start=1):
        _publish(connection, venue, age, hedge_ratio=beta, half_life_s=60.0, correlation=None)
    _publish(connection, venue, 0, hedge_ratio=1.01, half_life_s=None, correlation=0.9)
    usual = drift(connection, settings, now=NOW)
    assert usual.passed
    assert set(usual.metadata) == {"AAA-BBB hedge_ratio_mads"}  # undefined ones say nothing
    connection.execute("delete from analytics.pair_snapshots where taken_at = ?", [NOW])
    _publish(connection, venue, 0, hedge_ratio=1.5, half_life_s=600.0, correlation=float("nan"))
    gone = drift(connection, settings, now=NOW)
    assert not gone.passed
    assert not gone.severe
    assert "AAA/BBB hedge_ratio 1.5, AAA/BBB half_life_s 600" in gone.description


def test_a_row_that_is_there_twice_is_found(
    connection: duckdb.DuckDBPyConnection, venue: str
) -> None:
    def found() -> Finding:
        return one_row_per_key(connection, "pair_snapshots", now=NOW, lookback=DAY)

    connection.execute("delete from analytics.pair_snapshots")
    assert found().passed
    _publish(connection, venue, 0, hedge_ratio=1.0)
    assert found().passed
    _publish(connection, venue, 0, hedge_ratio=2.0)
    assert found().severe
    assert found().metadata == {"rows": 2, "repeated_keys": 1}
    connection.execute("delete from analytics.pair_snapshots")


def test_a_leg_that_trades_alone_is_noticed(
    connection: duckdb.DuckDBPyConnection, venue: str
) -> None:
    def found() -> Finding:
        return one_leg_share(
            connection,
            [PAIR],
            venue=venue,
            timeframe="1m",
            lookback=timedelta(hours=1),
            bound=0.5,
        )

    assert found().passed
    assert found().metadata == {}  # neither leg has a bar
    for symbol, every in (("AAA", 1), ("BBB", 4)):
        connection.execute(
            "insert into bars.ohlc_1m (venue, symbol, bucket) select ?, ?, ? - to_minutes(range)"
            " from range(0, 300, ?)",
            [venue, symbol, NOW, every],
        )
    lonely = found()
    assert not lonely.passed
    assert lonely.metadata == {"AAA-BBB one_leg_share": pytest.approx(0.75)}
    assert "Only one leg traded in most 1m bars of AAA/BBB 75%" in lonely.description
