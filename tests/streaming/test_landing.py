"""A batch lands once, whatever happens while it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np
import pytest

from quant_pipeline import lake
from quant_pipeline.settings import Settings
from streaming.batch import Batch, Frozen, SessionRow, split_held, to_table
from streaming.gaps import GapChanges, GapKey, GapRow
from streaming.landing import Landing

SEALED_US = 1_723_161_254_000_000


def trades(first_id: int, count: int, symbol: int = 0) -> Frozen:
    ids = np.arange(first_id, first_id + count)
    times = SEALED_US + ids * 1000
    ones = np.ones(count)
    return Frozen(
        np.full(count, symbol, np.int32), ids, times, times, ones * 61_837.63, ones, ones > 0
    )


def batch(
    sequence: int,
    first_id: int = 0,
    count: int = 5,
    gaps: GapChanges | None = None,
    sessions: tuple[SessionRow, ...] = (),
) -> Batch:
    table = to_table(trades(first_id, count), "binance", ["BTCUSDT"])
    return Batch("w1", sequence, SEALED_US, table, gaps or GapChanges(), sessions)


def rows(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    with lake.connect(read_only=True, settings=settings) as connection:
        return connection.execute(query).fetchall()


class Interrupted:
    """A connection that fails at the statement it is told to, before or after running it."""

    def __init__(self, real: duckdb.DuckDBPyConnection, at: str, *, after: bool) -> None:
        self._real, self._at, self._after = real, at, after

    def execute(self, statement: str, *arguments: object) -> object:
        if statement.startswith(self._at) and not self._after:
            raise duckdb.IOException(f"cut before {self._at}")
        result = self._real.execute(statement, *arguments)
        if statement.startswith(self._at):
            raise duckdb.IOException(f"cut after {self._at}")
        return result

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)


@pytest.fixture
def interrupted(settings: Settings) -> Callable[..., Landing]:
    def make(at: str, *, after: bool) -> Landing:
        first = iter([True])

        def connect() -> Any:
            real = lake.connect(settings=settings)
            return Interrupted(real, at, after=after) if next(first, False) else real

        return Landing(settings, "binance", connect)

    return make


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", ["INSERT INTO raw.ticks", "INSERT INTO raw.commits", "COMMIT"])
def test_a_retry_after_an_unknown_outcome_neither_loses_nor_doubles(
    settings: Settings, interrupted: Callable[..., Landing], at: str, after: bool
) -> None:
    landing = interrupted(at, after=after)
    with pytest.raises(duckdb.IOException, match="cut"):
        landing.commit(batch(0), may_be_landed=False)
    was_landed = at == "COMMIT" and after
    assert landing.commit(batch(0), may_be_landed=True) is not was_landed
    assert landing.commit(batch(0), may_be_landed=True) is False
    landing.commit(batch(1, first_id=5), may_be_landed=False)
    landing.close()
    assert rows(settings, "select count(*), count(distinct trade_id) from raw.ticks") == [(10, 10)]
    assert rows(settings, "select sequence, rows from raw.commits order by 1") == [(0, 5), (1, 5)]


def test_gap_rows_are_replaced_in_place_and_sessions_end(settings: Settings) -> None:
    landing = Landing(settings, "binance")
    opened = GapRow("BTCUSDT", 10, 14, 7, "stream", "open", None, 0)
    other = GapRow("BTCUSDT", 20, 24, 7, "stream", "open", None, 0)
    started = SessionRow("s1", "wss://x", ("BTCUSDT",), 1, None, None, 0)
    landing.commit(batch(0, gaps=GapChanges((), (opened, other)), sessions=(started,)),
                   may_be_landed=False)  # fmt: skip
    closed = opened._replace(status="repaired", repaired_us=9, trades_recovered=5)
    ended = started._replace(disconnected_us=5, reason="1001", trades=3)
    landing.commit(
        batch(1, 5, gaps=GapChanges((GapKey("BTCUSDT", 10, 14),), (closed,)), sessions=(ended,)),
        may_be_landed=False,
    )
    landing.close()
    assert rows(
        settings,
        "select venue, first_id, status, trades_recovered from raw.capture_gaps order by 2",
    ) == [("binance", 10, "repaired", 5), ("binance", 20, "open", 0)]
    assert rows(
        settings, "select session_id, writer, reason, trades from raw.capture_sessions"
    ) == [("s1", "w1", "1001", 3)]


def test_trades_beyond_a_suspected_id_wait_and_the_rest_is_sorted() -> None:
    fresh = Frozen(*map(np.concatenate, zip(trades(10, 5), trades(100, 3, 1), strict=True)))
    ready, held = split_held(fresh, None, {0: 12})
    assert ready.trade_id.tolist() == [10, 11, 100, 101, 102]
    assert held is not None
    assert held.trade_id.tolist() == [12, 13, 14]
    ready, held = split_held(trades(11, 1), held, {})
    assert ready.trade_id.tolist() == [11, 12, 13, 14]
    assert held is None
