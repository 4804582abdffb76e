"""Effective bid–ask spread estimated from open, high, low and close prices alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import bidask
import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from quant_pipeline.analytics._spread_estimate import (
    SpreadEstimate,
    ohlc_bars,
    signed_root,
    spread_estimate,
)


def edge(
    open: ArrayLike,  # noqa: A002 (the field's own names)
    high: ArrayLike,
    low: ArrayLike,
    close: ArrayLike,
) -> SpreadEstimate:
    """Efficient discrete generalised estimator (EDGE) of Ardia, Guidotti and Kroencke.

    The best of this family, and the one to use by default: it weighs the moment conditions of
    ``discrete_generalized`` by their precision and allows for bars with few trades, which bias
    the older estimators downwards.

    Formula
    -------
    A variance-weighted mean of two moments of open, mid-range and close returns, corrected for the
    probability that a bar's price does not move.

    Units
    -----
    Fraction of the price: 0.01 is 1 %.

    Parameters
    ----------
    open, high, low, close : array of shape (n,)
        Prices of consecutive bars, in time order; NaN where unknown.

    Returns
    -------
    SpreadEstimate
        Undefined (``reason`` says why) if the price hardly moves or the estimate is not positive.

    Raises
    ------
    ValueError
        If lengths differ, a price is not positive, or a price lies outside [low, high].

    Notes
    -----
    Computed by the authors' package ``bidask``. Its R version reports ``abs(signed)`` by default.

    References
    ----------
    Ardia, D., Guidotti, E. and Kroencke, T. A. (2024), "Efficient estimation of bid–ask spreads
    from open, high, low, and close prices", Journal of Financial Economics 161, 103916.

    Examples
    --------
    >>> edge([18.21, 17.61, 17.61], [18.21, 17.61, 17.61], [17.61] * 3, [17.61] * 3).reason
    'too few bars in which the price moves'
    """
    o, h, low_, c = ohlc_bars(open, high, low, close)
    signed = float(bidask.edge(o, h, low_, c, sign=True))
    complete = ~np.isnan(h[1:] + low_[1:] + c[:-1])
    return spread_estimate("EDGE", signed, int(complete.sum()))


def roll_spread(
    open: ArrayLike,  # noqa: A002
    high: ArrayLike,
    low: ArrayLike,
    close: ArrayLike,
) -> SpreadEstimate:
    """Roll's estimator, from the bounce between bid and ask in successive close prices.

    Assumes that the efficient price is a random walk and that every bar's close is a trade.

    Formula
    -------
    2·sqrt(−cov(rₜ, rₜ₋₁)) with r the log returns of the close.

    Units
    -----
    Fraction of the price: 0.01 is 1 %.

    Parameters
    ----------
    open, high, low, close : array of shape (n,)
        As for ``edge``; only ``close`` is used. The four are taken so that the estimators are
        interchangeable.

    Returns
    -------
    SpreadEstimate
        Undefined where successive returns are not negatively correlated.

    Raises
    ------
    ValueError
        As ``edge``.

    References
    ----------
    Roll, R. (1984), "A simple implicit measure of the effective bid-ask spread in an efficient
    market", Journal of Finance 39(4), 1127–1139.

    Examples
    --------
    >>> close = [100.0, 101.0, 100.0, 101.0, 100.0, 101.0]
    >>> round(roll_spread(close, close, close, close).spread, 4)
    0.023
    """
    returns = np.diff(np.log(ohlc_bars(open, high, low, close)[3]))
    pairs = np.column_stack([returns[1:], returns[:-1]])
    pairs = pairs[~np.isnan(pairs).any(axis=1)]
    n = len(pairs)
    squared = np.nan
    if n >= 2:
        squared = -4.0 * float(np.cov(pairs.T)[0, 1])
    return spread_estimate("Roll", signed_root(squared), n)


def corwin_schultz(
    open: ArrayLike,  # noqa: A002
    high: ArrayLike,
    low: ArrayLike,
    close: ArrayLike,
) -> SpreadEstimate:
    """Corwin and Schultz's estimator, from the ranges of one and of two bars.

    A two-bar range holds twice the variance of a one-bar range but the same spread. The bars are
    adjusted for a jump between them, and the mean is taken before anything is cut off at zero.

    Formula
    -------
    mean of 2(e^α − 1)/(1 + e^α), α = (√(2β) − √β)/k − √(γ/k), k = 3 − 2√2, β the sum of the squared
    log ranges of two bars and γ that of their common range.

    Units
    -----
    Fraction of the price: 0.01 is 1 %.

    Parameters
    ----------
    open, high, low, close : array of shape (n,)
        As for ``edge``; ``open`` is not used.

    Returns
    -------
    SpreadEstimate
        Undefined where the mean is not positive.

    Raises
    ------
    ValueError
        As ``edge``.

    Notes
    -----
    The gap is adjusted in logarithms, as current R ``bidask`` does; in prices, as in the paper and
    in older versions of it, the difference is of second order.

    References
    ----------
    Corwin, S. A. and Schultz, P. (2012), "A simple way to estimate bid-ask spreads from daily high
    and low prices", Journal of Finance 67(2), 719–760.

    Examples
    --------
    >>> high, low = [101.0, 101.0, 101.0], [100.0, 100.0, 100.0]
    >>> round(corwin_schultz(low, high, low, high).spread, 4)
    0.01
    """
    _, h, low_, c = (np.log(bar) for bar in ohlc_bars(open, high, low, close))
    gap = np.maximum(0.0, c[:-1] - h[1:]) + np.minimum(0.0, c[:-1] - low_[1:])
    beta = (h[1:] - low_[1:]) ** 2 + (h[:-1] - low_[:-1]) ** 2
    gamma = (np.maximum(h[1:] + gap, h[:-1]) - np.minimum(low_[1:] + gap, low_[:-1])) ** 2
    k = 3.0 - 2.0 * np.sqrt(2.0)
    alpha = (np.sqrt(2.0 * beta) - np.sqrt(beta)) / k - np.sqrt(gamma / k)
    each = 2.0 * np.tanh(alpha / 2.0)  # 2(e^α − 1)/(1 + e^α)
    each = each[~np.isnan(each)]
    signed = float(each.mean()) if len(each) else np.nan
    return spread_estimate("Corwin–Schultz", signed, len(each))


def abdi_ranaldo(
    open: ArrayLike,  # noqa: A002
    high: ArrayLike,
    low: ArrayLike,
    close: ArrayLike,
) -> SpreadEstimate:
    """Abdi and Ranaldo's estimator, from the close and the mid-ranges around it.

    Formula
    -------
    2·sqrt(E[(cₜ₋₁ − mₜ₋₁)(cₜ₋₁ − mₜ)]), c the log close and m the mean of log high and log low.

    Units
    -----
    Fraction of the price: 0.01 is 1 %.

    Parameters
    ----------
    open, high, low, close : array of shape (n,)
        As for ``edge``; ``open`` is not used.

    Returns
    -------
    SpreadEstimate
        Undefined where the mean product is not positive.

    Raises
    ------
    ValueError
        As ``edge``.

    References
    ----------
    Abdi, F. and Ranaldo, A. (2017), "A simple estimation of bid-ask spreads from daily close, high,
    and low prices", Review of Financial Studies 30(12), 4437–4480.

    Examples
    --------
    >>> high, low = [101.0, 101.0, 101.0], [100.0, 100.0, 100.0]
    >>> round(abdi_ranaldo(low, high, low, high).spread, 4)
    0.01
    """
    _, h, low_, c = (np.log(bar) for bar in ohlc_bars(open, high, low, close))
    middle = (h + low_) / 2.0
    each = 4.0 * (c[:-1] - middle[:-1]) * (c[:-1] - middle[1:])
    each = each[~np.isnan(each)]
    squared = float(each.mean()) if len(each) else np.nan
    return spread_estimate("Abdi–Ranaldo", signed_root(squared), len(each))


def spread_estimates(
    open: ArrayLike,  # noqa: A002
    high: ArrayLike,
    low: ArrayLike,
    close: ArrayLike,
) -> pl.DataFrame:
    """EDGE, Roll, Corwin–Schultz and Abdi–Ranaldo side by side.

    Formula
    -------
    Those of ``edge``, ``roll_spread``, ``corwin_schultz`` and ``abdi_ranaldo``.

    Units
    -----
    Fraction of the price: 0.01 is 1 %.

    Parameters
    ----------
    open, high, low, close : array of shape (n,)
        As for ``edge``.

    Returns
    -------
    polars.DataFrame, one row per estimator
        ``estimator, spread, signed, n, reason`` as in ``SpreadEstimate``, null where undefined.

    Raises
    ------
    ValueError
        As ``edge``.

    References
    ----------
    Those of the four.

    Examples
    --------
    >>> high, low = [101.0, 101.0, 101.0], [100.0, 100.0, 100.0]
    >>> spread_estimates(low, high, low, high)["estimator"].to_list()
    ['EDGE', 'Roll', 'Corwin–Schultz', 'Abdi–Ranaldo']
    """
    estimators: tuple[Callable[..., SpreadEstimate], ...] = (
        edge,
        roll_spread,
        corwin_schultz,
        abdi_ranaldo,
    )
    rows = [asdict(estimator(open, high, low, close)) for estimator in estimators]
    schema = {"estimator": pl.String, "spread": pl.Float64, "signed": pl.Float64, "n": pl.Int64}
    return pl.DataFrame(rows, schema=schema | {"reason": pl.String}).fill_nan(None)
