"""The values that rules judge, from a real lake; and where there are none."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import duckdb
import pytest

from quant_pipeline import lake
from quant_pipeline.alerts import readings
from quant_pipeline.alerts.rules import STREAM, configured
from quant_pipeline.settings import Settings

NOW = datetime.fromisoformat("2024-08-09T12:00")
PAIR = "BTCUSDT/ETHUSDT"
HOUR = timedelta(hours=1)


def _values(
    connection: duckdb.DuckDBPyConnection, settings: Settings, *rules: str, now: datetime = NOW
) -> dict[str, float | None]:
    chosen = {name: rule for name, rule in configured(settings).items() if name in rules}
    found = readings.read(connection, settings, chosen, now=now)
    return {seen.subject: seen.value for seen in found if seen.rule == rules[0]}


def _publish(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    day: int,
    taken_at: datetime,
    **metrics: float | None,
) -> None:
    date = f"2024-08-{day:02d}"
    connection.execute(
        "insert into analytics.pair_snapshots (taken_at, venue, y, x, timeframe, window_start,"
        " window_end, bars, lake_snapshot, code_version, day, rolling_window, metrics)"
        f" values (?, ?, 'BTCUSDT', 'ETHUSDT', '1s', '{date}', '{date} 12:00:00', 100, 1, 'test',"
        f" '{date}', 60, map(?::varchar[], ?::double[]))",
        [taken_at, settings.venue, list(metrics), list(metrics.values())],
    )


def test_an_empty_lake_says_nothing_but_that_no_gap_is_open(
    connection: duckdb.DuckDBPyConnection, alerting: Settings
) -> None:
    everything = configured(Settings())
    found = readings.read(connection, alerting, everything, now=NOW)
    assert {(seen.rule, seen.subject, seen.value) for seen in found} == {
        ("open_gap", "BTCUSDT", 0.0),
        ("open_gap", "ETHUSDT", 0.0),
    }


def test_z_is_that_of_the_newest_row_of_the_newest_date(
    connection: duckdb.DuckDBPyConnection, alerting: Settings
) -> None:
    alerting = alerting.model_copy(update={"alert_rules": ("zscore", "spread_widening")})
    _publish(connection, alerting, 9, NOW - HOUR, rolling_zscore=1.0, spread_sd_bps=5.0)
    _publish(connection, alerting, 9, NOW, rolling_zscore=-3.0, spread_sd_bps=8.0)
    _publish(connection, alerting, 7, NOW, rolling_zscore=9.0, spread_sd_bps=2.0)
    assert _values(connection, alerting, "zscore") == {PAIR: 3.0}
    assert _values(connection, alerting, "spread_widening") == {PAIR: None}  # one day is no usual
    _publish(connection, alerting, 8, NOW, rolling_zscore=None, spread_sd_bps=6.0)
    assert _values(connection, alerting, "spread_widening") == {PAIR: 2.0}
    assert _values(connection, alerting, "zscore", now=NOW + 30 * HOUR) == {}


def test_an_undefined_z_is_no_value(
    connection: duckdb.DuckDBPyConnection, alerting: Settings
) -> None:
    _publish(connection, alerting, 9, NOW, rolling_zscore=None, spread_sd_bps=None)
    alerting = alerting.model_copy(update={"alert_rules": ("zscore",)})
    assert _values(connection, alerting, "zscore") == {PAIR: None}


def test_correlation_is_compared_with_the_median_of_its_week(
    connection: duckdb.DuckDBPyConnection, alerting: Settings
) -> None:
    alerting = alerting.model_copy(update={"alert_rules": ("correlation_breakdown",)})
    for age, value in enumerate([0.2, 0.8, 0.9, None, 0.7, 0.8, 0.8]):
        connection.execute(
            "insert into analytics.correlation_snapshots (taken_at, venue, y, x, timeframe,"
            " window_start, window_end, bars, lake_snapshot, code_version, correlation,"
            " observations, liquidity_filter)"
            " values (?, ?, 'BTCUSDT', 'ETHUSDT', '1m', ?, ?, 100, 1, 'test', ?, 99, true)",
            [NOW - age * HOUR, alerting.venue, NOW - 24 * HOUR, NOW - age * HOUR, value],
        )
    assert _values(connection, alerting, "correlation_breakdown") == {PAIR: pytest.approx(0.6)}
    few = NOW + timedelta(days=7) - 2 * HOUR
    assert _values(connection, alerting, "correlation_breakdown", now=few) == {}


def test_silence_is_judged_by_the_symbols_own_rhythm(recorded_lake: Settings) -> None:
    with lake.connect(read_only=True, settings=recorded_lake) as connection:
        row: Any = connection.sql("select max(received_at) from raw.ticks").fetchone()
        end = row[0]
        live = _values(connection, recorded_lake, "stale_feed", now=end)
        assert live[STREAM] == 0.0
        assert set(live) == {STREAM, "BTCUSDT", "ETHUSDT"}
        assert all(value is not None and value < 0.5 for value in live.values())
        # the usual pause of these symbols is a minute bar: four of them are the limit
        late = _values(connection, recorded_lake, "stale_feed", now=end + timedelta(seconds=480))
        assert late == {STREAM: pytest.approx(2.0), "BTCUSDT": None, "ETHUSDT": None}
        gone = _values(connection, recorded_lake, "stale_feed", now=end + timedelta(days=30))
        assert gone[STREAM] == pytest.approx(360.0)


def test_volume_is_compared_with_the_median_of_its_day(
    connection: duckdb.DuckDBPyConnection, alerting: Settings
) -> None:
    alerting = alerting.model_copy(update={"alert_rules": ("volume_spike",)})
    assert _values(connection, alerting, "volume_spike") == {}  # there are no bars yet
    connection.execute(
        "create table bars.ohlc_5m as select ? as venue, symbol, bucket, case"
        " when bucket = timestamp '2024-08-09 11:55' then 900.0"  # complete
        " when bucket = timestamp '2024-08-09 12:00' then 1e9"  # still growing
        " else 100.0 end as quote_volume"
        " from (values ('BTCUSDT')) as symbols(symbol),"
        " range(timestamp '2024-08-09 10:30', timestamp '2024-08-09 12:05', interval 5 minute)"
        " as buckets(bucket)",
        [alerting.venue],
    )
    connection.execute(  # too few bars to know what is usual
        "insert into bars.ohlc_5m select venue, 'ETHUSDT', bucket, quote_volume from bars.ohlc_5m"
        " where bucket >= timestamp '2024-08-09 11:50'"
    )
    assert _values(connection, alerting, "volume_spike") == {"BTCUSDT": 9.0}
