"""Bars are compared with their ticks in every column; a jump is one by its own symbol's measure."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

import duckdb
import polars as pl
import pytest

from quant_pipeline.quality.bars import EXACT, SUMMED, equal_ticks, price_jumps
from quant_pipeline.settings import Timeframe

DAY = datetime.fromisoformat("2024-08-09T00:00")
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("timeframe", ["1s", "1m", "5m", "1h"])
def test_bars_made_by_another_hand_are_equal(
    connection: duckdb.DuckDBPyConnection, timeframe: Timeframe
) -> None:
    found = equal_ticks(connection, timeframe, venue="binance", spans=40)
    assert found.passed, found.description
    assert found.metadata["bars_compared"] > 0
    assert found.metadata["bars_different"] == 0


def test_the_same_lake_gives_the_same_sample(connection: duckdb.DuckDBPyConnection) -> None:
    first, second = (equal_ticks(connection, "1m", venue="binance", spans=12) for _ in range(2))
    assert first == second


@pytest.fixture
def hours(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Puts the hourly bars back as they were."""
    connection.execute("create table bars.kept as from bars.ohlc_1h")
    yield
    connection.execute("create or replace table bars.ohlc_1h as from bars.kept")
    connection.execute("drop table bars.kept")


@pytest.mark.usefixtures("hours")
def test_a_difference_in_any_column_is_found_and_named(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    for column in (*EXACT, *SUMMED):
        connection.execute(
            f"create or replace table bars.ohlc_1h as select * replace ({column} + 1 as {column})"
            " from bars.kept"
        )
        found = equal_ticks(connection, "1h", venue="binance", spans=40)
        assert not found.passed
        assert found.severe
        assert f" {column} " in found.description
        assert found.metadata["bars_different"] == found.metadata["bars_compared"]


@pytest.mark.usefixtures("hours")
def test_a_bar_that_is_missing_or_there_twice_is_found(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    # A thousand spans of three hours and two symbols leave none out.
    connection.execute(
        "insert into bars.ohlc_1h from bars.kept where symbol = 'BTCUSDT' and bucket ="
        " (select max(bucket) from bars.kept)"
    )
    twice = equal_ticks(connection, "1h", venue="binance", spans=1_000)
    assert not twice.passed
    assert "is there twice" in twice.description
    connection.execute(  # the sample lies between the first and the last bar there is
        "create or replace table bars.ohlc_1h as from bars.kept"
        " where not (symbol = 'BTCUSDT' and bucket = (select min(bucket) from bars.kept))"
        " union all select * replace (bucket - interval 1 hour as bucket) from bars.kept"
        " where symbol = 'BTCUSDT' and bucket = (select min(bucket) from bars.kept)"
    )
    missing = equal_ticks(connection, "1h", venue="binance", spans=1_000)
    assert not missing.passed
    assert missing.metadata["bars_different"] == 2  # one without ticks, and ticks without one


def test_ticks_that_the_bars_have_not_consumed_are_not_held_against_them(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    connection.execute(
        "insert into raw.ticks select * replace (trade_id + 1000000000 as trade_id, price * 2 as"
        " price) from raw.ticks where symbol = 'BTCUSDT'"
    )
    try:
        assert equal_ticks(connection, "1h", venue="binance", spans=40).passed
    finally:
        connection.execute("delete from raw.ticks where trade_id > 3735683259 + 500000000")


def test_without_bars_there_is_nothing_to_be_wrong(
    connection: duckdb.DuckDBPyConnection, venue: str
) -> None:
    assert equal_ticks(connection, "1m", venue=venue, spans=4).description == (
        "There are no bars yet."
    )
    found = price_jumps(connection, venue=venue, lookback=HOUR, bound_mads=25)
    assert found.passed
    assert found.metadata == {}


def _prices(
    connection: duckdb.DuckDBPyConnection,
    venue: str,
    symbol: str,
    *,
    step: float,
    jump: float = 0.0,
    minutes: int = 180,
) -> None:
    chance, price, rows = random.Random(7), 100.0, []
    for minute in range(minutes):
        price *= 1 + chance.gauss(0, step) + (jump if minute == minutes - 5 else 0.0)
        rows.append([venue, symbol, DAY + minute * MINUTE, price])
    made = pl.DataFrame(rows, ["venue", "symbol", "bucket", "close"], orient="row")
    connection.register("made", made.to_arrow())
    connection.execute("insert into bars.ohlc_1m by name from made")


def test_a_jump_is_measured_by_its_own_symbols_day(
    connection: duckdb.DuckDBPyConnection, venue: str
) -> None:
    _prices(connection, venue, "CALM", step=0.0005, jump=0.05)
    _prices(connection, venue, "WILD", step=0.02, jump=0.05)
    connection.execute(
        "insert into bars.ohlc_1m (venue, symbol, bucket, close) values (?, 'CALM', ?, 'nan')",
        [venue, DAY + 179 * MINUTE + timedelta(seconds=1)],
    )
    found = price_jumps(connection, venue=venue, lookback=HOUR, bound_mads=25)
    assert not found.passed
    assert not found.severe
    assert found.metadata["jumps"] == 1
    assert found.description.startswith("Prices jumped: CALM +")
    assert found.metadata["WILD largest_return_mads"] < 25
    earlier = price_jumps(connection, venue=venue, lookback=2 * MINUTE, bound_mads=25)
    assert earlier.passed  # it is told once, not for a day


def test_a_short_history_tells_nothing(connection: duckdb.DuckDBPyConnection, venue: str) -> None:
    _prices(connection, venue, "NEW", step=0.001, jump=0.9, minutes=20)
    found = price_jumps(connection, venue=venue, lookback=HOUR, bound_mads=25)
    assert found.passed
    assert "Too few" in found.description
