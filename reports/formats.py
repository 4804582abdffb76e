"""Numbers as text: one way to write each kind of quantity, on every page."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from typing import Final

MISSING: Final = "—"
_MINUS = "−"
_NBSP = "\u00a0"
_QUOTES = ("FDUSD", "TUSD", "BUSD", "USDC", "USDT", "DAI", "BTC", "ETH", "BNB", "EUR", "TRY", "BRL")


def number(value: float | int | None, decimals: int = 2, *, signed: bool = False) -> str:
    """`-1234.5` as `−1,234.50`; None and NaN as `—`; infinities as `∞`."""
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else f"{_MINUS}∞"
    text = f"{value:{'+' if signed else ''},.{decimals}f}"
    if float(text.replace(",", "")) == 0:  # -0.00 is not a sign
        text = text.lstrip("+-")
    return text.replace("-", _MINUS)


def count(value: int | None) -> str:
    """A whole number with thousands separated."""
    return MISSING if value is None else f"{value:,d}".replace("-", _MINUS)


def percent(share: float | None, decimals: int = 1) -> str:
    """A share of one as a percentage."""
    text = number(None if share is None else share * 100, decimals)
    return text if text == MISSING else f"{text}%"


def pvalue(p: float | None) -> str:
    """A p-value to three decimals; smaller ones as `< 0.001`, never as zero."""
    if p is None or math.isnan(p):
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def p_equals(p: float | None) -> str:
    """A p-value within a sentence: `p = 0.012`, `p < 0.001`."""
    text = pvalue(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def price(value: float | None) -> str:
    """A price with about six significant digits, as a terminal shows it."""
    if value is None or math.isnan(value):
        return MISSING
    size = abs(value)
    decimals = 2 if size >= 100 else 4 if size >= 1 else 6
    return number(value, decimals)


def quote(*symbols: str) -> str:
    """The asset that all of `symbols` are priced in; `quote currency` where no one is known.

    A symbol's name ends with it, and neither trades nor bars tell more.

    Example:
        >>> quote("BTCUSDT", "ETHUSDT"), quote("ETHBTC"), quote("ETHBTC", "BTCUSDT")
        ('USDT', 'BTC', 'quote currency')
    """
    found = {next(filter(symbol.endswith, _QUOTES), "quote currency") for symbol in symbols}
    return found.pop() if len(found) == 1 else "quote currency"


def money(value: float | None, unit: str) -> str:
    """An amount in thousands, millions or billions of `unit`."""
    if value is None or math.isnan(value):
        return MISSING
    for size, word in ((1e9, "bn"), (1e6, "m"), (1e3, "k")):
        if abs(value) >= size:
            return f"{number(value / size, 2)}{_NBSP}{word}{_NBSP}{unit}"
    return f"{number(value, 2)}{_NBSP}{unit}"


def money_scale(values: Sequence[float | None], unit: str) -> tuple[float, str]:
    """The divisor and the unit in which a column of amounts is written, so that decimals align.

    Example:
        >>> money_scale([1_250_000.0, 830_000.0], "USDT")
        (1000.0, 'thousand USDT')
    """
    largest = max((abs(value) for value in values if value is not None), default=0.0)
    for size, word in ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if largest >= 10 * size:
            return size, f"{word} {unit}"
    return 1.0, unit


def aligned(values: Sequence[float | None], digits: int = 3) -> list[str]:
    """A column of numbers with the same decimals, enough for `digits` digits of the smallest.

    Example:
        >>> aligned([0.00061, 0.324])
        ['0.000610', '0.324000']
    """
    sizes = [abs(value) for value in values if value is not None and 0 < abs(value) < math.inf]
    decimals = digits - 1 - math.floor(math.log10(min(sizes))) if sizes else 0
    return [number(value, min(max(decimals, 0), 8)) for value in values]


def bar_size(timeframe: str) -> str:
    """The length of a bar as prose has it: `1m` as `1 min`."""
    unit = {"s": "s", "m": "min", "h": "h"}[timeframe[-1]]
    return f"{timeframe[:-1]}{_NBSP}{unit}"


def spelled(n: int) -> str:
    """A small whole number in words, as running text has it: `four`, `12`."""
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    return words[n] if 0 <= n < len(words) else count(n)


def duration(seconds: float | None) -> str:
    """Seconds as `85 s`, `12 min 5 s`, `3 h 20 min` or `2 d 4 h`; infinite as `no finite bound`."""
    if seconds is None or math.isnan(seconds):
        return MISSING
    if math.isinf(seconds):
        return "no finite bound"
    if seconds < 120:
        digits = f"{seconds:,.3g}" if seconds < 10 else f"{seconds:,.0f}"
        return f"{digits}{_NBSP}s"
    whole = round(seconds)
    for size, name, smaller_size, smaller in (
        (86_400, "d", 3_600, "h"),
        (3_600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = (whole % size) // smaller_size
            text = f"{whole // size} {name} {rest} {smaller}" if rest else f"{whole // size} {name}"
            return text.replace(" ", _NBSP)
    raise AssertionError(seconds)


def interval(low: float | None, high: float | None, decimals: int = 2) -> str:
    """An interval as `0.48 to 0.75`."""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return MISSING
    return f"{number(low, decimals)} to {number(high, decimals)}"


def day(value: dt.date) -> str:
    """A date as `8 August 2024`."""
    return f"{value.day} {value:%B %Y}"


def moment(value: dt.datetime | None) -> str:
    """A UTC time as `8 Aug 2024 23:54:16`."""
    return MISSING if value is None else f"{value.day} {value:%b %Y %H:%M:%S}"


def clock(value: dt.datetime | None) -> str:
    """The time of day of a UTC time."""
    return MISSING if value is None else f"{value:%H:%M:%S}"


def count_of(n: int, one: str, many: str | None = None) -> str:
    """`1 gap`, `2 gaps`, `no gaps`."""
    noun = one if n == 1 else many or one + "s"
    return f"{'no' if n == 0 else f'{n:,d}'} {noun}"
