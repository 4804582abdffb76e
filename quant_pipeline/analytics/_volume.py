"""How volume traded: VWAP, trade imbalance and VPIN."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from quant_pipeline.analytics._inputs import FloatArray, as_series, require_at_least
from quant_pipeline.analytics._tick_inputs import (
    flags,
    positive,
    positive_number,
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


def vpin(
    quantity: ArrayLike,
    is_buyer_maker: ArrayLike,
    *,
    bucket_volume: float,
    window: int = 50,
) -> pl.DataFrame:
    """Volume-synchronised probability of informed trading.

    The aggressor side is known here, so volume is not classified by price changes as the paper had
    to; values are therefore not comparable with those of bulk-classified VPIN.

    Formula
    -------
    VPINₖ = Σ |buyⱼ − sellⱼ| / (w·V) over the last w buckets of volume V. A trade that straddles
    two buckets is split between them; the last, unfilled one is left out.

    Units
    -----
    ``vpin`` dimensionless, 0 to 1; volumes in base units.

    Parameters
    ----------
    quantity : array of shape (n,)
        Size of each trade in base units, not negative, in order of trading.
    is_buyer_maker : array of bool, shape (n,)
        Whether the resting side bought, so that the aggressor sold.
    bucket_volume : float
        Volume of a bucket in base units; a fiftieth of a day's volume is the paper's choice.
    window : int
        Buckets averaged.

    Returns
    -------
    polars.DataFrame, one row per filled bucket
        ``first_trade, last_trade`` (positions of the trades that began and filled it),
        ``buy_volume, sell_volume`` (base units), ``imbalance`` (absolute, base units), ``vpin`` (0
        to 1, null until ``window`` buckets are filled) and ``reason`` (null where defined).

    Raises
    ------
    ValueError
        If lengths differ, a quantity is negative or missing, or ``bucket_volume`` is not positive.

    References
    ----------
    Easley, D., López de Prado, M. and O'Hara, M. (2012), "Flow toxicity and liquidity in a
    high-frequency world", Review of Financial Studies 25(5), 1457–1493. Its power to predict is
    disputed: Andersen, T. and Bondarenko, O. (2014), Journal of Financial Markets 17, 1–46.

    Examples
    --------
    >>> frame = vpin([3.0, 2.0, 3.0], [False, True, True], bucket_volume=4.0, window=2)
    >>> frame["buy_volume"].to_list(), frame["sell_volume"].to_list(), frame["vpin"].to_list()
    ([3.0, 0.0], [1.0, 4.0], [None, 0.75])
    """
    quantities, sell = sized_trades(quantity, is_buyer_maker)
    positive_number(bucket_volume, "bucket_volume")
    require_at_least(window, "window", 1)
    traded = np.concatenate([[0.0], np.cumsum(quantities)])
    bought = np.concatenate([[0.0], np.cumsum(np.where(sell, 0.0, quantities))])
    # Rounding in the running sum must not cost a bucket that is exactly filled.
    buckets = int(traded[-1] / bucket_volume * (1 + 1e-12))
    edges = np.minimum(np.arange(buckets + 1) * bucket_volume, traded[-1])
    buy = np.diff(np.interp(edges, traded, bought))
    imbalance = np.abs(2 * buy - bucket_volume)
    value = np.full(buckets, np.nan)
    if buckets >= window:
        value[window - 1 :] = sliding_window_view(imbalance, window).mean(axis=1) / bucket_volume
    last = np.searchsorted(traded[1:], edges[1:], side="left")
    return pl.DataFrame(
        {
            "first_trade": np.searchsorted(traded[1:], edges[:-1], side="right"),
            "last_trade": np.minimum(last, len(quantities) - 1),
            "buy_volume": buy,
            "sell_volume": bucket_volume - buy,
            "imbalance": imbalance,
            "vpin": pl.Series(value).fill_nan(None),
        }
    ).with_columns(
        pl.when(pl.col("vpin").is_null()).then(pl.lit("window not full yet")).alias("reason")
    )


def _check_trades(prices: FloatArray, quantities: FloatArray) -> None:
    positive(prices, "price", missing_allowed=True)
    negative = np.flatnonzero((quantities < 0) | np.isinf(quantities))
    if len(negative):
        at = negative[0]
        raise ValueError(f"quantity is {quantities[at]} at position {at}; it must not be negative")


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
    wrong = np.flatnonzero(~((quantities >= 0) & np.isfinite(quantities)))
    if len(wrong):
        at = wrong[0]
        raise ValueError(
            f"quantity is {quantities[at]} at position {at}; it must be finite and not negative"
        )
    return quantities, sell
