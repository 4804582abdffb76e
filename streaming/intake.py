"""The hot path: frames in, columns of trades out, duplicates dropped, gaps noticed. No I/O."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from streaming.continuity import Continuity, Span, Verdict
from streaming.gaps import GapBook
from streaming.rejects import Rejects
from streaming.venues import (
    DECODE_ERRORS,
    Control,
    DecodeError,
    Frame,
    RestTrade,
    Venue,
)


class Columns:
    """Trades as growing columns: 45 bytes a trade, none of them Python objects."""

    __slots__ = ("is_buyer_maker", "price", "quantity", "received", "symbol", "time", "trade_id")

    def __init__(self) -> None:
        self.symbol = array("i")  # index into the intake's symbols
        self.trade_id = array("q")
        self.time = array("q")  # as the venue sent it: milliseconds or microseconds
        self.received = array("q")  # microseconds since the epoch
        self.price = array("d")
        self.quantity = array("d")
        self.is_buyer_maker = array("b")

    def __len__(self) -> int:
        return len(self.trade_id)


class SymbolState:
    """What the worker knows of one symbol."""

    __slots__ = (
        "cause",
        "continuity",
        "duplicates",
        "first_id",
        "index",
        "is_newborn",
        "late",
        "name",
    )

    def __init__(self, name: str, index: int) -> None:
        self.name = name
        self.index = index
        self.continuity = Continuity()
        self.duplicates = 0
        self.late = 0
        self.cause = "start"  # what to blame for a gap at the next trade
        self.first_id: int | None = None  # of a symbol that the lake did not know
        self.is_newborn = False  # the venue had no trade of it when capture began


@dataclass(slots=True)
class Channel:
    """Counters of one connection, kept by the intake and read by the connection's owner."""

    trades: int = 0
    on_control: Callable[[Control], None] | None = None


class Intake:
    """Turns the frames of any number of connections into one set of columns."""

    def __init__(
        self, venue: Venue, symbols: Sequence[str], rejects: Rejects, reorder_window_us: int
    ) -> None:
        self._decode = venue.decode_trade
        self._decode_control = venue.decode_control
        self._rejects = rejects
        self.symbols = tuple(symbols)
        self.states = {name: SymbolState(name, index) for index, name in enumerate(self.symbols)}
        self.gaps = GapBook(
            {name: state.continuity for name, state in self.states.items()}, reorder_window_us
        )
        self._use(Columns())

    def __len__(self) -> int:
        return len(self._columns)

    def feed(self, frame: Frame, received_us: int, channel: Channel) -> None:
        """Take one frame. Nothing in it can raise."""
        try:
            trade = self._decode(frame).data
            state = self.states[trade.symbol]
        except DECODE_ERRORS:
            self._not_a_trade(frame, received_us, channel)
            return
        except KeyError:
            self._rejects.add("unknown symbol", "not one that was subscribed", frame, received_us)
            return
        trade_id = trade.trade_id
        continuity = state.continuity
        if trade_id == continuity.next_id:
            continuity.next_id = trade_id + 1
        elif not self._irregular(state, trade_id, received_us):
            channel.trades += 1
            return
        channel.trades += 1
        symbol, ids, time, received, price, quantity, maker = self._appends
        symbol(state.index)
        ids(trade_id)
        time(trade.time)
        received(received_us)
        price(trade.price)
        quantity(trade.quantity)
        maker(trade.is_buyer_maker)

    def recover(self, symbol: str, trades: Iterable[RestTrade], received_us: int) -> int:
        """Take those REST trades of `symbol` that are missing; how many that were."""
        state = self.states[symbol]
        continuity = state.continuity
        columns = self._columns
        taken = 0
        for trade in trades:
            if not continuity.discard(trade.trade_id, trade.trade_id):
                continue
            taken += 1
            columns.symbol.append(state.index)
            columns.trade_id.append(trade.trade_id)
            columns.time.append(trade.ts_us)
            columns.received.append(received_us)
            columns.price.append(trade.price)
            columns.quantity.append(trade.quantity)
            columns.is_buyer_maker.append(trade.is_buyer_maker)
        return taken

    def expect_up_to(self, symbol: str, last_id: int) -> Span | None:
        """The venue has ids up to `last_id`: miss those beyond what was seen; None if none are."""
        continuity = self.states[symbol].continuity
        last_seen = continuity.last_seen
        if last_seen is None or last_id <= last_seen:
            return None
        span = Span(last_seen + 1, last_id)
        continuity.next_id = last_id + 1
        continuity.add_missing(*span)
        return span

    def blame(self, symbols: Iterable[str], cause: str) -> None:
        """Set the cause of a gap that the next trade of these symbols may reveal."""
        for name in symbols:
            self.states[name].cause = cause

    def swap(self) -> Columns:
        """Hand over the columns gathered so far and start new ones."""
        full = self._columns
        self._use(Columns())
        for index in set(full.symbol):
            self.states[self.symbols[index]].cause = "stream"
        return full

    def _use(self, columns: Columns) -> None:
        self._columns = columns
        self._appends = (
            columns.symbol.append,
            columns.trade_id.append,
            columns.time.append,
            columns.received.append,
            columns.price.append,
            columns.quantity.append,
            columns.is_buyer_maker.append,
        )

    def _irregular(self, state: SymbolState, trade_id: int, received_us: int) -> bool:
        """An id that is not the next one: whether it is wanted."""
        if state.continuity.last_seen is None:
            state.first_id = trade_id
        seen = state.continuity.observe(trade_id)
        if seen.verdict is Verdict.DUPLICATE:
            state.duplicates += 1
            return False
        if seen.verdict is Verdict.LATE:
            state.late += 1
        if seen.gap is not None:
            self.gaps.suspect(state.name, seen.gap, received_us, state.cause)
        state.cause = "stream"
        return True

    def _not_a_trade(self, frame: Frame, received_us: int, channel: Channel) -> None:
        try:
            control = self._decode_control(frame)
        except DecodeError as error:
            self._rejects.add(error.kind, error.detail, frame, received_us)
            return
        if channel.on_control is not None:
            channel.on_control(control)


def check_listed(symbols: Iterable[str], listed: Iterable[str], venue: str) -> None:
    """Raise ValueError, with a suggestion, if the venue does not list one of `symbols`."""
    known = set(listed)
    for symbol in symbols:
        if symbol not in known:
            close = get_close_matches(symbol, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"symbol {symbol!r} is not in {venue}'s exchangeInfo{hint}")
