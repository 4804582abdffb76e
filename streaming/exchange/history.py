"""Every trade made so far, in columns: what the REST answers are computed from.

24 bytes a trade (time, price, quantity with the side as its sign) and 4 an aggregate, so that
15 million trades take about 400 MB. Trade ids are kept as runs: contiguous ids cost nothing.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streaming.exchange.market import Trade
from streaming.exchange.payloads import Aggregate

Integers = npt.NDArray[np.int64]

_AGGREGATION_WINDOW_US = 100_000
"""An aggregate that grew no further for this long on the market's clock is complete."""


@dataclass(frozen=True)
class TradeColumns:
    """Trades of one symbol in the order of their ids."""

    trade_id: Integers
    time_us: Integers
    price_e8: Integers
    quantity_e8: Integers
    is_buyer_maker: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.trade_id)


class TradeHistory:
    """One symbol's trades and their aggregates. Ids must rise; holes in them are kept as such."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self._times = array("q")
        self._prices = array("q")
        self._quantities = array("q")
        self._run_ids: list[int] = []
        self._run_rows: list[int] = []
        self._next_id = -1
        self._in_time_order = True
        self._last: tuple[int, int, bool] | None = None
        self._aggregate_rows = array("I")
        self._open_since_us = 0
        self._complete = 0

    def __len__(self) -> int:
        return len(self._times)

    @property
    def first_id(self) -> int | None:
        """Id of the first trade; None before it."""
        return self._run_ids[0] if self._run_ids else None

    @property
    def last_id(self) -> int | None:
        """Id of the newest trade; None before the first."""
        return self._next_id - 1 if self._run_ids else None

    @property
    def in_time_order(self) -> bool:
        """Whether trade times never went back."""
        return self._in_time_order

    def append(self, trade: Trade) -> Aggregate | None:
        """Keep `trade`; return the aggregate that it completed by not belonging to it."""
        trade_id, time_us = trade.trade_id, trade.time_us
        row = len(self._times)
        if trade_id != self._next_id:
            if trade_id < self._next_id:
                raise ValueError(
                    f"{self.symbol} trade {trade_id} follows {self._next_id - 1}: ids must rise"
                )
            self._run_ids.append(trade_id)
            self._run_rows.append(row)
        self._next_id = trade_id + 1
        key = (time_us, trade.price_e8, trade.is_buyer_maker)
        completed = None
        expired = trade.at_us - self._open_since_us > _AGGREGATION_WINDOW_US
        if key != self._last or expired or self._complete == len(self._aggregate_rows):
            completed = self._complete_open()
            self._aggregate_rows.append(row)
            self._open_since_us = trade.at_us
            if row and time_us < self._times[-1]:
                self._in_time_order = False
            self._last = key
        self._times.append(time_us)
        self._prices.append(trade.price_e8)
        quantity = trade.quantity_e8
        self._quantities.append(-quantity if trade.is_buyer_maker else quantity)
        return completed

    def complete(self, at_us: int | None) -> Aggregate | None:
        """Close the open aggregate if it is old at `at_us` (None: in any case) and return it."""
        if at_us is not None and at_us - self._open_since_us <= _AGGREGATION_WINDOW_US:
            return None
        return self._complete_open()

    def _complete_open(self) -> Aggregate | None:
        if self._complete == len(self._aggregate_rows):
            return None
        self._complete += 1
        return self.aggregate(self._complete - 1)

    # --- trades ---
    def rows_from(self, trade_id: int, limit: int) -> range:
        """Rows of the first `limit` trades with an id of at least `trade_id`."""
        start = self._row_of(trade_id)
        return range(start, min(start + limit, len(self)))

    def newest_rows(self, limit: int) -> range:
        """Rows of the newest `limit` trades."""
        return range(max(0, len(self) - limit), len(self))

    def columns(self, rows: range | None = None) -> TradeColumns:
        """Copies of the columns of `rows` (None: all)."""
        start, stop = (0, len(self)) if rows is None else (rows.start, rows.stop)
        quantities = self._copy(self._quantities, start, stop)
        return TradeColumns(
            self._ids(start, stop),
            self._copy(self._times, start, stop),
            self._copy(self._prices, start, stop),
            np.abs(quantities),
            quantities < 0,
        )

    def rows_between(self, start_us: int, stop_us: int) -> Integers:
        """Rows of trades made at `start_us <= time < stop_us`, in the order of their ids."""
        times = np.frombuffer(self._times, dtype=np.int64) if self._times else _NONE
        if self._in_time_order:
            first, last = np.searchsorted(times, (start_us, stop_us))
            return np.arange(first, last, dtype=np.int64)
        return np.flatnonzero((times >= start_us) & (times < stop_us))

    def columns_at(self, rows: Integers) -> TradeColumns:
        """Copies of the columns at arbitrary, rising `rows`."""
        if not len(rows):
            return TradeColumns(_NONE, _NONE, _NONE, _NONE, np.zeros(0, dtype=np.bool_))
        block = self.columns(range(int(rows[0]), int(rows[-1]) + 1))
        if len(block) == len(rows):
            return block
        at = rows - rows[0]
        return TradeColumns(
            block.trade_id[at],
            block.time_us[at],
            block.price_e8[at],
            block.quantity_e8[at],
            block.is_buyer_maker[at],
        )

    def last_time_us(self) -> int | None:
        """Time of the newest trade; None before the first."""
        return self._times[-1] if self._times else None

    # --- aggregates ---
    @property
    def aggregates(self) -> int:
        """How many aggregates are complete; their ids are 1 to this."""
        return self._complete

    def aggregate(self, index: int) -> Aggregate:
        """The aggregate with id `index + 1`."""
        start = self._aggregate_rows[index]
        following = index + 1
        stop = (
            self._aggregate_rows[following] if following < len(self._aggregate_rows) else len(self)
        )
        return Aggregate(
            self.symbol,
            index + 1,
            self._id_at(start),
            self._id_at(stop - 1),
            self._times[start],
            self._prices[start],
            abs(sum(self._quantities[start:stop])),
            self._quantities[start] < 0,
        )

    def aggregates_between(self, start_us: int, stop_us: int, limit: int) -> range:
        """Indices of the first `limit` aggregates made at `start_us <= time < stop_us`.

        Where the venue's clock stepped back this is the range from the first to the last of them.
        """
        rows = self.rows_between(start_us, stop_us)
        if not len(rows):
            return range(0)
        first = bisect_right(self._aggregate_rows, int(rows[0])) - 1
        last = bisect_right(self._aggregate_rows, int(rows[-1])) - 1
        return range(first, min(last + 1, first + limit, self._complete))

    # --- rows and ids ---
    def _row_of(self, trade_id: int) -> int:
        """Row of the first trade with an id of at least `trade_id`."""
        run = bisect_right(self._run_ids, trade_id) - 1
        if run < 0:
            return 0
        stop = self._run_rows[run + 1] if run + 1 < len(self._run_rows) else len(self)
        return min(self._run_rows[run] + trade_id - self._run_ids[run], stop)

    def _id_at(self, row: int) -> int:
        run = bisect_right(self._run_rows, row) - 1
        return self._run_ids[run] + row - self._run_rows[run]

    def _ids(self, start: int, stop: int) -> Integers:
        ids = np.arange(start, stop, dtype=np.int64)
        first = max(0, bisect_right(self._run_rows, start) - 1)
        last = bisect_left(self._run_rows, stop)
        for run in range(first, last):
            begin = max(self._run_rows[run] - start, 0)
            ids[begin:] += self._run_ids[run] - self._run_rows[run]
            if run > first:
                ids[begin:] -= self._run_ids[run - 1] - self._run_rows[run - 1]
        return ids

    @staticmethod
    def _copy(column: array[int], start: int, stop: int) -> Integers:
        # A slice, because a view would keep the array from growing.
        return np.frombuffer(column[start:stop], dtype=np.int64) if stop > start else _NONE


_NONE: Integers = np.zeros(0, dtype=np.int64)
