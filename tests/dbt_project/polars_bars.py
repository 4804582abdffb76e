"""Bars computed by Polars, sharing no code and no SQL with the models they check."""

from __future__ import annotations

import polars as pl

KEYS = ["venue", "symbol", "bucket"]
COLUMNS = [
    *KEYS,
    "open",
    "high",
    "low",
    "close",
    "volume",
    "quote_volume",
    "buy_volume",
    "trade_count",
    "vwap",
    "first_trade_id",
    "last_trade_id",
]
_SCALE = 10**8  # venues quote quantities in eight decimals: whole numbers add up exactly


def bars(ticks: pl.DataFrame, length: str) -> pl.DataFrame:
    """Bars of `length` ("1s", "1m", "5m", "1h") straight from ticks, sorted by key.

    Args:
        ticks: columns of raw.ticks; a trade may be there more than once.
    """
    units = (
        ticks.unique(["venue", "symbol", "trade_id"], keep="any")
        .sort("ts", "trade_id")
        .with_columns(
            bucket=pl.col("ts").dt.truncate(length),
            units=_whole(pl.col("quantity")),
            quote_units=_whole(pl.col("price") * pl.col("quantity")),
        )
    )
    price, trade_id = pl.col("price"), pl.col("trade_id")
    bought = pl.col("units").filter(~pl.col("is_buyer_maker"))
    return (
        units.group_by(KEYS, maintain_order=True)
        .agg(
            open=price.first(),
            high=price.max(),
            low=price.min(),
            close=price.last(),
            volume=pl.col("units").sum(),
            quote_volume=pl.col("quote_units").sum(),
            buy_volume=bought.sum(),
            trade_count=pl.len().cast(pl.Int64),
            first_trade_id=trade_id.first(),
            last_trade_id=trade_id.last(),
        )
        .with_columns(_in_units(pl.col("volume", "quote_volume", "buy_volume")))
        .with_columns(
            vwap=(pl.col("quote_volume") / pl.col("volume")).clip(pl.col("low"), pl.col("high"))
        )
        .select(COLUMNS)
        .sort(KEYS)
    )


def _whole(amount: pl.Expr) -> pl.Expr:
    return (amount * _SCALE).round(mode="half_to_even").cast(pl.Int128)


def _in_units(column: pl.Expr) -> pl.Expr:
    """`column` / 10**8, correctly rounded: Polars divides by a constant with its reciprocal."""
    return column.cast(pl.Float64).map_batches(
        lambda values: pl.Series(values.to_numpy() / _SCALE), return_dtype=pl.Float64
    )
