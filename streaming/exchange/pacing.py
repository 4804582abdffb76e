"""When events go out: as recorded, faster, or as fast as the clients read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Literal

from streaming.exchange.connection import Connection
from streaming.exchange.injector import Injector
from streaming.exchange.market import Event
from streaming.exchange.publisher import Publisher, drain
from streaming.exchange.tape import Tape

Start = Literal["first", "all", "now"]
"""When a market starts: at the first subscription, when every symbol's trades are subscribed to,
or at once."""

MAX_SPEED = 0.0
_BATCH = 512
_SHORTEST_SLEEP_S = 0.005
_LONGEST_SLEEP_S = 0.1


class Pacer:
    """Takes events from the source when they are due and publishes them.

    At a finite speed the market goes on whatever the clients do, as a venue's does. At maximum
    speed it waits for the slowest client, and while nobody listens.
    """

    def __init__(
        self,
        tape: Tape,
        injector: Injector,
        publisher: Publisher,
        connections: Collection[Connection],
        *,
        speed: float,
        start: Start,
        published: int,
        now_us: Callable[[], int],
    ) -> None:
        self._source = tape
        self._injector = injector
        self._publisher = publisher
        self._connections = connections
        self._speed = speed
        self._start = start
        self._published = published
        self._now_us = now_us
        self._changed = asyncio.Event()
        self.started = asyncio.Event()
        self.exhausted = asyncio.Event()
        self.market_us = tape.open(now_us())

    def connections_changed(self) -> None:
        """A client came, went, or changed its subscriptions."""
        self._changed.set()

    def venue_time_us(self) -> int:
        """The venue's clock: the market's own time, never behind its last event."""
        if self._source.follows_the_clock and not self.started.is_set():
            return self._now_us()
        return max(self.market_us, self._publisher.last_event_us)

    async def run(self) -> None:
        """Publish until the source has no more events."""
        self._publish_head_start()
        await self._wait_for(self._may_start)
        self.market_us = max(self.market_us, self._source.open(self._now_us()))
        self.started.set()
        self._injector.start(self._source.next_at_us() or self.market_us)
        if self._speed == MAX_SPEED:
            await self._run_at_maximum()
        else:
            await self._run_by_the_clock()
        self._publisher.release_held(None, self._connections)
        self._publisher.complete_aggregates(None, self._connections)
        await drain(self._connections)
        self.exhausted.set()

    def _publish_head_start(self) -> None:
        while (missing := self._published - self._publisher.trades) > 0:
            events = self._source.take(None, min(missing, 10_000))
            if not events:
                return
            self._publish(events)
            self.market_us = events[-1].at_us

    async def _run_at_maximum(self) -> None:
        while self._source.next_at_us() is not None:
            await self._wait_for(self._has_listener)
            if not self._publish_due(None):
                self.market_us = max(self.market_us, self._injector.next_at_us() or 0)
            self._inject_due()
            await drain(self._connections)
            await asyncio.sleep(0)

    async def _run_by_the_clock(self) -> None:
        loop = asyncio.get_running_loop()
        first_us = self._source.next_at_us()
        origin_us = self.market_us if first_us is None else first_us
        origin_s = loop.time()
        while (next_us := self._source.next_at_us()) is not None:
            wait_s = (next_us - origin_us) / 1e6 / self._speed - (loop.time() - origin_s)
            await asyncio.sleep(min(max(wait_s, _SHORTEST_SLEEP_S), _LONGEST_SLEEP_S))
            now_us = origin_us + int((loop.time() - origin_s) * self._speed * 1e6)
            while self._publish_due(now_us) or self._fault_before(now_us):
                self._inject_due()
                await asyncio.sleep(0)
            self.market_us = max(now_us, self.market_us)
            self._publisher.release_held(self.market_us, self._connections)
            self._publisher.complete_aggregates(self.venue_time_us(), self._connections)

    def _publish_due(self, now_us: int | None) -> bool:
        """Publish a batch, none of it later than `now_us` or the next fault."""
        fault_us = self._injector.next_at_us()
        until_us = now_us
        if fault_us is not None:
            until_us = fault_us if now_us is None else min(now_us, fault_us)
        left = self._injector.trades_until_next(self._publisher.trades)
        events = self._source.take(until_us, _BATCH if not left else min(left, _BATCH))
        if events:
            self._publish(events)
            self.market_us = max(self.market_us, events[-1].at_us)
        return bool(events)

    def _fault_before(self, now_us: int) -> bool:
        """Move on to the next fault if it is due; tell whether it is."""
        fault_us = self._injector.next_at_us()
        if fault_us is None or fault_us > now_us:
            return False
        self.market_us = max(self.market_us, fault_us)
        return True

    def _inject_due(self) -> None:
        self._injector.run_due(self.market_us, self.venue_time_us(), self._publisher.trades)

    def _publish(self, events: list[Event]) -> None:
        self._publisher.publish(events, self._connections)

    def _may_start(self) -> bool:
        if self._start == "now":
            return True
        if self._start == "first":
            return self._has_listener()
        asked: set[str] = set()
        for connection in self._connections:
            if connection.is_listening:
                asked.update(connection.subscriptions.streams)
        return all(f"{each.symbol.lower()}@trade" in asked for each in self._source.instruments)

    def _has_listener(self) -> bool:
        return any(connection.is_listening for connection in self._connections)

    async def _wait_for(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()
