"""Average price and side of what traded: VWAP and trade imbalance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from quant_pipeline.analytics._inputs import FloatArray, as_series, require_at_least
from quant_pipeline.analytics._tick_inputs import (
    flags,
    not_negative,
    positive,
    same_length,
    vectors,
)


@dataclass(frozen=True, slots=True)
class Vwap:
    """Volume-weighted average price.

    ``vwap`` is in quote currency per unit, ``volume`` in base units, ``quote_volume`` in quote
    currency; ``n`` trades (or bars) entered, those with a missing value excluded and counted in
    ``n_missing``.
    """

    vwap: float
    volume: float
    quote_volume: float
    n: int
    n_missing: int
    reason: str | None

    @property
    def defined(self) -> bool:
        """Whether ``vwap`` is a number that may be used."""
        return self.reason is None


@dataclass(frozen=True, slots=True)
class TradeImbalance:
    """Share by which aggressive buying exceeds aggressive selling.

    ``imbalance`` is ``(buy − sell) / (buy + sell)``, from −1 to 1; volumes are in base units and
    ``n`` counts trades.
    """

    imbalance: float
    buy_volume: float
    sell_volume: float
    n: int
    reason: str | None

    @property
    def defined(self) -> bool:
        """Whether ``imbalance`` is a number that may be used."""
        return self.reason is None


def vwap(price: ArrayLike, quantity: ArrayLike) -> Vwap:
    """Volume-weighted average price.

    Formula
    -------
    Σ pᵢqᵢ / Σ qᵢ.

    Units
    -----
    ``vwap`` in quote currency per base unit, ``volume`` in base units.

    Parameters
    ----------
    price : array of shape (n,)
        Price of each trade in quote currency (or a typical price of each bar).
    quantity : array of shape (n,)
        Size in base units, not negative.

    Returns
    -------
    Vwap
        Undefined (``reason`` says why) if nothing traded.

    Raises
    ------
    ValueError
        If lengths differ, a price is not positive, or a quantity is negative.

    References
    ----------
    Berkowitz, Logue and Noser (1988), Journal of Finance 43(1), 97–112.

    Examples
    --------
    >>> vwap([100.0, 101.0], [1.0, 3.0]).vwap
    100.75
    >>> vwap([], []).reason
    'no volume'
    """
    prices, quantities = vectors(price=price, quantity=quantity)
    _check_trades(prices, quantities)
    seen = ~(np.isnan(prices) | np.isnan(quantities))
    quote_volume = float(prices[seen] @ quantities[seen])
    volume = float(quantities[seen].sum())
    return Vwap(
        vwap=quote_volume / volume if volume > 0 else np.nan,
        volume=volume,
        quote_volume=quote_volume,
        n=int(seen.sum()),
        n_missing=int((~seen).sum()),
        reason=None if volume > 0 else "no volume",
    )


def rolling_vwap(price: ArrayLike, quantity: ArrayLike, window: int) -> pl.DataFrame:
    """VWAP of the last ``window`` trades or bars, at every one of them.

    Formula
    -------
    Σ pᵢqᵢ / Σ qᵢ over the last ``window`` observations.

    Units
    -----
    ``vwap`` in quote currency per base unit, ``volume`` in base units.

    Parameters
    ----------
    price, quantity : array of shape (n,)
        As for ``vwap``.
    window : int
        Trades or bars in a window, at least 1.

    Returns
    -------
    polars.DataFrame, n rows
        ``vwap`` (quote currency, null where undefined), ``volume`` (base units) and ``reason``,
        null where defined. A window that is not full, holds a missing value or no volume is
        undefined.

    Raises
    ------
    ValueError
        As ``vwap``, or if ``window`` < 1.

    References
    ----------
    As R's TTR::VWAP.

    Examples
    --------
    >>> rolling_vwap([100.0, 101.0, 103.0], [1.0, 3.0, 1.0], 2)["vwap"].to_list()
    [None, 100.75, 101.5]
    """
    prices, quantities = vectors(price=price, quantity=quantity)
    require_at_least(window, "window", 1)
    _check_trades(prices, quantities)
    n = len(prices)
    volume, quote_volume = np.full(n, np.nan), np.full(n, np.nan)
    if n >= window:
        traded = np.where(np.isnan(prices), np.nan, quantities)
        volume[window - 1 :] = sliding_window_view(traded, window).sum(axis=1)
        quote_volume[window - 1 :] = sliding_window_view(prices * traded, window).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        average = np.where(volume > 0, quote_volume / volume, np.nan)
    reason = np.where(
        np.arange(n) < window - 1,
        "window not full yet",
        np.where(np.isnan(volume), "missing values in the window", "no volume"),
    )
    frame = pl.DataFrame({"vwap": average, "volume": volume, "reason": reason}).fill_nan(None)
    return frame.with_columns(pl.when(pl.col("vwap").is_null()).then("reason").alias("reason"))


def trade_imbalance(quantity: ArrayLike, is_buyer_maker: ArrayLike) -> TradeImbalance:
    """Imbalance of aggressive buying over aggressive selling.

    Formula
    -------
    (buy − sell) / (buy + sell) of aggressors' volume.

    Units
    -----
    Dimensionless, −1 to 1; volumes in base units.

    Parameters
    ----------
    quantity : array of shape (n,)
        Size of each trade in base units (or in quote currency, to weigh by value), not negative.
    is_buyer_maker : array of bool, shape (n,)
        Whether the resting side bought, so that the aggressor sold.

    Returns
    -------
    TradeImbalance
        Undefined if nothing traded.

    Raises
    ------
    ValueError
        If lengths differ, a quantity is negative or missing, or a flag is not boolean.

    References
    ----------
    Chordia, T. and Subrahmanyam, A. (2004), Journal of Financial Economics 72(3), 485–518.

    Examples
    --------
    >>> trade_imbalance([3.0, 1.0], [False, True]).imbalance
    0.5
    """
    quantities, sell = sized_trades(quantity, is_buyer_maker)
    sold, bought = float(quantities[sell].sum()), float(quantities[~sell].sum())
    total = bought + sold
    return TradeImbalance(
        imbalance=(bought - sold) / total if total > 0 else np.nan,
        buy_volume=bought,
        sell_volume=sold,
        n=len(quantities),
        reason=None if total > 0 else "no volume",
    )


def _check_trades(prices: FloatArray, quantities: FloatArray) -> None:
    positive(prices, "price", missing_allowed=True)
    not_negative(quantities, "quantity", missing_allowed=True)


def sized_trades(
    quantity: ArrayLike, is_buyer_maker: ArrayLike
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Sizes and aggressor sides of trades: finite, not negative, and as many of one as the other.

    >>> sized_trades([1.0, 2.0], [True, False])
    (array([1., 2.]), array([ True, False]))
    """
    quantities = as_series(quantity, "quantity", allow_nan=True)
    sell = flags(is_buyer_maker, "is_buyer_maker")
    same_length(quantity=quantities, is_buyer_maker=sell)
    not_negative(quantities, "quantity")
    return quantities, sell
