"""The hot path: frames in, records of trades out, duplicates dropped, gaps noticed. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from struct import Struct

import numpy as np
import numpy.typing as npt

from streaming.continuity import Continuity, Span, Verdict
from streaming.gaps import LONG_ABSENCE, GapBook
from streaming.rejects import Rejects
from streaming.venues import (
    DECODE_ERRORS,
    Control,
    DecodeError,
    Frame,
    RestTrade,
    Venue,
    first_unlisted,
)


class Records:
    """Trades as one growing buffer of packed records: 45 bytes a trade, no Python objects.

    One call packs a trade; a growing column for each field cost half as much again.
    """

    DTYPE = np.dtype(
        [
            ("trade_id", "<i8"),
            ("time", "<i8"),  # as the venue sent it: milliseconds or microseconds
            ("received", "<i8"),  # microseconds since the epoch
            ("price", "<f8"),
            ("quantity", "<f8"),
            ("symbol", "<i4"),  # index into the intake's symbols
            ("is_buyer_maker", "i1"),
        ]
    )

    __slots__ = ("data",)

    def __init__(self) -> None:
        self.data = bytearray()

    def __len__(self) -> int:
        return len(self.data) // _RECORD.size

    def view(self) -> npt.NDArray[np.void]:
        """The records as an array; no more may be added while it lives."""
        return np.frombuffer(self.data, self.DTYPE)


_RECORD = Struct("<qqqddib")


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
    """Turns the frames of any number of connections into one buffer of records."""

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
        self._use(Records())

    def __len__(self) -> int:
        return len(self._records)

    def feeder(self, channel: Channel) -> Callable[[Frame, int], None]:
        """What takes the frames of one connection, with their times. Nothing in them can raise."""
        # Names of a closure, and no call in between: a seventh of what a trade costs.
        decode, states, pack = self._decode, self.states, _RECORD.pack

        def feed(frame: Frame, received_us: int) -> None:
            try:
                trade = decode(frame).data
                state = states[trade.symbol]
            except DECODE_ERRORS:
                self._not_a_trade(frame, received_us, channel)
                return
            except KeyError:
                said = "not one that was subscribed"
                self._rejects.add("unknown symbol", said, frame, received_us)
                return
            channel.trades += 1
            trade_id = trade.trade_id
            continuity = state.continuity
            if trade_id == continuity.next_id:
                continuity.next_id = trade_id + 1
            elif not self._irregular(state, trade_id, received_us):
                return
            self._add(
                pack(
                    trade_id,
                    trade.time,
                    received_us,
                    trade.price,
                    trade.quantity,
                    state.index,
                    trade.is_buyer_maker,
                )
            )

        return feed

    def recover(self, symbol: str, trades: Iterable[RestTrade], received_us: int) -> int:
        """Take those REST trades of `symbol` that are missing; how many that were."""
        state = self.states[symbol]
        continuity = state.continuity
        taken = 0
        for trade in trades:
            if not continuity.discard(trade.trade_id, trade.trade_id):
                continue
            taken += 1
            self._add(
                _RECORD.pack(
                    trade.trade_id,
                    trade.ts_us,
                    received_us,
                    trade.price,
                    trade.quantity,
                    state.index,
                    trade.is_buyer_maker,
                )
            )
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
        """Set the cause of a gap that the next trade of these symbols may reveal.

        A long absence stays one until that trade, however the connections come and go.
        """
        for name in symbols:
            state = self.states[name]
            state.cause = LONG_ABSENCE if state.cause == LONG_ABSENCE else cause

    def swap(self) -> Records:
        """Hand over the records gathered so far and start new ones."""
        full = self._records
        self._use(Records())
        for index in np.bincount(full.view()["symbol"]).nonzero()[0]:
            self.states[self.symbols[index]].cause = "stream"
        return full

    def _use(self, records: Records) -> None:
        self._records = records
        self._add = records.data.extend

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
    if found := first_unlisted(symbols, listed):
        symbol, hint = found
        raise ValueError(f"symbol {symbol!r} is not in {venue}'s exchangeInfo{hint}")
