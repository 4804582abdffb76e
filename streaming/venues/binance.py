"""Binance spot: trade streams, historical trades, exchange information.

Documented at https://developers.binance.com/docs/binance-spot-api-docs. Trade event, in the
combined stream's envelope:

    {"stream": "btcusdt@trade", "data": {"e": "trade", "E": 1723161255343, "s": "BTCUSDT",
     "t": 3735683259, "p": "61837.63000000", "q": "0.02000000", "T": 1723161255342,
     "m": true, "M": true}}
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec

from quant_pipeline.schema import MAX_AMOUNT
from streaming.venues import (
    MICROSECONDS_FROM,
    ConnectionLimits,
    Control,
    DecodeError,
    Frame,
    Ignored,
    RateSignal,
    Reply,
    RestRequest,
    RestTrade,
    Shutdown,
    VenueInfo,
)

_STREAMS_PER_MESSAGE: Final = 100
# Checked while decoding, in C: each rejects what could not be stored or could not be a trade.
# Numbers are read leniently, so that the venue's decimal strings become the nearest double.
_Id = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
_Amount = Annotated[float, msgspec.Meta(gt=0.0, lt=MAX_AMOUNT)]
# From the year 2000 in milliseconds to the year 2100 in microseconds.
_Time = Annotated[int, msgspec.Meta(ge=946_684_800_000, le=4_102_444_800_000_000)]


class _Trade(msgspec.Struct, gc=False):
    # The hot path reads these attributes; the names are generic so that it knows no venue.
    event: Literal["trade"] = msgspec.field(name="e")
    symbol: str = msgspec.field(name="s")
    trade_id: _Id = msgspec.field(name="t")
    price: _Amount = msgspec.field(name="p")
    quantity: _Amount = msgspec.field(name="q")
    time: _Time = msgspec.field(name="T")
    is_buyer_maker: bool = msgspec.field(name="m")


class _Envelope(msgspec.Struct, gc=False):
    data: _Trade


class _Problem(msgspec.Struct):
    msg: str = ""
    code: int | None = None


class _Message(msgspec.Struct):
    """Anything a connection may send; every field optional."""

    event: str | None = msgspec.field(name="e", default=None)
    stream: str | None = None
    data: msgspec.Raw = msgspec.Raw()
    id: int | str | None = None
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: _Problem | None = None
    code: int | None = None
    msg: str | None = None


class _Event(msgspec.Struct):
    event: str | None = msgspec.field(name="e", default=None)


class _HistoricalTrade(msgspec.Struct, gc=False):
    id: _Id
    price: _Amount
    qty: _Amount
    time: _Time
    is_buyer_maker: bool = msgspec.field(name="isBuyerMaker")


class _RateLimit(msgspec.Struct):
    kind: str = msgspec.field(name="rateLimitType")
    interval: str
    number: int = msgspec.field(name="intervalNum")
    limit: int


class _Symbol(msgspec.Struct):
    symbol: str
    status: str = "TRADING"


class _ExchangeInfo(msgspec.Struct):
    symbols: list[_Symbol]
    limits: list[_RateLimit] = msgspec.field(name="rateLimits", default_factory=list)


class Binance:
    """The protocol of Binance spot; see `streaming.venues.Venue` for what each method promises."""

    name: str = "binance"
    limits: ConnectionLimits = ConnectionLimits(
        streams_per_connection=1024,
        control_messages_per_s=5.0,
        connection_lifetime_s=24 * 3600.0,
        connects_per_window=300,
        connect_window_s=300.0,
    )
    page_size: int = 1000
    _known_events: ClassVar[frozenset[str]] = frozenset(
        {"aggTrade", "blockTrade", "bookTicker", "depthUpdate", "kline", "24hrTicker", "avgPrice"}
    )

    def __init__(self) -> None:
        self.decode_trade = msgspec.json.Decoder(_Envelope, strict=False).decode
        self._decode_message = msgspec.json.Decoder(_Message).decode
        self._decode_event = msgspec.json.Decoder(_Event).decode
        self._decode_history = msgspec.json.Decoder(list[_HistoricalTrade], strict=False).decode
        self._decode_exchange_info = msgspec.json.Decoder(_ExchangeInfo).decode

    # --- stream ---
    def stream_url(self, base: str) -> str:
        return f"{base.rstrip('/')}/stream?timeUnit=MICROSECOND"

    def subscriptions(self, symbols: Sequence[str], first_request_id: int) -> list[str]:
        messages: list[str] = []
        for start in range(0, len(symbols), _STREAMS_PER_MESSAGE):
            chunk = symbols[start : start + _STREAMS_PER_MESSAGE]
            message = {
                "method": "SUBSCRIBE",
                "params": [f"{symbol.lower()}@trade" for symbol in chunk],
                "id": first_request_id + len(messages),
            }
            messages.append(json.dumps(message))
        return messages

    def decode_control(self, frame: Frame) -> Control:
        message = _decode(self._decode_message, frame)
        if message.stream is not None or bytes(message.data):
            return self._control_event(message)
        if message.event is not None:
            return self._control(message.event)
        problem = message.error
        if problem is None and message.code is not None:
            problem = _Problem(message.msg or "", message.code)
        if problem is not None:
            request_id = message.id if isinstance(message.id, int) else None
            return Reply(request_id, f"{problem.msg} (code {problem.code})")
        if isinstance(message.id, int) and message.result is not msgspec.UNSET:
            return Reply(message.id, None)
        raise DecodeError("unknown message", "neither an event nor a reply")

    def _control_event(self, message: _Message) -> Control:
        if message.stream == "!serverShutdown":
            return Shutdown()
        event = _decode(self._decode_event, bytes(message.data)).event
        if event is None and (message.stream or "").endswith("@bookTicker"):
            return Ignored("bookTicker")
        if event is None:
            raise DecodeError("unknown message", f"stream {message.stream!r} without an event")
        return self._control(event)

    def _control(self, event: str) -> Control:
        if event == "serverShutdown":
            return Shutdown()
        if event == "trade":
            raise DecodeError("malformed trade", "a field is missing or has the wrong type")
        if event not in self._known_events:
            raise DecodeError("unknown event", repr(event[:40]))
        return Ignored(event)

    # --- REST ---
    def trades_from(self, symbol: str, from_id: int) -> RestRequest:
        return _historical(symbol=symbol, fromId=str(from_id), limit=str(self.page_size))

    def latest_trade(self, symbol: str) -> RestRequest:
        return _historical(symbol=symbol, limit="1")

    def decode_trades(self, body: bytes) -> list[RestTrade]:
        trades = [
            RestTrade(row.id, to_microseconds(row.time), row.price, row.qty, row.is_buyer_maker)
            for row in _decode(self._decode_history, body)
        ]
        if any(a.trade_id >= b.trade_id for a, b in itertools.pairwise(trades)):
            raise DecodeError("malformed page", "trade ids do not ascend")
        return trades

    def info(self) -> RestRequest:
        return RestRequest("/api/v3/exchangeInfo", {}, weight=20)

    def decode_info(self, body: bytes) -> VenueInfo:
        info = _decode(self._decode_exchange_info, body)
        per_minute = next(
            (
                rate.limit // rate.number
                for rate in info.limits
                if rate.kind == "REQUEST_WEIGHT" and rate.interval == "MINUTE" and rate.number > 0
            ),
            None,
        )
        return VenueInfo({entry.symbol: entry.status for entry in info.symbols}, per_minute)

    def rate_signal(self, status: int, headers: Mapping[str, str]) -> RateSignal:
        return RateSignal(
            used_weight=_integer(headers.get("x-mbx-used-weight-1m")),
            retry_after_s=_integer(headers.get("retry-after")),
            is_refusal=status in (418, 429),
        )


def _historical(**query: str) -> RestRequest:
    headers = {"X-MBX-TIME-UNIT": "MICROSECOND"}
    return RestRequest("/api/v3/historicalTrades", query, weight=25, headers=headers)


def to_microseconds(time: int) -> int:
    """A venue time in microseconds, whichever of its two units it came in."""
    return time if time >= MICROSECONDS_FROM else time * 1000


def _decode(decode: Any, body: Frame) -> Any:
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise DecodeError("unexpected shape", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DecodeError("invalid JSON", str(error)) from error
    except RecursionError as error:
        raise DecodeError("invalid JSON", "nested too deeply") from error


def _integer(text: str | None) -> int | None:
    return int(text) if text is not None and text.strip().isdigit() else None
