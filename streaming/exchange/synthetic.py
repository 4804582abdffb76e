"""A seeded, simulated market: any number of symbols, any rate, some pairs cointegrated.

Log prices follow one market factor and a walk of their own. In a cointegrated pair the first
symbol's log price is `intercept + beta * log price of the second + spread`, where the spread is an
Ornstein-Uhlenbeck process. Taker orders arrive as a Poisson process, hit the bid or the ask of a
spread on the symbol's tick grid, and fill in one or more trades of the same time. Ids are
contiguous. The same seed gives the same trades; only the time at which the market opens moves
them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import attrgetter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streaming.exchange.market import E8, Event, Instrument, Quote, Trade

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_KNOWN: Sequence[tuple[str, float, str, str]] = (
    ("BTCUSDT", 61_800.0, "0.01", "0.00001"),
    ("ETHUSDT", 2_680.0, "0.01", "0.0001"),
    ("BNBUSDT", 510.0, "0.1", "0.001"),
    ("SOLUSDT", 155.0, "0.01", "0.001"),
    ("XRPUSDT", 0.61, "0.0001", "1"),
    ("DOGEUSDT", 0.103, "0.00001", "1"),
    ("ADAUSDT", 0.34, "0.0001", "0.1"),
    ("AVAXUSDT", 22.4, "0.01", "0.01"),
    ("LINKUSDT", 10.3, "0.01", "0.01"),
    ("LTCUSDT", 61.0, "0.01", "0.001"),
)
"""Names, prices and grids of the first symbols; the rest are `S010USDT`, `S011USDT`, …"""

_LATENCY_US = 500
"""From the trade to its event."""
_MEAN_FILLS = 1.6
_VOLATILITY_PER_SQRT_S = 1.1e-4
"""60 % a year."""
_FACTOR_SHARE = 0.7
_SPREAD_VOLATILITY = 2e-3
_MEDIAN_ORDER = 250.0
"""In the quote asset."""
_GRID_S = 0.1
_BLOCK_TRADES = 500
_SHORTEST_BLOCK_S, _LONGEST_BLOCK_S = 0.02, 5.0


class CointegratedPair(NamedTuple):
    """`log y = intercept + beta * log x + spread`, the spread reverting with `half_life_s`."""

    y: str
    x: str
    beta: float
    intercept: float
    half_life_s: float


@dataclass
class _Orders:
    """A block's taker orders, by time."""

    symbol: Integers
    time_us: Integers
    is_sell: npt.NDArray[np.bool_]
    price_ticks: Integers
    mid_ticks: Integers
    fills: Integers


class SyntheticSource:
    """A simulated market.

    Args:
        symbols: how many, or their names.
        rate: trades a second, over all symbols; earlier symbols trade more.
        seed: what the random numbers grow from.
        trades: the market ends after so many; None: it does not end.
        cointegrated_pairs: so many pairs: symbols 1 and 2, 3 and 4, …
        half_life_s: half-life of their spreads.
        quotes: whether the best bid and ask go out after each order.
        start_us: when the market opens, µs since 1970; None: at the wall clock's time.
        history_s: how much earlier it began trading; publish that part with `published`.

    Raises:
        ValueError: a number is out of range, or there are fewer symbols than pairs need.
    """

    def __init__(
        self,
        symbols: int | Sequence[str] = 2,
        *,
        rate: float = 100.0,
        seed: int = 0,
        trades: int | None = None,
        cointegrated_pairs: int | None = None,
        half_life_s: float = 60.0,
        quotes: bool = True,
        start_us: int | None = None,
        history_s: float = 0.0,
    ) -> None:
        if isinstance(symbols, int) and symbols < 1:
            raise ValueError(f"symbols {symbols} is less than 1")
        if not rate > 0:
            raise ValueError(f"rate {rate} is not a positive number of trades a second")
        self._rate = rate
        self._left = trades
        self._quotes = quotes
        self._start_us = start_us
        self._history_us = int(history_s * 1e6)
        seeds = np.random.SeedSequence(seed).spawn(4)
        setup, self._prices, self._flow, self._book = (np.random.default_rng(s) for s in seeds)
        self._lay_out(symbols, setup)
        count = len(self._names)
        pairs = count // 4 if cointegrated_pairs is None else cointegrated_pairs
        if count > 1 and cointegrated_pairs is None:
            pairs = max(pairs, 1)
        if 2 * pairs > count:
            raise ValueError(f"{pairs} cointegrated pairs need {2 * pairs} symbols, not {count}")
        self._couple(pairs, half_life_s, setup)
        block_s = min(max(_BLOCK_TRADES / rate, _SHORTEST_BLOCK_S), _LONGEST_BLOCK_S)
        self._steps = max(1, round(block_s / _GRID_S))
        self._step_us = max(1, round(block_s * 1e6 / self._steps))
        self._opened = False
        self._time_us = 0
        self._buffer: list[Event] = []
        self._due: list[int] = []
        self._position = 0

    def _lay_out(self, symbols: int | Sequence[str], setup: np.random.Generator) -> None:
        known = {name: (price, tick, step) for name, price, tick, step in _KNOWN}
        if isinstance(symbols, int):
            named = list(known)[:symbols]
            named += [f"S{number:03d}USDT" for number in range(len(named), symbols)]
        else:
            named = list(symbols)
        instruments, prices = [], []
        for name in named:
            # Drawn for every symbol, so that a name does not change its neighbours.
            exponent = float(setup.uniform(-1.0, 3.5))
            price, tick, step = known.get(name, (10.0**exponent, "", ""))
            tick_e8 = round(float(tick) * E8) if tick else max(1, 10 ** int(exponent + 4))
            step_e8 = round(float(step) * E8) if step else 10 ** int(8 - max(0.0, exponent))
            instruments.append(Instrument.of(name, tick_size_e8=tick_e8, step_size_e8=step_e8))
            prices.append(price)
        self.instruments: Sequence[Instrument] = instruments
        self._names = named
        self._tick = np.array([each.tick_size_e8 for each in instruments], dtype=np.int64)
        self._step = np.array([each.step_size_e8 for each in instruments], dtype=np.int64)
        self._log_price = np.log(np.array(prices))
        weights = 1.0 / np.arange(1, len(named) + 1) ** 0.7
        self._weights = weights / weights.sum()
        self._half_spread = np.maximum(
            1, np.round(0.3e-4 * np.exp(self._log_price) * E8 / self._tick)
        ).astype(np.int64)
        self._next_id = setup.integers(10**6, 4 * 10**9, len(named))
        self._next_update = setup.integers(10**9, 5 * 10**10, len(named))

    def _couple(self, pairs: int, half_life_s: float, setup: np.random.Generator) -> None:
        self._y = np.arange(0, 2 * pairs, 2)
        self._x = self._y + 1
        self._beta = setup.uniform(0.7, 1.3, pairs)
        self._intercept = self._log_price[self._y] - self._beta * self._log_price[self._x]
        self._reversion = np.log(2.0) / half_life_s
        self._spread = setup.normal(0.0, _SPREAD_VOLATILITY, pairs)
        self.pairs: Sequence[CointegratedPair] = [
            CointegratedPair(
                self._names[y], self._names[x], float(beta), float(intercept), half_life_s
            )
            for y, x, beta, intercept in zip(
                self._y, self._x, self._beta, self._intercept, strict=True
            )
        ]

    # --- the source ---
    @property
    def follows_the_clock(self) -> bool:
        return self._start_us is None

    def open(self, now_us: int) -> int:
        """Start; called again, move what is to come so that it goes on at `now_us`."""
        if not self._opened:
            self._opened = True
            self._time_us = now_us if self._start_us is None else self._start_us
            self._time_us -= self._history_us
            return self._time_us
        pending = self._due[self._position :]
        following_us = pending[0] if pending else self._time_us
        if self._start_us is None and now_us > following_us:
            shift_us = now_us - following_us
            self._time_us += shift_us
            self._buffer = [_moved(event, shift_us) for event in self._buffer[self._position :]]
            self._due = [due_us + shift_us for due_us in pending]
            self._position = 0
            following_us = now_us
        return following_us

    def next_at_us(self) -> int | None:
        self._fill()
        return self._due[self._position] if self._position < len(self._due) else None

    def take(self, until_us: int | None, limit: int) -> list[Event]:
        self._fill()
        stop = len(self._due)
        if until_us is not None:
            stop = bisect_right(self._due, until_us, lo=self._position)
        stop = min(stop, self._position + limit)
        taken = self._buffer[self._position : stop]
        self._position = stop
        return taken

    def _fill(self) -> None:
        assert self._opened, "the market is not open yet"
        while self._position == len(self._due) and self._left != 0:
            self._buffer = self._block()
            self._due = [event.at_us for event in self._buffer]
            self._position = 0

    # --- the simulation ---
    def _block(self) -> list[Event]:
        path = self._walk()
        orders = self._orders(path)
        start_us, self._time_us = self._time_us, self._time_us + self._steps * self._step_us
        orders.time_us += start_us
        trades = self._trades(orders)
        if self._left is not None:
            trades = trades[: self._left]
            self._left -= len(trades)
        if not self._quotes:
            return list(trades)
        return sorted([*trades, *self._book_updates(orders)], key=attrgetter("at_us"))

    def _walk(self) -> Floats:
        """Log prices at the ends of the block's steps, one row a step, the first the start."""
        steps, symbols = self._steps, len(self._names)
        step_s = self._step_us / 1e6
        scale = _VOLATILITY_PER_SQRT_S * np.sqrt(step_s)
        factor = self._prices.standard_normal((steps, 1))
        own = self._prices.standard_normal((steps, symbols))
        shocks = scale * (np.sqrt(_FACTOR_SHARE) * factor + np.sqrt(1 - _FACTOR_SHARE) * own)
        path = np.vstack([self._log_price, self._log_price + np.cumsum(shocks, axis=0)])
        decay = np.exp(-self._reversion * step_s)
        noise = _SPREAD_VOLATILITY * np.sqrt(1 - decay**2)
        spread_shocks = noise * self._prices.standard_normal((steps, len(self._y)))
        for step in range(steps):
            path[step, self._y] = self._partner(path[step])
            self._spread = decay * self._spread + spread_shocks[step]
        path[steps, self._y] = self._partner(path[steps])
        self._log_price = path[steps]
        return path

    def _partner(self, log_prices: Floats) -> Floats:
        priced: Floats = self._intercept + self._beta * log_prices[self._x] + self._spread
        return priced

    def _orders(self, path: Floats) -> _Orders:
        block_us = self._steps * self._step_us
        flow = self._flow
        count = int(flow.poisson(self._rate * block_us / 1e6 / _MEAN_FILLS))
        time_us = np.sort(flow.integers(0, block_us, count))
        symbol = flow.choice(len(self._names), count, p=self._weights)
        is_sell = flow.random(count) < 0.5
        step, into_us = np.divmod(time_us, self._step_us)
        before, after = path[step, symbol], path[step + 1, symbol]
        log_mid = before + (after - before) * into_us / self._step_us
        mid = np.round(np.exp(log_mid) * E8 / self._tick[symbol]).astype(np.int64)
        half = self._half_spread[symbol]
        mid = np.maximum(mid, half + 1)
        return _Orders(
            symbol,
            time_us,
            is_sell,
            np.where(is_sell, mid - half, mid + half),
            mid,
            flow.geometric(1 / _MEAN_FILLS, count),
        )

    def _trades(self, orders: _Orders) -> list[Trade]:
        fills = orders.fills
        total = int(fills.sum())
        order = np.repeat(np.arange(len(fills)), fills)
        symbol = orders.symbol[order]
        # A fill may walk one tick further into the book than the one before it.
        walked = (self._flow.random(total) < 0.25).cumsum()
        first = np.cumsum(fills) - fills
        depth = walked - walked[first[order]] if total else walked
        direction = np.where(orders.is_sell[order], -1, 1)
        ticks = np.maximum(orders.price_ticks[order] + direction * depth, 1)
        price = ticks * self._tick[symbol]
        worth = _MEDIAN_ORDER * np.exp(self._flow.normal(0.0, 1.3, total))
        steps = np.round(worth * E8 / price * E8 / self._step[symbol]).astype(np.int64)
        quantity = np.maximum(steps, 1) * self._step[symbol]
        time_us = orders.time_us[order]
        event_us = (time_us + _LATENCY_US).tolist()
        return list(
            map(
                Trade._make,
                zip(
                    map(self._names.__getitem__, symbol.tolist()),
                    self._number(symbol, self._next_id).tolist(),
                    time_us.tolist(),
                    event_us,
                    price.tolist(),
                    quantity.tolist(),
                    orders.is_sell[order].tolist(),
                    event_us,
                    repeat(None),
                    strict=False,
                ),
            )
        )

    def _book_updates(self, orders: _Orders) -> list[Quote]:
        symbol = orders.symbol
        tick, half = self._tick[symbol], self._half_spread[symbol]
        worth = 20 * _MEDIAN_ORDER * np.exp(self._book.normal(0.0, 1.0, (2, len(symbol))))
        steps = worth * E8 / (orders.mid_ticks * tick) * E8 / self._step[symbol]
        sizes = np.maximum(np.round(steps), 1).astype(np.int64) * self._step[symbol]
        return list(
            map(
                Quote._make,
                zip(
                    map(self._names.__getitem__, symbol.tolist()),
                    self._number(symbol, self._next_update).tolist(),
                    ((orders.mid_ticks - half) * tick).tolist(),
                    sizes[0].tolist(),
                    ((orders.mid_ticks + half) * tick).tolist(),
                    sizes[1].tolist(),
                    (orders.time_us + _LATENCY_US).tolist(),
                    repeat(None),
                    strict=False,
                ),
            )
        )

    @staticmethod
    def _number(symbol: Integers, following: Integers) -> Integers:
        """Give each row the next number of its symbol, and move `following` on."""
        by_symbol = np.argsort(symbol, kind="stable")
        counts = np.bincount(symbol, minlength=len(following))
        first = np.cumsum(counts) - counts
        grouped = symbol[by_symbol]
        numbers = np.empty(len(symbol), dtype=np.int64)
        numbers[by_symbol] = following[grouped] + np.arange(len(symbol)) - first[grouped]
        following += counts
        return numbers


def _moved(event: Event, shift_us: int) -> Event:
    if isinstance(event, Trade):
        return event._replace(
            time_us=event.time_us + shift_us,
            event_us=event.event_us + shift_us,
            at_us=event.at_us + shift_us,
        )
    return event._replace(at_us=event.at_us + shift_us)
