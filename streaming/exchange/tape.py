"""The market as it runs: a source with the faults that happen to the market itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from streaming.exchange.market import Event, Instrument, Source, Trade


class Hole(NamedTuple):
    """Trade ids that the venue never used, both inclusive."""

    first_id: int
    last_id: int


class Tape:
    """A source whose trades may be left out, restamped, or held back while a symbol is halted."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.holes: dict[str, list[Hole]] = {}
        self.halted: set[str] = set()
        self._missing: dict[str, int] = {}
        self._relisting_us: dict[str, int] = {}
        self._held: dict[str, list[Event]] = {}
        self._step_us = 0
        self._step_until_us = 0

    # --- faults ---
    def leave_out(self, symbol: str, trades: int) -> None:
        """Never make the next `trades` trades of `symbol`: their ids stay unused."""
        self._missing[symbol] = self._missing.get(symbol, 0) + trades

    def halt(self, symbol: str, until_us: int) -> None:
        """Hold the symbol's events back until market time `until_us`."""
        self.halted.add(symbol)
        self._relisting_us[symbol] = max(until_us, self._relisting_us.get(symbol, 0))

    def step_clock(self, step_us: int, until_us: int) -> None:
        """Stamp trades `step_us` off until market time `until_us`."""
        self._step_us, self._step_until_us = step_us, until_us

    # --- the source ---
    @property
    def instruments(self) -> Sequence[Instrument]:
        return self._source.instruments

    @property
    def follows_the_clock(self) -> bool:
        return self._source.follows_the_clock

    def open(self, now_us: int) -> int:
        return self._source.open(now_us)

    def next_at_us(self) -> int | None:
        times = [*self._relisting_us.values()]
        following = self._source.next_at_us()
        if following is not None:
            times.append(following)
        return min(times, default=None)

    def take(self, until_us: int | None, limit: int) -> list[Event]:
        events = self._source.take(until_us, limit)
        if not (self._missing or self.halted or self._step_us):
            return events
        out: list[Event] = []
        for event in events:
            out += self._relist(event.at_us)
            out += self._pass(event)
        if self._source.next_at_us() is None or (until_us is not None and not events):
            out += self._relist(until_us)
        return out

    def _pass(self, event: Event) -> list[Event]:
        symbol = event.symbol
        if isinstance(event, Trade):
            if symbol in self._missing:
                self._note_hole(symbol, event.trade_id)
                return []
            if self._step_us:
                event = self._stamp(event)
        if symbol in self.halted:
            self._held.setdefault(symbol, []).append(event)
            return []
        return [event]

    def _relist(self, at_us: int | None) -> list[Event]:
        """End the halts that are over at `at_us` (None: all); return what they held back."""
        over = [
            symbol
            for symbol, until_us in self._relisting_us.items()
            if at_us is None or until_us <= at_us
        ]
        out: list[Event] = []
        for symbol in over:
            del self._relisting_us[symbol]
            self.halted.discard(symbol)
            out += self._held.pop(symbol, [])
        return out

    def _stamp(self, trade: Trade) -> Trade:
        if trade.at_us >= self._step_until_us:
            self._step_us = 0
            return trade
        return trade._replace(
            time_us=trade.time_us + self._step_us,
            event_us=trade.event_us + self._step_us,
            raw=None,
        )

    def _note_hole(self, symbol: str, trade_id: int) -> None:
        self._missing[symbol] -= 1
        if not self._missing[symbol]:
            del self._missing[symbol]
        holes = self.holes.setdefault(symbol, [])
        if holes and holes[-1].last_id == trade_id - 1:
            holes[-1] = Hole(holes[-1].first_id, trade_id)
        else:
            holes.append(Hole(trade_id, trade_id))
