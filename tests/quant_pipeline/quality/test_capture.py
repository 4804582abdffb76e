"""Gaps, silence and clocks: what is judged, how severely, and what is not judged at all."""

from __future__ import annotations

from datetime import datetime, timedelta

import duckdb
import pytest

from quant_pipeline.quality.capture import clock_skew, open_gaps, staleness
from quant_pipeline.quality.finding import Finding
from quant_pipeline.quality.silence import Silence, Silences, measure
from quant_pipeline.schema import WORKER_STOPPED

NOW = datetime.fromisoformat("2024-08-10T12:00")
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


def _gaps(connection: duckdb.DuckDBPyConnection, venue: str) -> Finding:
    return open_gaps(connection, venue=venue, now=NOW, error_after_s=300)


def test_a_gap_is_a_warning_then_an_error_and_nothing_once_repaired(
    connection: duckdb.DuckDBPyConnection, venue: str
) -> None:
    assert _gaps(connection, venue).passed
    row = "insert into raw.capture_gaps values (?, 'BTCUSDT', 11, 20, ?, 'test', 'open', null, 0)"
    connection.execute(row, [venue, NOW - 10 * SECOND])
    young = _gaps(connection, venue)
    assert not young.passed
    assert not young.severe
    assert dict(young.metadata) == {"open_gaps": 1, "missing_trades": 10, "oldest_s": 10.0}
    connection.execute(row, [venue, NOW - HOUR])
    assert _gaps(connection, venue).severe
    connection.execute("update raw.capture_gaps set status = 'repaired' where venue = ?", [venue])
    assert _gaps(connection, venue).passed


def test_a_stopped_stream_is_not_a_quiet_market() -> None:
    lively, rare = Silence("A", 300, 300, 240), Silence("B", 900, 900, 3600)
    stopped = staleness(Silences((lively, rare), ()))
    assert not stopped.passed
    assert stopped.severe
    assert stopped.description.startswith("The stream has stopped")
    quiet = staleness(Silences((Silence("A", 1, 1, 240), rare), ()))
    assert quiet.passed
    stale = staleness(Silences((Silence("A", 1, 1, 240), Silence("B", 3700, 3700, 3600)), ("C",)))
    assert not stale.passed
    assert not stale.severe
    assert stale.metadata["stale_symbols"] == 1
    assert stale.description == "B is silent for 3,700 s, beyond 3,600 s; C never received."


def test_an_empty_lake_has_no_rhythm(connection: duckdb.DuckDBPyConnection, venue: str) -> None:
    silences = measure(
        connection, venue=venue, symbols=["BTCUSDT"], now=NOW, shortest_s=60, factor=4
    )
    assert silences.never == ("BTCUSDT",)
    assert not silences.stopped
    assert staleness(silences).passed


def _land(
    connection: duckdb.DuckDBPyConnection,
    venue: str,
    symbol: str,
    received_at: datetime,
    *,
    trades: int = 1,
    delay_ms: float = 50,
) -> None:
    ts = received_at - timedelta(milliseconds=delay_ms)
    connection.execute(
        "insert into raw.ticks select ?, ?, range, ?, ?, 1.0, 1.0, true from range(?)",
        [venue, symbol, ts, received_at, trades],
    )


def test_an_outage_of_ours_is_not_held_against_a_rare_symbol(
    connection: duckdb.DuckDBPyConnection, venue: str
) -> None:
    _land(connection, venue, "LIVELY", NOW - SECOND)
    _land(connection, venue, "RARE", NOW - 2 * HOUR)
    symbols = ["LIVELY", "RARE"]

    def overdue() -> list[str]:
        found = measure(connection, venue=venue, symbols=symbols, now=NOW, shortest_s=60, factor=4)
        return [each.symbol for each in found.overdue]

    assert overdue() == ["RARE"]
    connection.execute(
        "insert into raw.capture_sessions values ('s', 'w', ?, 'ws://venue', ?, ?, null, null, 0)",
        [venue, symbols, NOW - 30 * SECOND],
    )
    assert overdue() == []


@pytest.mark.parametrize(
    ("reason", "is_released"),
    [("worker stopped", True), ("connection reset", False), (None, False)],
)
def test_a_worker_that_was_told_to_stop_is_not_a_stream_that_broke(
    connection: duckdb.DuckDBPyConnection, venue: str, reason: str | None, is_released: bool
) -> None:
    _land(connection, venue, "BTCUSDT", NOW - HOUR)
    for session, began, ended in (("1", 3, WORKER_STOPPED), ("2", 2, reason)):
        connection.execute(
            "insert into raw.capture_sessions values (?, 'w', ?, 'ws://venue', ?, ?, null, ?, 0)",
            [session, venue, ["BTCUSDT"], NOW - began * HOUR, ended],
        )
    found = measure(connection, venue=venue, symbols=["BTCUSDT"], now=NOW, shortest_s=60, factor=4)
    assert found.stopped
    assert found.released is is_released
    finding = staleness(found)
    assert not finding.passed
    assert finding.severe is not is_released


@pytest.mark.parametrize(
    ("delay_ms", "passed", "said"),
    [
        (50, True, "Trades are received 50.0 ms after they happen."),
        (-200, False, "our clock is behind"),
        (5_000, False, "our clock is ahead, or the feed has fallen behind"),
        (90 * 86_400_000, True, "0 live trades of late"),  # a replay or a backfill
    ],
)
def test_clocks_are_judged_by_the_median_of_live_trades(
    connection: duckdb.DuckDBPyConnection, venue: str, delay_ms: float, passed: bool, said: str
) -> None:
    _land(connection, venue, "BTCUSDT", NOW - 60 * SECOND, trades=30, delay_ms=delay_ms)
    _land(connection, venue, "BTCUSDT", NOW - 3 * HOUR, trades=300, delay_ms=-9_000)  # long ago
    found = clock_skew(
        connection, venue=venue, symbols=["BTCUSDT"], now=NOW, lookback=HOUR, bound_ms=1000
    )
    assert found.passed is passed
    assert said in found.description
    assert not found.severe
