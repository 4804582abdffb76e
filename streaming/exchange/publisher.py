"""Keeps what was published and sends it to who listens."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence

from streaming.exchange.connection import Connection
from streaming.exchange.history import TradeHistory
from streaming.exchange.limits import Violation
from streaming.exchange.market import Event, Trade
from streaming.exchange.payloads import Aggregate, frames
from streaming.exchange.subscriptions import Writing
from streaming.exchange.writer import Writer


class Publisher:
    """The trades published so far, and the way to the clients.

    Connections with equal subscriptions get the same bytes, made once, and each client gets a
    batch in one write.

    Args:
        max_buffer_bytes: a client that leaves more unread is cut; None: it never is.
    """

    def __init__(self, *, max_buffer_bytes: int | None) -> None:
        self.histories: dict[str, TradeHistory] = {}
        self.trades = 0
        self.last_event_us = 0
        self.violations: list[Violation] = []
        self._max_buffer_bytes = max_buffer_bytes
        self._writers: dict[Writing, Writer] = {}
        self._aggregates_sent: dict[str, int] = {}

    def publish(self, events: Sequence[Event], connections: Iterable[Connection]) -> None:
        """Keep the trades among `events` and send all to those who listen."""
        self._keep(events)
        groups = self._listening(connections)
        for writer, group in groups:
            clear = [connection for connection in group if connection.link.is_clear]
            if clear:
                self._send(frames(writer.payloads(events)), clear)
            for connection in group:
                if not connection.link.is_clear:
                    self._send(frames(_over_link(events, writer, connection)), [connection])
        self._send_aggregates(groups)

    def release_held(self, at_us: int | None, connections: Iterable[Connection]) -> None:
        """Send the frames that links hold back until market time `at_us` (None: all)."""
        for connection in connections:
            held = connection.link.release(at_us)
            if held:
                self._send(frames(held), [connection])

    def complete_aggregates(self, venue_us: int | None, connections: Iterable[Connection]) -> None:
        """Send the aggregates that have grown no further for a while (None: all)."""
        groups = self._listening(connections)
        for symbol in {symbol for writer, _ in groups for symbol in writer.aggregate_symbols}:
            if symbol in self.histories:
                self.histories[symbol].complete_aggregates(venue_us)
        self._send_aggregates(groups)

    def _keep(self, events: Sequence[Event]) -> None:
        histories = self.histories
        last_event_us = self.last_event_us
        for event in events:
            if isinstance(event, Trade):
                history = histories.get(event.symbol)
                if history is None:
                    history = histories[event.symbol] = TradeHistory(event.symbol)
                history.append(event)
                self.trades += 1
                if event.event_us > last_event_us:
                    last_event_us = event.event_us
        self.last_event_us = last_event_us

    def _listening(
        self, connections: Iterable[Connection]
    ) -> Collection[tuple[Writer, list[Connection]]]:
        groups: dict[Writing, list[Connection]] = {}
        for connection in connections:
            if connection.is_listening:
                groups.setdefault(connection.subscriptions.writing, []).append(connection)
        # Writers of subscriptions that nobody has any more are forgotten.
        self._writers = {
            writing: self._writers.get(writing) or Writer(writing) for writing in groups
        }
        return [(self._writers[writing], group) for writing, group in groups.items()]

    def _send_aggregates(self, groups: Iterable[tuple[Writer, list[Connection]]]) -> None:
        asked = {symbol for writer, _ in groups for symbol in writer.aggregate_symbols}
        if not asked:
            return
        fresh: list[Aggregate] = []
        for symbol in sorted(asked):
            history = self.histories.get(symbol)
            if history is not None:
                sent = self._aggregates_sent.get(symbol, 0)
                fresh += [history.aggregate(index) for index in range(sent, history.aggregates)]
                self._aggregates_sent[symbol] = history.aggregates
        for writer, group in groups:
            self._send(frames(writer.aggregate_payloads(fresh, self.last_event_us)), group)

    def _send(self, data: bytes, group: Iterable[Connection]) -> None:
        if not data:
            return
        limit = self._max_buffer_bytes
        for connection in group:
            connection.send(data)
            if limit is not None and connection.buffered_bytes > limit:
                detail = f"{connection.buffered_bytes} bytes unread"
                self.violations.append(Violation("slow_client", connection.peer, detail))
                connection.abort()


def _over_link(events: Sequence[Event], writer: Writer, connection: Connection) -> list[bytes]:
    out: list[bytes] = []
    for event in events:
        for payload in writer.payloads([event]):
            out += connection.link.send(payload, event.at_us)
    return out


async def drain(connections: Iterable[Connection]) -> None:
    """Wait until every client has taken most of what was written to it."""
    await asyncio.gather(*(connection.drain() for connection in connections))
