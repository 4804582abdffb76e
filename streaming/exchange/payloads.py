"""Payloads as the venue writes them, and the WebSocket frames they travel in.

The text is the venue's byte for byte (key order, eight places, no spaces): writing a recorded trade
again from its fields gives the recorded bytes. Server frames are unmasked, so a frame is its
payload behind 2, 4 or 10 bytes, and many of them go to the transport in one write.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from streaming.exchange.market import E8

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
_FIN = 0x80


class Aggregate(NamedTuple):
    """Consecutive trades of one side, price and time: `<symbol>@aggTrade` and `aggTrades`."""

    symbol: str
    aggregate_id: int
    first_id: int
    last_id: int
    time_us: int
    price_e8: int
    quantity_e8: int
    is_buyer_maker: bool


TRADE = (
    b'{"e":"trade","E":%%d,"s":"%b","t":%%d,"p":"%%d.%%08d","q":"%%d.%%08d","T":%%d,"m":%%b,'
    b'"M":true}'
)
QUOTE = b'{"u":%%d,"s":"%b","b":"%%d.%%08d","B":"%%d.%%08d","a":"%%d.%%08d","A":"%%d.%%08d"}'
"""Templates of templates: the symbol goes in first, then the numbers, over and over."""


def aggregate_payload(aggregate: Aggregate, event_us: int, *, microseconds: bool) -> bytes:
    """`<symbol>@aggTrade`."""
    unit = 1 if microseconds else 1_000
    return (
        b'{"e":"aggTrade","E":%d,"s":"%b","a":%d,"p":"%d.%08d","q":"%d.%08d","f":%d,"l":%d,'
        b'"T":%d,"m":%b,"M":true}'
    ) % (
        event_us // unit,
        aggregate.symbol.encode(),
        aggregate.aggregate_id,
        *divmod(aggregate.price_e8, E8),
        *divmod(aggregate.quantity_e8, E8),
        aggregate.first_id,
        aggregate.last_id,
        aggregate.time_us // unit,
        b"true" if aggregate.is_buyer_maker else b"false",
    )


def shutdown_payload(event_us: int, *, microseconds: bool) -> bytes:
    """`!serverShutdown`: the connection will be cut; nothing says when."""
    unit = 1 if microseconds else 1_000
    return b'{"e":"serverShutdown","E":%d}' % (event_us // unit)


def envelope(stream: str, payload: bytes) -> bytes:
    """A combined stream's wrapping."""
    return b'{"stream":"%b","data":%b}' % (stream.encode(), payload)


def _header(size: int, opcode: int = TEXT) -> bytes:
    first = _FIN | opcode
    if size < 126:
        return bytes((first, size))
    if size < 65_536:
        return bytes((first, 126)) + size.to_bytes(2, "big")
    return bytes((first, 127)) + size.to_bytes(8, "big")


_TEXT_HEADERS = [_header(size) for size in range(1_024)]


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """One unfragmented, unmasked WebSocket frame (RFC 6455, section 5.2)."""
    return _header(len(payload), opcode) + payload


def frames(payloads: Iterable[bytes]) -> bytes:
    """Text frames for one write to the transport."""
    parts: list[bytes] = []
    for payload in payloads:
        size = len(payload)
        parts.append(_TEXT_HEADERS[size] if size < 1_024 else _header(size))
        parts.append(payload)
    return b"".join(parts)
