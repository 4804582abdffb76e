"""Klines (OHLCV bars) from trades, exactly: whole-number sums, the venue's twelve fields."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from streaming.exchange.history import Integers, TradeHistory
from streaming.exchange.market import E8, format_e8

INTERVALS_S = {"1s": 1, "1m": 60, "5m": 300, "1h": 3_600, "1d": 86_400}
"""Kline intervals served, in seconds."""

Kline = list[int | str]


def klines(
    history: TradeHistory,
    interval_s: int,
    *,
    start_us: int | None = None,
    end_us: int | None = None,
    limit: int = 500,
    unit_us: int = 1_000,
) -> list[Kline]:
    """Bars of `interval_s` seconds in `[openTime, open, high, low, close, volume, closeTime,
    quote volume, trades, taker buy volume, taker buy quote volume, "0"]`.

    Open and close are those of the lowest and the highest trade id in the interval. An interval
    without a trade, after the first trade, repeats the close before it with a volume of zero, as
    the venue does.

    Args:
        history: the symbol's trades.
        interval_s: length of a bar.
        start_us: bars that open at or after it; None: the newest `limit` bars.
        end_us: bars that open at or before it; None: up to the newest trade.
        limit: at most so many bars.
        unit_us: unit of the times returned, in µs.
    """
    if not len(history):
        return []
    step_us = interval_s * 1_000_000
    span = history.columns(range(0, 1)).time_us
    first_bar = int(span[0]) // step_us
    newest = history.last_time_us()
    assert newest is not None
    if not history.in_time_order:
        times = history.columns().time_us
        first_bar, newest = int(times.min()) // step_us, int(times.max())
    last_bar = newest // step_us
    if end_us is not None:
        last_bar = min(last_bar, end_us // step_us)
    if start_us is None:
        first_wanted = max(first_bar, last_bar - limit + 1)
    else:
        first_wanted = max(first_bar, -(-start_us // step_us))
        last_bar = min(last_bar, first_wanted + limit - 1)
    if last_bar < first_wanted:
        return []
    return _bars(history, step_us, first_wanted, last_bar, unit_us)


def _bars(
    history: TradeHistory, step_us: int, first_bar: int, last_bar: int, unit_us: int
) -> list[Kline]:
    rows = history.rows_between(first_bar * step_us, (last_bar + 1) * step_us)
    trades = history.columns_at(rows)
    bars = trades.time_us // step_us
    if not history.in_time_order:
        # Stable, so that a bar's trades stay in the order of their ids.
        order = np.argsort(bars, kind="stable")
        bars = bars[order]
    else:
        order = np.arange(len(bars))
    price, quantity = trades.price_e8[order], trades.quantity_e8[order]
    bought = np.where(trades.is_buyer_maker[order], 0, quantity)
    starts = np.flatnonzero(np.diff(bars, prepend=-1))
    bounds = [*starts.tolist(), len(bars)]
    made: dict[int, Kline] = {}
    for start, stop in pairwise(bounds):
        p, q, b = price[start:stop], quantity[start:stop], bought[start:stop]
        made[int(bars[start])] = [
            format_e8(int(p[0])),
            format_e8(int(p.max())),
            format_e8(int(p.min())),
            format_e8(int(p[-1])),
            format_e8(int(q.sum())),
            format_e8(exact_dot(p, q) // E8),
            stop - start,
            format_e8(int(b.sum())),
            format_e8(exact_dot(p, b) // E8),
        ]
    out: list[Kline] = []
    close = _close_before(history, first_bar * step_us)
    for bar in range(first_bar, last_bar + 1):
        fields = made.get(bar, _flat(close))
        close = str(fields[3])
        opened, closed = bar * step_us // unit_us, (bar + 1) * step_us // unit_us - 1
        out.append([opened, *fields[:5], closed, *fields[5:], "0"])
    return out


def exact_dot(left: Integers, right: Integers) -> int:
    """Sum of products as a whole number of any size.

    Grids are coarse (a price tick is 10⁶ units), so after dividing by the common factors the sum
    nearly always fits 64 bits; where it does not, Python's integers carry it.
    """
    if not len(left):
        return 0
    left_unit, right_unit = int(np.gcd.reduce(left)) or 1, int(np.gcd.reduce(right)) or 1
    small_left, small_right = left // left_unit, right // right_unit
    bound = int(small_left.max()) * int(small_right.max()) * len(left)
    if bound < 2**63:
        total = int(small_left @ small_right)
    else:
        total = sum(x * y for x, y in zip(small_left.tolist(), small_right.tolist(), strict=True))
    return total * left_unit * right_unit


def _flat(close: str) -> Kline:
    zero = format_e8(0)
    return [close, close, close, close, zero, zero, 0, zero, zero]


def _close_before(history: TradeHistory, time_us: int) -> str:
    rows = history.rows_between(0, time_us)
    if not len(rows):
        return format_e8(0)
    last = int(rows[-1])
    return format_e8(int(history.columns(range(last, last + 1)).price_e8[0]))
