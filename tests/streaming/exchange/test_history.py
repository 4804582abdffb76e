"""The columns that REST is computed from: ids with holes, aggregates, exact sums."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.exchange.history import TradeHistory
from streaming.exchange.klines import exact_dot, klines
from streaming.exchange.market import Trade

steps = st.lists(
    st.tuples(
        st.integers(1, 4),  # how far the id rises
        st.integers(-2, 3),  # how the time moves
        st.integers(1, 3),  # price
        st.booleans(),
    ),
    min_size=1,
    max_size=60,
)


def trades_of(moves: list[tuple[int, int, int, bool]]) -> list[Trade]:
    out = []
    trade_id, time_us = 100, 1_000
    for rise, move, price, sold in moves:
        trade_id, time_us = trade_id + rise, time_us + move
        out.append(Trade("AUSDT", trade_id, time_us, time_us, price, 7, sold, time_us))
    return out


def history_of(trades: list[Trade], look_after: set[int] | None = None) -> TradeHistory:
    history = TradeHistory("AUSDT")
    for position, trade in enumerate(trades):
        history.append(trade)
        if look_after and position in look_after:
            assert history.aggregates >= 0
    return history


@given(steps, st.integers(90, 400), st.integers(1, 20))
def test_pages_hold_the_first_trades_from_an_id_on(
    moves: list[tuple[int, int, int, bool]], from_id: int, limit: int
) -> None:
    trades = trades_of(moves)
    history = history_of(trades)
    page = history.columns(history.rows_from(from_id, limit))
    expected = [trade for trade in trades if trade.trade_id >= from_id][:limit]
    assert page.trade_id.tolist() == [trade.trade_id for trade in expected]
    assert page.time_us.tolist() == [trade.time_us for trade in expected]
    assert page.is_buyer_maker.tolist() == [trade.is_buyer_maker for trade in expected]
    assert (history.first_id, history.last_id) == (trades[0].trade_id, trades[-1].trade_id)


@given(steps, st.sets(st.integers(0, 59)))
def test_aggregates_do_not_depend_on_when_someone_looks(
    moves: list[tuple[int, int, int, bool]], look_after: set[int]
) -> None:
    trades = trades_of(moves)
    history = history_of(trades, look_after)
    history.complete_aggregates(None)
    runs = [
        list(run)
        for _, run in itertools.groupby(
            trades, key=lambda t: (t.time_us, t.price_e8, t.is_buyer_maker)
        )
    ]
    made = [history.aggregate(index) for index in range(history.aggregates)]
    assert [(each.first_id, each.last_id, each.quantity_e8) for each in made] == [
        (run[0].trade_id, run[-1].trade_id, 7 * len(run)) for run in runs
    ]


@given(steps, st.integers(980, 1_100), st.integers(980, 1_100))
def test_trades_between_two_times(
    moves: list[tuple[int, int, int, bool]], start: int, stop: int
) -> None:
    trades = trades_of(moves)
    history = history_of(trades)
    found = history.columns_at(history.rows_between(start, stop))
    expected = [trade.trade_id for trade in trades if start <= trade.time_us < stop]
    assert found.trade_id.tolist() == expected


def test_an_aggregate_declared_complete_does_not_grow() -> None:
    first, second = trades_of([(1, 0, 1, True), (1, 0, 1, True)])
    history = history_of([first])
    history.complete_aggregates(first.time_us)
    assert history.aggregates == 0
    history.complete_aggregates(first.time_us + 1_000_000)
    assert history.aggregates == 1
    history.append(second)
    history.complete_aggregates(None)
    assert [history.aggregate(index).first_id for index in (0, 1)] == [101, 102]


def test_ids_must_rise() -> None:
    (trade,) = trades_of([(1, 0, 1, True)])
    history = history_of([trade])
    with pytest.raises(ValueError, match="AUSDT trade 101 follows 101"):
        history.append(trade)


def test_an_empty_history_has_no_bars() -> None:
    history = TradeHistory("AUSDT")
    assert klines(history, 60) == []
    assert history.last_id is None
    assert len(history.columns()) == 0


@given(
    st.lists(st.tuples(st.integers(1, 10**13), st.integers(1, 10**15)), min_size=1, max_size=20),
    st.sampled_from([1, 10**6]),
)
def test_sums_of_products_are_exact_at_any_size(rows: list[tuple[int, int]], grid: int) -> None:
    left = np.array([price // grid * grid for price, _ in rows], dtype=np.int64)
    right = np.array([quantity for _, quantity in rows], dtype=np.int64)
    exact = sum(a * b for a, b in zip(left.tolist(), right.tolist(), strict=True))
    assert exact_dot(left, right) == exact
