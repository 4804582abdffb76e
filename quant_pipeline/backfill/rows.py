"""Rows of a file judged one by one: what is a trade, and what is not and why. No I/O."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import reduce
from typing import Final

import polars as pl

from quant_pipeline.backfill.layouts import Kind
from quant_pipeline.schema import MAX_AMOUNT

# The venue's first trade was in 2017. Milliseconds, microseconds and nanoseconds since 1970 are a
# thousandfold apart, so from 2010 on a number can be only one of them.
_EARLIEST: Final = datetime(2010, 1, 1, tzinfo=UTC)
_UNITS_PER_US: Final = {"ms": (1_000, 1), "us": (1, 1), "ns": (1, 1_000)}
"""Era → (factor to, divisor to) microseconds."""

TELLING_ROWS: Final = 50
"""Of fewer rows, their behaviour does not tell price from quantity."""

_QUOTE_TOLERANCE = 1e-6
_TRUE = ("true", "1", "t", "buyer_maker")
_FALSE = ("false", "0", "f")
_SELL, _BUY = ("sell", "s", "ask"), ("buy", "b", "bid")

_IDS: Final[dict[Kind, tuple[str, ...]]] = {
    "trades": ("trade_id",),
    "agg_trades": ("agg_id", "first_id", "last_id"),
}


@dataclass(frozen=True)
class Checked:
    """What became of a chunk of rows.

    Attributes:
        good: the kind's columns, typed: symbol, ids int64, `ts` microseconds UTC without zone,
            price and quantity float64, `is_buyer_maker`; with `row` and `text` for later refusals.
        rejected: `row`, `reason`, `text`.
        eras: rows per unit of time found (`ms`, `us`, `ns`, `text`).
    """

    good: pl.DataFrame
    rejected: pl.DataFrame
    eras: dict[str, int]


@dataclass(frozen=True)
class Period:
    """The UTC days that a file is about: rows outside are not what its name says."""

    start: datetime
    end: datetime

    @classmethod
    def parse(cls, text: str) -> Period:
        """Read `2024-08-08` (a day) or `2024-08` (a month)."""
        first = date.fromisoformat(text if len(text) > 7 else f"{text}-01")
        after = first + timedelta(days=1 if len(text) > 7 else 32)
        if len(text) <= 7:
            after = after.replace(day=1)
        midnight = time()
        return cls(datetime.combine(first, midnight), datetime.combine(after, midnight))


def check(
    raw: pl.DataFrame,
    kind: Kind,
    *,
    now: datetime,
    period: Period | None,
    symbol: str | None = None,
) -> Checked:
    """Judge each row of a chunk.

    A row is refused for an id that is not a whole number ≥ 0, a price or quantity that is not a
    number > 0 and < 1e14, a time that is neither ms, µs nor ns since 1970 between 2010 and
    tomorrow, a side that is neither true nor false, or a quote quantity that is not price ×
    quantity.

    Args:
        raw: columns of `layouts` as text or typed, plus `symbol`, `row` (number in the file) and
            `text`.
        kind: trades or agg_trades.
        now: to tell a future time.
        period: what the file's name says it holds.
        symbol: what every row must be of; None: each row says so itself.
    """
    typed = raw.lazy().with_columns(
        *(_whole(raw, name).alias(f"_{name}") for name in _IDS[kind]),
        *(_number(name).alias(f"_{name}") for name in ("price", "quantity")),
        _era(raw, now).alias("_era"),
        _buyer_maker(raw).alias("_maker"),
    )
    typed = typed.with_columns(_microseconds(raw).alias("_us"))
    judged = typed.with_columns(_reason(raw, kind, period, symbol).alias("reason")).collect()
    good = judged.filter(pl.col("reason").is_null())
    eras = dict(good.group_by("_era").len().iter_rows())
    return Checked(
        good.select(
            pl.col("symbol").cast(pl.String),
            *(pl.col(f"_{name}").alias(name) for name in _IDS[kind]),
            pl.from_epoch("_us", time_unit="us").alias("ts"),
            pl.col("_price").alias("price"),
            pl.col("_quantity").alias("quantity"),
            pl.col("_maker").alias("is_buyer_maker"),
            "row",
            "text",
        ),
        judged.filter(pl.col("reason").is_not_null()).select("row", "reason", "text"),
        {str(era): int(rows) for era, rows in eras.items()},
    )


def repeated(good: pl.DataFrame, id_column: str) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """Split off rows whose id came before in the chunk.

    Returns:
        the rows of first appearance; refusals of rows that repeat an id with other content; and
        how many repeated it with the same content.
    """
    key = ["symbol", id_column]
    firsts = good.unique(subset=key, keep="first", maintain_order=True)
    if firsts.height == good.height:
        return good, refuse(good.clear(), pl.lit("")), 0
    later = good.join(firsts.select("row"), on="row", how="anti")
    content = ["ts", "price", "quantity", "is_buyer_maker"]
    differing = later.join(firsts.select(*key, *content), on=[*key, *content], how="anti")
    reason = pl.format("id {} came before in the file with other content", pl.col(id_column))
    return firsts, refuse(differing, reason), later.height - differing.height


def refuse(rows: pl.DataFrame, reason: pl.Expr) -> pl.DataFrame:
    """The rows as refusals: `row`, `reason`, `text`."""
    return rows.select("row", reason.cast(pl.String).alias("reason"), "text")


def exchanged_columns(good: pl.DataFrame, *, at_least: int = TELLING_ROWS) -> bool:
    """Whether price and quantity look exchanged: the price jumps and the quantity hardly moves.

    Their product is the same either way, so only their behaviour tells. Needs `at_least` rows.
    """
    if good.height < at_least:
        return False

    def jumpiness(column: str) -> float:
        moves = good[column].log().diff().abs().drop_nulls()
        return float((moves > 0.1).sum()) / moves.len()

    return jumpiness("price") > 0.3 and jumpiness("quantity") < 0.05


def exchanged_beside(good: pl.DataFrame, price: float) -> bool:
    """Whether the quantities are what the price is known to be about, and the prices are not."""

    def factor(column: str) -> float:
        return math.exp(abs(math.log(good.select(pl.col(column).median()).item() / price)))

    return factor("quantity") < 1.25 and factor("price") > 2


def _whole(raw: pl.DataFrame, name: str) -> pl.Expr:
    column = pl.col(name)
    if raw.schema[name].is_float():
        return pl.when(column == column.floor()).then(column.cast(pl.Int64, strict=False))
    if raw.schema[name] == pl.String:
        column = column.str.strip_chars()
    return column.cast(pl.Int64, strict=False)


def _number(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Float64, strict=False)


def _epoch(raw: pl.DataFrame) -> pl.Expr:
    """The time as a number since 1970, where it is one; typed times are in microseconds."""
    if raw.schema["time"].is_temporal():
        return pl.col("time").cast(pl.Datetime("us")).dt.epoch("us")
    return _whole(raw, "time")


def _era(raw: pl.DataFrame, now: datetime) -> pl.Expr:
    epoch = _epoch(raw)
    low, high = _EARLIEST.timestamp(), (now + timedelta(days=1)).timestamp()
    scale = {"ms": 1e3, "us": 1e6, "ns": 1e9}
    branches: pl.Expr = pl.lit(None, dtype=pl.String)
    for era, per_second in scale.items():
        inside = epoch.is_between(int(low * per_second), int(high * per_second))
        branches = pl.when(inside).then(pl.lit(era)).otherwise(branches)
    if raw.schema["time"] != pl.String:
        return branches
    written = _written_time().dt.epoch("us").is_between(int(low * 1e6), int(high * 1e6))
    return pl.when(epoch.is_null() & written).then(pl.lit("text")).otherwise(branches)


def _written_time() -> pl.Expr:
    """ISO 8601 text with `Z` or an offset; without either it is UTC."""
    text = pl.col("time").str.strip_chars().str.replace(" ", "T")
    offset = r"([+-])(0\d|1[0-4]):?([0-5]\d)$"
    local = (
        pl.when(text.str.contains("T"))
        .then(text.str.replace("Z$", "").str.replace(offset, ""))
        .str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)
    )
    sign, hours, minutes = (text.str.extract(offset, group) for group in (1, 2, 3))
    ahead = pl.duration(hours=hours.cast(pl.Int64), minutes=minutes.cast(pl.Int64))
    return (
        pl.when(sign == "+").then(local - ahead).when(sign == "-").then(local + ahead)
    ).otherwise(local)


def _microseconds(raw: pl.DataFrame) -> pl.Expr:
    epoch = _epoch(raw)
    result: pl.Expr = pl.lit(None, dtype=pl.Int64)
    for era, (factor, divisor) in _UNITS_PER_US.items():
        result = pl.when(pl.col("_era") == era).then(epoch * factor // divisor).otherwise(result)
    if raw.schema["time"] == pl.String:
        written = _written_time().dt.epoch("us")
        result = pl.when(pl.col("_era") == "text").then(written).otherwise(result)
    return result


def _buyer_maker(raw: pl.DataFrame) -> pl.Expr:
    """True if the seller was the aggressor; `side` names the aggressor."""
    name = "is_buyer_maker" if "is_buyer_maker" in raw.columns else "side"
    if raw.schema[name] == pl.Boolean:
        return pl.col(name)
    true, false = (_TRUE, _FALSE) if name == "is_buyer_maker" else (_SELL, _BUY)
    word = pl.col(name).cast(pl.String, strict=False).str.strip_chars().str.to_lowercase()
    return pl.when(word.is_in(true)).then(True).when(word.is_in(false)).then(False)


def _reason(raw: pl.DataFrame, kind: Kind, period: Period | None, symbol: str | None) -> pl.Expr:
    """The first thing wrong with a row, in words; null for a good row."""
    named = pl.col("symbol").cast(pl.String)
    unfit = ~named.str.contains(r"^[A-Z0-9]{2,20}$").fill_null(False)
    wrong = [(unfit, _shown("symbol", "is not 2 to 20 capital letters or digits"))]
    if symbol is not None:
        other = f"is not {symbol}, which --symbol or the file's name says"
        wrong.append((named != symbol, _shown("symbol", other)))
    for name in _IDS[kind]:
        bad = pl.col(f"_{name}").is_null() | (pl.col(f"_{name}") < 0)
        wrong.append((bad, _shown(name, "is not a whole number ≥ 0")))
    if kind == "agg_trades":
        backwards = pl.col("_last_id") < pl.col("_first_id")
        wrong.append((backwards, _shown("last_id", "is below first_id")))
    for name in ("price", "quantity"):
        value = pl.col(f"_{name}")
        bad = value.is_null() | value.is_nan() | (value <= 0) | (value >= MAX_AMOUNT)
        wrong.append((bad, _shown(name, f"is not a number > 0 and < {MAX_AMOUNT:g}")))
    wrong.append(
        (
            pl.col("_us").is_null(),
            _shown(
                "time",
                "is not ms, µs or ns since 1970, nor a date with time as in 2024-08-08T10:00:00Z, "
                "2010 to tomorrow",
            ),
        )
    )
    if period is not None:
        traded = pl.from_epoch("_us", time_unit="us")
        outside = ~traded.is_between(period.start, period.end, closed="left")
        days = f"is outside {period.start:%Y-%m-%d} to {period.end:%Y-%m-%d}, the file's days"
        wrong.append((outside, _shown("time", days)))
    maker = "is_buyer_maker" if "is_buyer_maker" in raw.columns else "side"
    wrong.append((pl.col("_maker").is_null(), _shown(maker, "is neither of the two sides")))
    if "quote" in raw.columns:
        quote = _number("quote")
        product = pl.col("_price") * pl.col("_quantity")
        # The archive rounds to 8 decimals.
        off = (quote - product).abs() > _QUOTE_TOLERANCE * product.abs() + 1e-8
        bad = quote.is_null() | ~quote.is_finite() | off
        wrong.append((bad, _shown("quote", "is not price × quantity")))

    def first(later: pl.Expr, item: tuple[pl.Expr, pl.Expr]) -> pl.Expr:
        return pl.when(item[0]).then(item[1]).otherwise(later)

    nothing: pl.Expr = pl.lit(None, dtype=pl.String)
    return reduce(first, reversed(wrong), nothing)


def _shown(name: str, problem: str) -> pl.Expr:
    shown = pl.col(name).cast(pl.String, strict=False).fill_null("(empty)").str.slice(0, 40)
    return pl.format(f"{name} {{}} {problem}", shown)
