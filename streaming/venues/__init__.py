"""Venue protocols, one sans-I/O file each: bytes in, typed trades out.

A venue knows its addresses, its subscription messages, its limits and how its bytes read. It opens
no socket and keeps no clock, so every line of it is testable with literals. To add a venue, write
one file that satisfies `Venue` and name it in `by_name`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Protocol

import msgspec

Frame = bytes | bytearray | memoryview
"""The payload of one WebSocket message."""


DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What a decoder in C raises on bytes that it cannot read."""

MICROSECONDS_FROM = 10**14
"""A time at or above this is in microseconds, below in milliseconds (until the year 5138)."""


class DecodeError(ValueError):
    """Bytes are not what the venue documents; `kind` groups alike failures in counters."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail


class TradeMessage(Protocol):
    """One trade as the hot path reads it."""

    symbol: str
    trade_id: int
    price: float
    quantity: float
    time: int  # since the epoch: milliseconds or microseconds, told apart by size
    is_buyer_maker: bool


class TradeEnvelope(Protocol):
    """What `Venue.decode_trade` returns."""

    @property
    def data(self) -> TradeMessage: ...


@dataclass(frozen=True, slots=True)
class Reply:
    """The venue's answer to one of our control messages; `error` is None if it agreed."""

    request_id: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Shutdown:
    """The venue announced that it will close this connection."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """A well-formed event that is not a market trade."""

    kind: str


Control = Reply | Shutdown | Ignored


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection, and one address, may ask of the venue."""

    streams_per_connection: int
    control_messages_per_s: float
    connection_lifetime_s: float
    connects_per_window: int
    connect_window_s: float


@dataclass(frozen=True, slots=True)
class RestRequest:
    """One GET request; `weight` is what the venue charges for it."""

    path: str
    query: Mapping[str, str]
    weight: int
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RestTrade:
    """One trade from REST. Times in microseconds since the epoch."""

    trade_id: int
    ts_us: int
    price: float
    quantity: float
    is_buyer_maker: bool


@dataclass(frozen=True, slots=True)
class VenueInfo:
    """What the venue says about itself: its symbols (with status) and its request budget."""

    symbols: Mapping[str, str]
    weight_per_minute: int | None


@dataclass(frozen=True, slots=True)
class RateSignal:
    """What one REST answer tells about the request budget."""

    used_weight: int | None
    retry_after_s: float | None
    is_refusal: bool


class Venue(Protocol):
    """Everything the worker needs to know of an exchange."""

    name: str
    limits: ConnectionLimits
    page_size: int
    """Trades a page of `trades_from` holds at most."""

    def stream_url(self, base: str) -> str:
        """Address of a connection without subscriptions."""

    def subscriptions(self, symbols: Sequence[str], first_request_id: int) -> list[str]:
        """Control messages that subscribe to the symbols' trades, ids counting up."""

    def decode_trade(self, frame: Frame, /) -> TradeEnvelope:
        """Decode a trade; raises an error on anything else.

        The error is one of `DECODE_ERRORS`; the frame is then one for `decode_control`.
        """

    def decode_control(self, frame: Frame) -> Control:
        """Decode what is not a trade; raises DecodeError if it is nothing the venue documents."""

    def trades_from(self, symbol: str, from_id: int) -> RestRequest:
        """Ask for one page of trades, the first of them `from_id` or the next the venue has."""

    def latest_trade(self, symbol: str) -> RestRequest:
        """Ask for a page that holds the newest trade only."""

    def decode_trades(self, body: bytes) -> list[RestTrade]:
        """Decode that page, ids ascending; raises DecodeError."""

    def info(self) -> RestRequest:
        """Ask for symbols and limits."""

    def decode_info(self, body: bytes) -> VenueInfo:
        """Decode them; raises DecodeError."""

    def rate_signal(self, status: int, headers: Mapping[str, str]) -> RateSignal:
        """Read the budget from an answer's status and headers (names in lower case)."""


def first_unlisted(symbols: Iterable[str], listed: Iterable[str]) -> tuple[str, str] | None:
    """The first of `symbols` that is not listed, and a suggestion for a message (or nothing)."""
    known = set(listed)
    for symbol in symbols:
        if symbol not in known:
            close = get_close_matches(symbol, known, n=1)
            return symbol, f"; did you mean {close[0]!r}?" if close else ""
    return None


def by_name(name: str) -> Venue:
    """The venue called `name` in the settings; raises ValueError if there is none."""
    from streaming.venues.binance import Binance

    venues: dict[str, type[Venue]] = {Binance.name: Binance}
    if name not in venues:
        raise ValueError(f"venue {name!r} is unknown; choose from {', '.join(venues)}")
    return venues[name]()
