"""The fast transport: `picows`, whose frame parser is compiled."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

import picows

from streaming.clock import Clock
from streaming.connection import ConnectError, Connection, OnFrame, TransportOptions

_CLOSE_TIMEOUT_S = 2.0
_TEXT = picows.WSMsgType.TEXT
_BINARY = picows.WSMsgType.BINARY
_CONTINUATION = picows.WSMsgType.CONTINUATION

_logger = logging.getLogger("quant.picows")
_logger.addHandler(logging.NullHandler())
_logger.propagate = False  # a lost connection is logged by its owner, in one line


class _Listener(picows.WSListener):
    """Hands messages to a callback; reads a busy socket in fewer, larger pieces."""

    def __init__(self, on_frame: OnFrame, clock: Clock, coalesce_s: float) -> None:
        self._on_frame = on_frame
        self._clock = clock
        self._coalesce_s = coalesce_s
        self._loop = asyncio.get_running_loop()
        self._fragments: list[bytes] = []
        self._received_us = 0
        self._is_paused = False
        self._rest: asyncio.TimerHandle | None = None
        self._transport: Any = None

    def on_ws_connected(self, transport: Any) -> None:
        self._transport = transport.underlying_transport

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        # The first frame of a read stamps all of it: a clock call for each would cost a tenth.
        received_us = self._received_us
        if not received_us:
            received_us = self._received_us = self._clock.now_us()
        kind = frame.msg_type
        if kind == _TEXT and frame.fin:
            self._on_frame(frame.get_payload_as_memoryview(), received_us)
        elif kind in (_TEXT, _BINARY, _CONTINUATION):
            self._fragment(frame, received_us)
        if frame.last_in_buffer:
            self._end_read()

    def _end_read(self) -> None:
        self._received_us = 0
        if self._coalesce_s and self._rest is None and not self._is_paused:
            self._transport.pause_reading()
            self._rest = self._loop.call_later(self._coalesce_s, self._end_rest)

    def _fragment(self, frame: Any, received_us: int) -> None:
        self._fragments.append(frame.get_payload_as_bytes())
        if frame.fin:
            whole, self._fragments = b"".join(self._fragments), []
            self._on_frame(whole, received_us)

    def hold(self) -> None:
        self._is_paused = True
        self._transport.pause_reading()

    def release(self) -> None:
        self._is_paused = False
        if self._rest is None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _end_rest(self) -> None:
        self._rest = None
        if not self._is_paused and not self._transport.is_closing():
            self._transport.resume_reading()


class _Open:
    """`streaming.connection.Connection` over it."""

    def __init__(self, transport: Any, listener: _Listener) -> None:
        self._transport = transport
        self._listener = listener

    async def send(self, text: str) -> None:
        if self._transport.is_disconnected or self._transport.is_close_frame_sent:
            raise ConnectError("the connection is closed")
        self._transport.send(_TEXT, text.encode())

    def pause(self) -> None:
        self._listener.hold()

    def resume(self) -> None:
        self._listener.release()

    async def close(self) -> None:
        self._listener.release()
        self._transport.send_close(picows.WSCloseCode.OK)
        try:
            await asyncio.wait_for(self._transport.wait_disconnected(), _CLOSE_TIMEOUT_S)
        except TimeoutError:
            self._transport.disconnect(False)

    async def closed(self) -> str:
        try:
            await asyncio.shield(self._transport.wait_disconnected())
        except (OSError, picows.WSError) as error:
            return f"1006 {error}".strip()
        handshake = self._transport.close_handshake
        info = handshake and (handshake.recv or handshake.sent)
        return f"{int(info.code)} {info.reason or ''}".strip() if info else "1006"


class PicowsTransport:
    """Opens connections with `picows`."""

    def __init__(self, options: TransportOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock

    async def connect(self, url: str, on_frame: OnFrame) -> Connection:
        options = self._options
        try:
            transport, listener = await picows.ws_connect(
                lambda: _Listener(on_frame, self._clock, options.coalesce_s),
                url,
                websocket_handshake_timeout=options.connect_timeout_s,
                enable_auto_ping=True,
                auto_ping_idle_timeout=options.ping_interval_s,
                auto_ping_reply_timeout=min(options.ping_timeout_s, options.ping_interval_s),
                max_frame_size=options.max_frame_bytes,
                logger_name=_logger,
            )
        except (OSError, picows.WSError, TimeoutError) as error:
            raise ConnectError(f"{url}: {error or type(error).__name__}") from error
        return _Open(transport, cast(_Listener, listener))
