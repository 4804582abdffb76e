"""What a market is made of: instruments, trades, best quotes, and sources of them.

Prices and quantities are whole numbers of 1e-8 (`_e8`), the venue's own precision, so that nothing
is rounded between a recording, the WebSocket frames and the REST answers. Times are microseconds
since 1970-01-01 UTC.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

E8 = 100_000_000
"""Units of an `_e8` number in one."""

_QUOTE_ASSETS = ("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "BTC", "ETH", "BNB", "EUR", "TRY", "USD")
_DECIMAL = re.compile(r"(\d+)(?:\.(\d{1,8})0*)?")


class Trade(NamedTuple):
    """One match: what `<symbol>@trade` and `historicalTrades` tell about it."""

    symbol: str
    trade_id: int
    time_us: int
    """When the trade was made (`T`)."""
    event_us: int
    """When the venue's stream made the event of it (`E`)."""
    price_e8: int
    quantity_e8: int
    is_buyer_maker: bool
    at_us: int
    """When it goes out, on the clock that paces the market (a recording's receive times)."""
    raw: bytes | None = None
    """The recorded payload, sent as it is; None: written from the fields."""


class Quote(NamedTuple):
    """A change of the best bid or ask: what `<symbol>@bookTicker` tells."""

    symbol: str
    update_id: int
    bid_e8: int
    bid_quantity_e8: int
    ask_e8: int
    ask_quantity_e8: int
    at_us: int
    raw: bytes | None = None


Event = Trade | Quote


@dataclass(frozen=True)
class Instrument:
    """A symbol and the grids its prices and quantities lie on."""

    symbol: str
    base_asset: str
    quote_asset: str
    tick_size_e8: int
    step_size_e8: int

    @classmethod
    def of(cls, symbol: str, *, tick_size_e8: int, step_size_e8: int) -> Instrument:
        """Split `symbol` into its assets by the quote assets the venue has."""
        quote = next((q for q in _QUOTE_ASSETS if symbol.endswith(q) and symbol != q), "")
        base = symbol.removesuffix(quote) if quote else symbol
        return cls(symbol, base, quote, tick_size_e8, step_size_e8)


class Source(Protocol):
    """Where the market's events come from, in the order in which they go out."""

    @property
    def instruments(self) -> Sequence[Instrument]:
        """The symbols known so far; a recording may bring more as it is read."""

    @property
    def follows_the_clock(self) -> bool:
        """Whether the market's time is the wall clock's, and not its own."""

    def open(self, now_us: int) -> int:
        """Start the market, or go on with it, at wall-clock time `now_us`; return its own time."""

    def next_at_us(self) -> int | None:
        """When the next event goes out; None when there are no more."""

    def take(self, until_us: int | None, limit: int) -> list[Event]:
        """The next events: at most `limit`, none later than `until_us` (None: no bound)."""


def parse_e8(text: str) -> int:
    """Read a decimal of at most eight places, exactly.

    Raises:
        ValueError: `text` is not a decimal, is negative, or has more than eight places.
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a decimal number of at most eight places")
    return int(match[1]) * E8 + int((match[2] or "").ljust(8, "0"))


def format_e8(value: int) -> str:
    """Write an `_e8` number as the venue does, always with eight places."""
    whole, fraction = divmod(value, E8)
    return f"{whole}.{fraction:08d}"
