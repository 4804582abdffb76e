"""How much trading moves the price: Amihud, Kyle's lambda and the market-impact curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from quant_pipeline.analytics._inputs import FloatArray, as_series, refuse_missing, require_at_least
from quant_pipeline.analytics._long_run_variance import long_run_variance, newey_west_lags
from quant_pipeline.analytics._quotes import mids_around
from quant_pipeline.analytics._tick_inputs import (
    flags,
    not_negative,
    positive,
    same_length,
    vectors,
)

_BPS = 1e4


@dataclass(frozen=True, slots=True)
class Amihud:
    """Amihud's illiquidity: absolute return per quote currency traded.

    ``illiquidity`` is the mean over ``n`` bars and ``stderr`` its standard error, bars taken as
    independent; multiply by 1e6 for the return a million moves. ``n_without_volume`` bars traded
    nothing and are left out: such a bar is illiquid, not free.
    """

    illiquidity: float
    stderr: float
    n: int
    n_without_volume: int
    reason: str | None

    @property
    def defined(self) -> bool:
        """Whether ``illiquidity`` is a number that may be used."""
        return self.reason is None


@dataclass(frozen=True, slots=True)
class KyleLambda:
    """Kyle's lambda: how far the price moves per unit of net aggressive volume.

    ``price_impact`` is the slope (units of the change per unit of signed volume), ``stderr`` its
    Newey–West standard error with ``lags`` lags, ``pvalue`` that of the null hypothesis of no
    impact, ``r_squared`` the share of variance that flow explains, over ``n`` intervals.
    """

    price_impact: float
    stderr: float
    pvalue: float
    intercept: float
    r_squared: float
    lags: int
    n: int
    reason: str | None

    @property
    def defined(self) -> bool:
        """Whether ``price_impact`` is a number that may be used."""
        return self.reason is None


def amihud(returns: ArrayLike, quote_volume: ArrayLike) -> Amihud:
    """Amihud's illiquidity ratio: absolute return per value traded.

    Formula
    -------
    mean of |rₜ| / Vₜ.

    Units
    -----
    Fraction of the price per quote currency traded.

    Parameters
    ----------
    returns : array of shape (n,)
        Return of each bar as a fraction (0.01 is 1 %); NaN leaves the bar out.
    quote_volume : array of shape (n,)
        Value traded in each bar in quote currency, not negative.

    Returns
    -------
    Amihud
        Undefined if no bar has volume.

    Raises
    ------
    ValueError
        If lengths differ or a volume is negative.

    References
    ----------
    Amihud, Y. (2002), "Illiquidity and stock returns: cross-section and time-series effects",
    Journal of Financial Markets 5(1), 31–56.

    Examples
    --------
    >>> amihud([0.01, -0.02, 0.0], [100.0, 100.0, 0.0]).illiquidity
    0.00015000000000000001
    """
    r, volume = vectors(returns=returns, quote_volume=quote_volume)
    not_negative(volume, "quote_volume", missing_allowed=True)
    known = np.isfinite(r) & np.isfinite(volume)
    used = known & (volume > 0)
    ratio = np.abs(r[used]) / volume[used]
    n = len(ratio)
    return Amihud(
        illiquidity=float(ratio.mean()) if n else np.nan,
        stderr=float(ratio.std(ddof=1) / np.sqrt(n)) if n > 1 else np.nan,
        n=n,
        n_without_volume=int((known & (volume == 0)).sum()),
        reason=None if n else "no bar with volume",
    )


def kyle_lambda(
    price_change: ArrayLike, signed_volume: ArrayLike, *, lags: int | None = None
) -> KyleLambda:
    """Kyle's lambda by least squares of price changes on signed volume.

    Formula
    -------
    λ in Δpₜ = c + λxₜ + uₜ by ordinary least squares.

    Units
    -----
    Units of ``price_change`` per unit of ``signed_volume``.

    Parameters
    ----------
    price_change : array of shape (n,)
        Change of price (quote currency), or return, in each interval.
    signed_volume : array of shape (n,)
        Aggressive buying minus selling in the same interval, in base units or quote currency.
    lags : int, optional
        Newey–West lags, ⌊4 (n/100)^(2/9)⌋ unless given.

    Returns
    -------
    KyleLambda
        Undefined (``reason`` says why) with fewer than 10 intervals or unvarying volume.

    Raises
    ------
    ValueError
        If lengths differ, a value is missing, or ``lags`` is negative or not below n.

    Notes
    -----
    Flow and price are determined together, so this is a description, not a causal effect.

    References
    ----------
    Kyle, A. S. (1985), "Continuous auctions and insider trading", Econometrica 53(6), 1315–1335;
    Hasbrouck, J. (2007), "Empirical Market Microstructure", Oxford, chapter 9.

    Examples
    --------
    >>> volume = [1.0, -2.0, 3.0, -1.0, 2.0, -3.0, 1.0, 2.0, -2.0, -1.0]
    >>> round(kyle_lambda([0.5 * v for v in volume], volume).price_impact, 6)
    0.5
    """
    change, volume = vectors(price_change=price_change, signed_volume=signed_volume)
    refuse_missing(change, "price_change")
    refuse_missing(volume, "signed_volume")
    n = len(change)
    bandwidth = newey_west_lags(n, lags)
    reason = None
    if lags is not None and lags >= n:
        raise ValueError(f"lags is {lags}; it must be below the {n} intervals")
    if n < 10:
        reason = f"{n} intervals; at least 10 are needed"
    elif np.ptp(volume) == 0:
        reason = "signed_volume does not vary"
    if reason is not None:
        nan = np.nan
        return KyleLambda(nan, nan, nan, nan, nan, bandwidth, n, reason)
    x = volume - volume.mean()
    slope = float(x @ change / (x @ x))
    intercept = float(change.mean() - slope * volume.mean())
    residuals = change - intercept - slope * volume
    variance = n * long_run_variance(x * residuals, bandwidth) / (x @ x) ** 2
    stderr = float(np.sqrt(max(variance, 0.0)))
    total = float(((change - change.mean()) ** 2).sum())
    return KyleLambda(
        price_impact=slope,
        stderr=stderr,
        pvalue=float(2 * ndtr(-abs(slope) / stderr)) if stderr > 0 else np.nan,
        intercept=intercept,
        r_squared=1.0 - float(residuals @ residuals) / total if total > 0 else np.nan,
        lags=bandwidth,
        n=n,
        reason=None,
    )


def impact_curve(
    trade_ts: ArrayLike,
    quantity: ArrayLike,
    is_buyer_maker: ArrayLike,
    quote_ts: ArrayLike,
    mid: ArrayLike,
    *,
    horizon: float,
    bins: int = 10,
) -> pl.DataFrame:
    """Mean move of the mid price in the aggressor's direction, by size of the trade.

    Formula
    -------
    Mean over each class of size of 10⁴·d·(m′ − m)/m: d is +1 for an aggressive buy and −1 for a
    sell, m the last mid stamped strictly before the trade and m′ the one in force ``horizon``
    after it.

    Units
    -----
    Basis points of the mid price; sizes in base units; ``horizon`` in the unit of the stamps.

    Parameters
    ----------
    trade_ts, quantity, is_buyer_maker : array of shape (n,)
        Trades: non-decreasing stamps, size in base units, and whether the resting side bought.
    quote_ts, mid : array of shape (m,)
        Non-decreasing stamps of the same clock and unit, and the mid price from then on. Without
        quotes, pass the trades' own stamps and prices: bid–ask bounce then blurs the curve.
    horizon : float
        Time after the trade, in the unit of the stamps.
    bins : int
        Classes of size with about equally many trades each; equal sizes stay together, so there may
        be fewer.

    Returns
    -------
    polars.DataFrame, one row per class, by size
        ``size_low, size_high`` (inclusive) and ``mean_size`` in base units, ``impact_bps``,
        ``stderr_bps`` (null for one trade; trades taken as independent, which overlapping horizons
        are not) and ``n``.

    Raises
    ------
    ValueError
        If lengths differ, stamps go back in time, a quantity is not positive, or ``bins`` < 1.

    References
    ----------
    Lillo, F., Farmer, J. D. and Mantegna, R. N. (2003), "Master curve for price-impact function",
    Nature 421, 129–130.

    Examples
    --------
    >>> frame = impact_curve(
    ...     [1, 3], [1.0, 9.0], [False, True], [0, 2, 4], [100.0, 101.0, 99.99], horizon=1, bins=2
    ... )
    >>> frame["mean_size"].to_list(), frame["impact_bps"].round(6).to_list()
    ([1.0, 9.0], [100.0, 100.0])
    """
    quantities = as_series(quantity, "quantity", allow_nan=True)
    sell = flags(is_buyer_maker, "is_buyer_maker")
    positive(quantities, "quantity")
    require_at_least(bins, "bins", 1)
    before, after = mids_around(trade_ts, quote_ts, mid, horizon)
    same_length(trade_ts=before, quantity=quantities, is_buyer_maker=sell)
    matched = np.isfinite(before) & np.isfinite(after)
    side = np.where(sell[matched], -1.0, 1.0)
    move = _BPS * side * (after[matched] - before[matched]) / before[matched]
    size = quantities[matched]
    return (
        pl.DataFrame({"size": size, "move": move, "bin": _size_class(size, bins)})
        .group_by("bin")
        .agg(
            pl.col("size").min().alias("size_low"),
            pl.col("size").max().alias("size_high"),
            pl.col("size").mean().alias("mean_size"),
            pl.col("move").mean().alias("impact_bps"),
            (pl.col("move").std() / pl.len().sqrt()).alias("stderr_bps"),
            pl.len().cast(pl.Int64).alias("n"),
        )
        .sort("bin")
        .drop("bin")
    )


def _size_class(size: FloatArray, bins: int) -> NDArray[np.int64]:
    if len(size) == 0:
        return np.empty(0, dtype=np.int64)
    inner = np.quantile(size, np.arange(1, bins) / bins, method="higher")
    return np.asarray(np.searchsorted(inner, size, side="right"), dtype=np.int64)
