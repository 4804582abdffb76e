"""Every trade made so far, in columns: what the REST answers are computed from.

24 bytes a trade (time, price, quantity with the side as its sign) and 4 an aggregate, besides the
arrays' room to grow. Trade ids are kept as runs: contiguous ids cost nothing.
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
"""An aggregate that grew no further for this long on the venue's clock is complete."""


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
        # Aggregates are found when someone asks: first row of each, and how far was looked.
        self._aggregate_rows = array("I")
        self._looked_at = 0
        self._completed = 0
        self._in_time_order = True

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
        self._look()
        return self._in_time_order

    def append(self, trade: Trade) -> None:
        """Keep `trade`.

        Raises:
            ValueError: its id is not above the newest one.
        """
        trade_id = trade.trade_id
        if trade_id != self._next_id:
            if trade_id < self._next_id:
                raise ValueError(
                    f"{self.symbol} trade {trade_id} follows {self._next_id - 1}: ids must rise"
                )
            self._run_ids.append(trade_id)
            self._run_rows.append(len(self._times))
        self._next_id = trade_id + 1
        self._times.append(trade.time_us)
        self._prices.append(trade.price_e8)
        self._quantities.append(-trade.quantity_e8 if trade.is_buyer_maker else trade.quantity_e8)

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
        self._look()
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
        self._look()
        return self._completed

    def complete_aggregates(self, venue_us: int | None) -> None:
        """Take the newest aggregate for complete if it is old at `venue_us` (None: in any case).

        A trade that would have belonged to it begins a new one.
        """
        self._look()
        if self._completed == len(self._aggregate_rows):
            return
        if venue_us is None or venue_us - self._times[-1] > _AGGREGATION_WINDOW_US:
            self._completed = len(self._aggregate_rows)

    def aggregate(self, index: int) -> Aggregate:
        """The aggregate with id `index + 1`."""
        start = self._aggregate_rows[index]
        following = index + 1
        last = following == len(self._aggregate_rows)
        stop = self._looked_at if last else self._aggregate_rows[following]
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

    def _look(self) -> None:
        """Find where aggregates begin among the trades not looked at yet."""
        start, stop = self._looked_at, len(self)
        if start == stop:
            return
        before = max(start - 1, 0)
        times = self._copy(self._times, before, stop)
        prices = self._copy(self._prices, before, stop)
        sells = self._copy(self._quantities, before, stop) < 0
        steps = np.diff(times)
        begins = (steps != 0) | (np.diff(prices) != 0) | (sells[1:] != sells[:-1])
        if self._completed == len(self._aggregate_rows) and start:
            begins[0] = True  # the aggregate before it was declared complete
        found = np.flatnonzero(begins) + before + 1
        if not start:
            self._aggregate_rows.append(0)
        self._aggregate_rows.frombytes(found.astype(np.uint32).tobytes())
        self._in_time_order &= not bool((steps < 0).any())
        self._looked_at = stop
        self._completed = len(self._aggregate_rows) - 1

    def aggregates_between(self, start_us: int, stop_us: int, limit: int) -> range:
        """Indices of the first `limit` aggregates made at `start_us <= time < stop_us`.

        Where the venue's clock stepped back this is the range from the first to the last of them.
        """
        rows = self.rows_between(start_us, stop_us)
        if not len(rows):
            return range(0)
        first = bisect_right(self._aggregate_rows, int(rows[0])) - 1
        last = bisect_right(self._aggregate_rows, int(rows[-1])) - 1
        return range(first, min(last + 1, first + limit, self._completed))

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
