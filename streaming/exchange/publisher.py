"""The pump: takes events from the source when they are due and sends them to who wants them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from streaming.exchange.connection import Connection
from streaming.exchange.history import TradeHistory
from streaming.exchange.limits import Violation
from streaming.exchange.market import Event, Quote, Trade
from streaming.exchange.payloads import (
    Aggregate,
    aggregate_payload,
    envelope,
    frame,
    quote_payload,
    trade_payload,
)

Message = tuple[str, Event | Aggregate]
"""A stream's name and what goes out on it."""
Variant = tuple[bool, bool]
"""How a connection wants its messages written: combined, microseconds."""


class StreamNames:
    """Names of the streams of each symbol, made once."""

    def __init__(self) -> None:
        self._names: dict[str, tuple[str, str, str]] = {}

    def of(self, symbol: str) -> tuple[str, str, str]:
        """The symbol's trade, aggTrade and bookTicker streams."""
        names = self._names.get(symbol)
        if names is None:
            low = symbol.lower()
            names = (f"{low}@trade", f"{low}@aggTrade", f"{low}@bookTicker")
            self._names[symbol] = names
        return names


class Publisher:
    """Keeps what was published and writes it to the connections.

    Messages are written at most once for each way in which a client wants them, and each client
    gets the frames of a batch in one write.
    """

    def __init__(self, *, max_buffer_bytes: int | None) -> None:
        self.histories: dict[str, TradeHistory] = {}
        self.trades = 0
        self.last_event_us = 0
        self.violations: list[Violation] = []
        self._names = StreamNames()
        self._max_buffer_bytes = max_buffer_bytes

    def publish(self, events: Sequence[Event], connections: Iterable[Connection]) -> None:
        """Keep the trades among `events` and send all to those who listen."""
        messages = self._messages(events)
        self._send(messages, connections)

    def complete_aggregates(self, at_us: int | None, connections: Iterable[Connection]) -> None:
        """Send the aggregates that have grown no further for a while (None: all)."""
        messages: list[Message] = []
        for symbol, history in self.histories.items():
            aggregate = history.complete(at_us)
            if aggregate is not None:
                messages.append((self._names.of(symbol)[1], aggregate))
        self._send(messages, connections)

    def _messages(self, events: Sequence[Event]) -> list[Message]:
        messages: list[Message] = []
        histories, names = self.histories, self._names.of
        for event in events:
            symbol = event.symbol
            trade_stream, aggregate_stream, quote_stream = names(symbol)
            if isinstance(event, Trade):
                history = histories.get(symbol)
                if history is None:
                    history = histories[symbol] = TradeHistory(symbol)
                completed = history.append(event)
                if completed is not None:
                    messages.append((aggregate_stream, completed))
                messages.append((trade_stream, event))
                self.trades += 1
                self.last_event_us = max(self.last_event_us, event.event_us)
            else:
                messages.append((quote_stream, event))
        return messages

    def _send(self, messages: Sequence[Message], connections: Iterable[Connection]) -> None:
        listening: dict[Variant, list[Connection]] = {}
        for connection in connections:
            if connection.is_listening:
                asked = connection.subscriptions
                listening.setdefault((asked.combined, asked.microseconds), []).append(connection)
        for variant, group in listening.items():
            wanted = set().union(*(each.subscriptions.streams for each in group))
            frames = self._frames(messages, variant, wanted)
            for connection in group:
                self._write(frames, connection)

    def _frames(
        self, messages: Sequence[Message], variant: Variant, wanted: set[str]
    ) -> list[tuple[str, bytes]]:
        combined, microseconds = variant
        frames = []
        for stream, item in messages:
            if stream in wanted:
                payload = self._payload(item, microseconds)
                frames.append((stream, frame(envelope(stream, payload) if combined else payload)))
        return frames

    def _payload(self, item: Event | Aggregate, microseconds: bool) -> bytes:
        if isinstance(item, Trade):
            return trade_payload(item, microseconds=microseconds)
        if isinstance(item, Quote):
            return quote_payload(item)
        return aggregate_payload(item, self.last_event_us, microseconds=microseconds)

    def _write(self, frames: Sequence[tuple[str, bytes]], connection: Connection) -> None:
        streams = connection.subscriptions.streams
        chosen = [data for stream, data in frames if stream in streams]
        if not chosen:
            return
        connection.messages_sent += len(chosen)
        connection.send(b"".join(chosen))
        limit = self._max_buffer_bytes
        if limit is not None and connection.buffered_bytes > limit:
            self.violations.append(
                Violation("slow_client", connection.peer, f"{connection.buffered_bytes} B unread")
            )
            connection.abort()


async def drain(connections: Iterable[Connection]) -> None:
    """Wait until every client has taken most of what was written to it."""
    await asyncio.gather(*(connection.drain() for connection in connections))
