"""Days that hold a trade twice are found once; nothing newer is taken for looked through."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import duckdb
import pytest

from quant_pipeline import copies, lake, maintenance
from quant_pipeline.settings import Settings

TRADES = """
insert into raw.ticks
select 'binance', '{symbol}', {first} + r, timestamp '{day}' + interval (r) second,
    now()::timestamp, 60000, 0.1, true
from range({count}) as t (r)
"""
_FIRST, _SECOND, _THIRD = date(2024, 8, 8), date(2024, 8, 9), date(2024, 8, 12)


@pytest.fixture
def connection(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    with lake.connect(settings=settings) as connection:
        yield connection


def land(
    connection: duckdb.DuckDBPyConnection,
    day: date,
    *,
    first: int,
    count: int = 300,
    symbol: str = "BTCUSDT",
) -> None:
    connection.execute(TRADES.format(symbol=symbol, day=day, first=first, count=count))


def searches(connection: duckdb.DuckDBPyConnection) -> list[tuple[int, list[date]]]:
    return connection.execute("from raw.copy_searches order by as_of_snapshot").fetchall()


def test_only_days_with_a_trade_twice_are_copied(connection: duckdb.DuckDBPyConnection) -> None:
    assert copies.search(connection) == ()
    land(connection, _FIRST, first=1_000)
    land(connection, _FIRST, first=1_000, symbol="ETHUSDT")  # ids are a symbol's own
    land(connection, _SECOND, first=1_300)
    land(connection, _SECOND, first=1_511, count=1)  # one of them again
    as_of = lake.current_snapshot(connection)
    assert copies.search(connection) == (_SECOND,)
    assert searches(connection) == [(as_of, [_SECOND])]


def test_a_search_looks_at_days_with_ticks_newer_than_the_last_one(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    land(connection, _FIRST, first=1_000)
    land(connection, _SECOND, first=2_000)
    land(connection, _SECOND, first=2_000)
    assert copies.search(connection) == (_SECOND,)
    assert copies.search(connection) == (_SECOND,)
    assert len(searches(connection)) == 1, "nothing landed, so nothing was to be found"
    land(connection, _THIRD, first=3_000)
    land(connection, _FIRST, first=1_100, count=5)  # copies of what an earlier search saw
    as_of = lake.current_snapshot(connection)
    assert copies.search(connection) == (_FIRST, _SECOND)
    assert searches(connection)[-1] == (as_of, [_FIRST, _SECOND])


def test_a_day_without_its_copies_is_found_to_have_none(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    land(connection, _FIRST, first=1_000)
    land(connection, _FIRST, first=1_000)
    assert copies.search(connection) == (_FIRST,)
    connection.execute("delete from raw.ticks")
    land(connection, _FIRST, first=1_000)
    assert copies.search(connection) == ()


def test_what_lands_during_a_search_is_left_for_the_next(
    settings: Settings, connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(connection, _FIRST, first=1_000)
    look = copies._has_copies

    def meanwhile(searching: duckdb.DuckDBPyConnection, day: date) -> bool:
        with lake.connect(settings=settings) as other:
            land(other, _FIRST, first=1_000)
        return look(searching, day)

    monkeypatch.setattr(copies, "_has_copies", meanwhile)
    assert copies.search(connection) == ()
    monkeypatch.setattr(copies, "_has_copies", look)
    newest = connection.execute("select max(snapshot_id) from raw.ticks").fetchone()
    assert newest is not None
    assert searches(connection)[-1][0] < newest[0]
    assert copies.search(connection) == (_FIRST,)


def test_the_daily_tier_searches_and_merging_leaves_the_search_valid(
    settings: Settings, connection: duckdb.DuckDBPyConnection
) -> None:
    for part in range(4):
        land(connection, _FIRST, first=1_000 + 300 * part)
    maintenance.run(settings, daily=False)
    assert searches(connection) == []
    maintenance.run(settings, daily=True)
    ((as_of, copied),) = searches(connection)
    assert copied == []
    maintenance.run(settings, daily=True)
    newest = connection.execute("select max(snapshot_id) from raw.ticks").fetchone()
    assert newest is not None
    assert newest[0] <= as_of
