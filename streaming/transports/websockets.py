"""The default transport: the `websockets` library.

Messages are taken from the library where it has parsed and checked them, before its queue and the
coroutine switch that `recv()` costs for each: at tens of thousands of messages a second that is
half of the work.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode

from streaming.clock import Clock
from streaming.connection import ConnectError, Connection, OnFrame, TransportOptions

_CLOSE_TIMEOUT_S = 2.0
_logger = logging.getLogger("quant.websockets")
_logger.addHandler(logging.NullHandler())
_logger.propagate = False  # a lost connection is logged by its owner, in one line


class _Tapped(ClientConnection):
    """A connection that hands its messages to a callback as they are parsed."""

    on_frame: OnFrame
    clock: Clock
    coalesce_s: float

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._received_us = 0
        self._fragments: list[bytes] = []
        self._is_paused = False
        self._rest: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        self._received_us = self.clock.now_us()
        super().data_received(data)
        if self.coalesce_s and self._rest is None and not self._is_paused:
            self.transport.pause_reading()
            self._rest = self.loop.call_later(self.coalesce_s, self._end_rest)

    def process_event(self, event: Any) -> None:
        if self.response is None or event.opcode > Opcode.BINARY:
            super().process_event(event)
            return
        frame = cast(WireFrame, event)
        if frame.fin and not self._fragments:
            self.on_frame(frame.data, self._received_us)
            return
        self._fragments.append(bytes(frame.data))
        if frame.fin:
            whole, self._fragments = b"".join(self._fragments), []
            self.on_frame(whole, self._received_us)

    def hold(self) -> None:
        self._is_paused = True
        self.transport.pause_reading()

    def release(self) -> None:
        self._is_paused = False
        if self._rest is None and not self.transport.is_closing():
            self.transport.resume_reading()

    def _end_rest(self) -> None:
        self._rest = None
        if not self._is_paused and not self.transport.is_closing():
            self.transport.resume_reading()


class _Open:
    """`streaming.connection.Connection` over it."""

    def __init__(self, socket: _Tapped) -> None:
        self._socket = socket

    async def send(self, text: str) -> None:
        try:
            await self._socket.send(text)
        except ConnectionClosed as error:
            raise ConnectError(str(error)) from error

    def pause(self) -> None:
        self._socket.hold()

    def resume(self) -> None:
        self._socket.release()

    async def close(self) -> None:
        self._socket.release()  # or the peer's answer to the close frame is never read
        await self._socket.close()

    async def closed(self) -> str:
        await self._socket.wait_closed()
        code, reason = self._socket.close_code, self._socket.close_reason
        return f"{code} {reason}".strip() if reason else f"{code}"


class WebsocketsTransport:
    """Opens connections with `websockets`."""

    def __init__(self, options: TransportOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock

    async def connect(self, url: str, on_frame: OnFrame) -> Connection:
        options = self._options

        def make(*args: Any, **kwargs: Any) -> _Tapped:
            connection = _Tapped(*args, **kwargs)
            connection.on_frame = on_frame
            connection.clock = self._clock
            connection.coalesce_s = options.coalesce_s
            return connection

        try:
            socket = await connect(
                url,
                compression=None,
                open_timeout=options.connect_timeout_s,
                ping_interval=options.ping_interval_s,
                ping_timeout=options.ping_timeout_s,
                close_timeout=_CLOSE_TIMEOUT_S,
                max_size=options.max_frame_bytes,
                logger=_logger,
                create_connection=cast(type[ClientConnection], make),
            )
        except (OSError, InvalidHandshake, InvalidURI, EOFError) as error:
            raise ConnectError(f"{url}: {error or type(error).__name__}") from error
        return _Open(cast(_Tapped, socket))
