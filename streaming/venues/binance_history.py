"""Binance spot's past, beyond the trade pages of `binance`: where a time is in the ids, and klines.

`GET /api/v3/aggTrades`, an aggregate (all trades of one order at one price and time):

    {"a": 26129, "p": "0.01633102", "q": "4.70443515", "f": 27781, "l": 27781,
     "T": 1498793709153, "m": true, "M": true}

`GET /api/v3/klines`, a bar:

    [1499040000000, "0.01634790", "0.80000000", "0.01575800", "0.01577100", "148976.11427815",
     1499644799999, "2434.19055334", 308, "1756.87402397", "28.46694368", "0"]
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec

from streaming.venues import DecodeError, RestRequest
from streaming.venues.binance import to_microseconds

KLINES_PER_PAGE: Final = 1000


class Aggregate(msgspec.Struct, frozen=True, gc=False):
    """An aggregate trade: ids and time are what a backfill looks for."""

    first_id: int = msgspec.field(name="f")
    last_id: int = msgspec.field(name="l")
    time: int = msgspec.field(name="T")


class Kline(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A bar as the venue publishes it; volumes in base currency unless their name says quote."""

    open_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    close_time: int
    quote_volume: float
    trade_count: int
    buy_volume: float
    buy_quote_volume: float

    @property
    def bucket(self) -> datetime:
        """Start of the bar, UTC without zone, as bars carry it."""
        seconds = to_microseconds(self.open_time) / 1e6
        return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


_decode_aggregates = msgspec.json.Decoder(list[Aggregate], strict=False).decode
_decode_klines = msgspec.json.Decoder(list[Kline], strict=False).decode


def first_aggregate(symbol: str, from_ms: int) -> RestRequest:
    """Ask for the first aggregate at or after a time."""
    query = {"symbol": symbol, "startTime": str(from_ms), "limit": "1"}
    return RestRequest("/api/v3/aggTrades", query, weight=4)


def newest_trades(symbol: str) -> RestRequest:
    """Ask for the newest thousand trades, as `Binance.decode_trades` reads them."""
    headers = {"X-MBX-TIME-UNIT": "MICROSECOND"}
    query = {"symbol": symbol, "limit": "1000"}
    return RestRequest("/api/v3/trades", query, weight=25, headers=headers)


def decode_aggregates(body: bytes) -> list[Aggregate]:
    """Decode that answer; raises DecodeError."""
    try:
        return _decode_aggregates(body)
    except msgspec.MsgspecError as error:
        raise DecodeError("unexpected shape", str(error)) from error


def klines(symbol: str, interval: str, start_ms: int, end_ms: int) -> RestRequest:
    """Ask for bars that open in [start_ms, end_ms]; a page holds `KLINES_PER_PAGE` at most."""
    query = {
        "symbol": symbol,
        "interval": interval,
        "startTime": str(start_ms),
        "endTime": str(end_ms),
        "limit": str(KLINES_PER_PAGE),
    }
    return RestRequest("/api/v3/klines", query, weight=2)


def decode_klines(body: bytes) -> list[Kline]:
    """Decode that answer, oldest first; raises DecodeError."""
    try:
        return _decode_klines(body)
    except msgspec.MsgspecError as error:
        raise DecodeError("unexpected shape", str(error)) from error
