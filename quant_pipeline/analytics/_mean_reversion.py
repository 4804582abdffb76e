"""Does a series come back: Hurst exponent, variance ratio, crossings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from arch.unitroot import VarianceRatio as ArchVarianceRatio
from numpy.typing import ArrayLike
from scipy import stats

from quant_pipeline.analytics._inputs import FloatArray, as_series, require_at_least
from quant_pipeline.analytics._library_call import UndefinedStatisticError, call_library


@dataclass(frozen=True, slots=True)
class Hurst:
    """Hurst exponent: below 0.5 mean-reverting, 0.5 a random walk, above 0.5 trending."""

    exponent: float
    r_squared: float
    lags: tuple[int, ...]
    n: int
    defined: bool = True
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class VarianceRatio:
    """Lo–MacKinlay variance ratio and its test of the random-walk null."""

    ratio: float
    statistic: float
    pvalue: float
    lags: int
    n: int
    null_hypothesis: str = "the series is a random walk (ratio 1)"
    defined: bool = True
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Crossings:
    """How often a series crosses a level, and how long it stays away."""

    count: int
    per_bar: float
    mean_bars_between: float
    level: float
    n: int
    defined: bool = True
    reason: str | None = None


def hurst(x: ArrayLike, *, min_lag: int = 2, max_lag: int | None = None) -> Hurst:
    """Estimate the Hurst exponent from how the spread of increments grows with their lag.

    Formula
    -------
    sd(x_{t+τ} − x_t) ∝ τ^H: the slope of log sd on log τ over lags spaced evenly in log.

    Units
    -----
    exponent dimensionless; lags in bars.

    Parameters
    ----------
    x : array of shape (n,)
        A level (a spread or log price), not its returns.
    min_lag, max_lag : int, optional
        Range of lags; the default ends at n // 4.

    Returns
    -------
    Hurst
        Undefined if fewer than 3 lags fit or the series is constant. Overlapping increments make
        the fit's own standard error meaningless, so none is given; r_squared tells whether one
        power law describes the series at all.

    Raises
    ------
    ValueError
        If a value is missing or infinite, or ``min_lag`` is below 1.

    References
    ----------
    Mandelbrot and Van Ness (1968), SIAM Review 10(4).

    Examples
    --------
    >>> import numpy as np
    >>> walk = np.cumsum(np.random.default_rng(0).normal(size=20_000))
    >>> abs(hurst(walk, max_lag=200).exponent - 0.5) < 0.05
    True
    """
    series = as_series(x, "x")
    require_at_least(min_lag, "min_lag", 1)
    n = len(series)
    largest = n // 4 if max_lag is None else min(max_lag, n - 2)
    lags = np.unique(np.geomspace(min_lag, max(largest, min_lag), 20).astype(int))
    if largest < min_lag or len(lags) < 3:
        return Hurst(np.nan, np.nan, (), n, False, f"{n} observations leave fewer than 3 lags")
    deviations = np.array([np.std(series[lag:] - series[:-lag]) for lag in lags])
    used = tuple(int(lag) for lag in lags)
    if not (deviations > 0.0).all():
        return Hurst(np.nan, np.nan, used, n, False, "increments of some lag are constant")
    fit = stats.linregress(np.log(lags), np.log(deviations))
    return Hurst(float(fit.slope), float(fit.rvalue**2), used, n)


def variance_ratio(x: ArrayLike, lags: int = 2, *, robust: bool = True) -> VarianceRatio:
    """Test whether a level is a random walk by the variance ratio, via arch.

    Formula
    -------
    VR(q) = Var(x_t − x_{t−q}) / (q·Var(x_t − x_{t−1})), overlapping and debiased; the statistic
    is asymptotically standard normal, two-sided.

    Units
    -----
    Dimensionless; lags in bars.

    Parameters
    ----------
    x : array of shape (n,)
        A level (a spread or log price).
    lags : int
        The horizon q, at least 2.
    robust : bool
        Allow changing volatility (Lo and MacKinlay's z*).

    Returns
    -------
    VarianceRatio
        Below 1 mean-reverting, above 1 trending. Undefined if n < 2·lags + 2 or x is constant.

    Raises
    ------
    ValueError
        If a value is missing or infinite, or ``lags`` is below 2.

    References
    ----------
    Lo and MacKinlay (1988), Review of Financial Studies 1(1).

    Examples
    --------
    >>> import numpy as np
    >>> noise = np.random.default_rng(0).normal(size=1000)
    >>> variance_ratio(noise, 2).ratio < 0.6
    True
    """
    series = as_series(x, "x")
    require_at_least(lags, "lags", 2)
    n = len(series)
    reason = None
    if n < 2 * lags + 2:
        reason = f"{n} observations; {lags} lags need at least {2 * lags + 2}"
    elif np.ptp(np.diff(series)) == 0.0:
        reason = "its increments are constant"
    if reason is None:
        try:
            return call_library(lambda: _arch_variance_ratio(series, lags, robust))
        except UndefinedStatisticError as refusal:
            reason = str(refusal)
    nan = float("nan")
    return VarianceRatio(nan, nan, nan, lags, n, defined=False, reason=reason)


def _arch_variance_ratio(series: FloatArray, lags: int, robust: bool) -> VarianceRatio:
    test = ArchVarianceRatio(series, lags=lags, robust=robust)
    return VarianceRatio(float(test.vr), float(test.stat), float(test.pvalue), lags, len(series))


def crossings(x: ArrayLike, *, level: float | None = None) -> Crossings:
    """Count how often a spread crosses its mean (or another level).

    Formula
    -------
    A crossing is a change of sign of x_t − level between consecutive values that are not on the
    level itself; mean_bars_between is the mean distance between crossings.

    Units
    -----
    count in crossings; per_bar in crossings per bar; mean_bars_between in bars.

    Parameters
    ----------
    x : array of shape (n,)
        A spread, equally spaced in time.
    level : float, optional
        Default: the sample mean (which looks ahead).

    Returns
    -------
    Crossings
        mean_bars_between is NaN with fewer than two crossings. Undefined if n < 2.

    Raises
    ------
    ValueError
        If a value is missing or infinite.

    References
    ----------
    Vidyamurthy (2004), Pairs Trading, §6.3: the zero-crossing rate as a measure of tradability.

    Examples
    --------
    >>> crossings([1.0, -1.0, -2.0, 3.0, 0.0, 2.0], level=0.0).count
    2
    """
    series = as_series(x, "x")
    n = len(series)
    if n < 2:
        nan = float("nan")
        return Crossings(0, nan, nan, nan, n, False, f"{n} observations; at least 2 are needed")
    reference = float(series.mean()) if level is None else float(level)
    side = np.sign(series - reference)
    off_level = np.flatnonzero(side)
    changes = np.flatnonzero(np.diff(side[off_level]))
    at = off_level[changes + 1]
    between = float(np.diff(at).mean()) if len(at) > 1 else float("nan")
    return Crossings(len(at), len(at) / (n - 1), between, reference, n)
