"""One WebSocket client: its subscriptions, its limits, its buffer, and how it is cut off."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Final

from aiohttp import WSMsgType, web

from streaming.exchange.limits import MAX_MESSAGES, MAX_STREAMS, RateLimit, Violation
from streaming.exchange.link import Link
from streaming.exchange.payloads import PING, PONG, TEXT, envelope, frame
from streaming.exchange.subscriptions import SHUTDOWN_STREAM, Subscriptions

_MAX_REQUEST_BYTES = 1 << 20
_HIGH_WATER_BYTES = 1 << 18
_POLICY_VIOLATION: Final = 1008
_GOING_AWAY: Final = 1001
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""Linger for no time: the kernel answers with RST instead of FIN."""


class Connection:
    """A connected client. All times are in seconds on the event loop's clock.

    Args:
        request: the upgrade request.
        subscriptions: what the address asked for.
        number: 0, 1, 2… in the order of connecting.
        link: what happens to frames on their way.
        report: told of each violation.
        changed: told when the subscriptions changed.
        expired: told when the connection's lifetime is over.
        ping_interval_s: time between pings.
        pong_timeout_s: how long a ping may stay unanswered.
        max_age_s: how long the connection lives.
    """

    def __init__(
        self,
        request: web.Request,
        subscriptions: Subscriptions,
        *,
        number: int,
        link: Link,
        report: Callable[[Violation], None],
        changed: Callable[[], None],
        expired: Callable[[], None],
        ping_interval_s: float,
        pong_timeout_s: float,
        max_age_s: float,
    ) -> None:
        self.subscriptions = subscriptions
        self.number = number
        self.link = link
        self.peer = request.remote or "unknown"
        self._request = request
        self._report = report
        self._changed = changed
        self._expired = expired
        self._ping_interval_s = ping_interval_s
        self._pong_timeout_s = pong_timeout_s
        self._max_age_s = max_age_s
        self._limit = RateLimit(MAX_MESSAGES, 1.0)
        # Pings are answered here, because they count against the limit of messages.
        self._socket = web.WebSocketResponse(
            autoping=False, compress=False, max_msg_size=_MAX_REQUEST_BYTES, timeout=1.0
        )
        self._transport: asyncio.Transport | None = None
        self._unanswered: dict[bytes, float] = {}
        self._mute = False
        self._closing = False

    @property
    def is_open(self) -> bool:
        """Whether frames reach the client (a half-open connection takes and loses them)."""
        transport = self._transport
        return transport is not None and not transport.is_closing() and not self._closing

    @property
    def is_listening(self) -> bool:
        """Whether the client has subscribed to anything."""
        return self.is_open and not self._mute and bool(self.subscriptions.streams)

    @property
    def buffered_bytes(self) -> int:
        """Bytes written that the kernel has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    async def serve(self) -> web.WebSocketResponse:
        """Answer the client until the connection ends."""
        await self._socket.prepare(self._request)
        self._transport = self._request.transport
        if self._transport is not None:
            self._transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)
        loop = asyncio.get_running_loop()
        background = [asyncio.create_task(self._ping()), asyncio.create_task(self._expire())]
        try:
            if not self._within_stream_limit():
                await self._cut_for_streams()
            self._changed()
            await self._receive(loop)
        finally:
            self._closing = True
            for task in background:
                task.cancel()
            self._changed()
        return self._socket

    async def _receive(self, loop: asyncio.AbstractEventLoop) -> None:
        async for message in self._socket:
            if self._mute:
                continue
            if not self._limit.allow(loop.time()):
                self._report(
                    Violation("messages", self.peer, f"more than {MAX_MESSAGES} messages in 1 s")
                )
                await self.close(_POLICY_VIOLATION, "Too many requests")
                return
            if message.type is WSMsgType.PING:
                self.send(frame(message.data, PONG))
            elif message.type is WSMsgType.PONG:
                self._unanswered.pop(bytes(message.data), None)
            elif message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                self.send(frame(self.subscriptions.receive(message.data), TEXT))
                if not self._within_stream_limit():
                    await self._cut_for_streams()
                    return
                self._changed()

    def _within_stream_limit(self) -> bool:
        return len(self.subscriptions.streams) <= MAX_STREAMS

    async def _cut_for_streams(self) -> None:
        asked = len(self.subscriptions.streams)
        self._report(Violation("streams", self.peer, f"{asked} streams on one connection"))
        await self.close(_POLICY_VIOLATION, f"more than {MAX_STREAMS} streams")

    async def _ping(self) -> None:
        loop = asyncio.get_running_loop()
        next_ping_s = loop.time() + self._ping_interval_s
        while True:
            oldest_s = min(self._unanswered.values(), default=float("inf"))
            await asyncio.sleep(min(next_ping_s, oldest_s + self._pong_timeout_s) - loop.time())
            now_s = loop.time()
            if now_s - min(self._unanswered.values(), default=now_s) >= self._pong_timeout_s:
                if not self._mute:
                    detail = f"no pong for {self._pong_timeout_s:g} s"
                    self._report(Violation("no_pong", self.peer, detail))
                self.abort()
                return
            if now_s >= next_ping_s:
                payload = b"%d" % int(now_s * 1_000)
                self._unanswered[payload] = now_s
                # What a half-open connection swallows stays unanswered and ends it.
                self.send(frame(payload, PING))
                next_ping_s += self._ping_interval_s

    async def _expire(self) -> None:
        await asyncio.sleep(self._max_age_s)
        self._expired()
        await self.close(_GOING_AWAY, "connection lifetime is over")

    # --- sending ---
    def send(self, data: bytes) -> None:
        """Write frames; nothing happens on a connection that is closed, closing or half-open."""
        transport = self._transport
        if transport is not None and not self._mute and self.is_open:
            transport.write(data)

    def announce_shutdown(self, payload: bytes) -> None:
        """Send a `serverShutdown` event, which needs no subscription."""
        combined = self.subscriptions.combined
        self.send(frame(envelope(SHUTDOWN_STREAM, payload) if combined else payload))

    async def drain(self) -> None:
        """Wait until the client has taken most of what was written, or is gone."""
        with contextlib.suppress(ConnectionError):
            if self.is_open and not self._mute:
                await self._request.writer.drain()

    async def flush(self) -> None:
        """Wait until the kernel has taken all that was written, or the client is gone."""
        transport = self._transport
        if transport is None or not self.is_open:
            return
        transport.set_write_buffer_limits(high=0)
        await self.drain()
        transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)

    # --- ending ---
    async def close(self, code: int = _GOING_AWAY, reason: str = "") -> None:
        """Send a close frame and wait a moment for the client's."""
        self._closing = True
        await self._socket.close(code=code, message=reason.encode())

    def abort(self) -> None:
        """Reset the connection; what the client has not read yet is lost."""
        self._closing = True
        if self._transport is not None:
            self._transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE
            )
            self._transport.abort()

    def cut_mid_frame(self) -> None:
        """End the connection in the middle of a frame."""
        self.send(frame(b'{"e":"trade","E":' + b"0" * 200)[:40])
        self._closing = True
        if self._transport is not None:
            self._transport.close()

    def go_half_open(self) -> None:
        """Stop sending and answering, but leave the socket open: what a dead route looks like."""
        self._mute = True
        self._changed()
