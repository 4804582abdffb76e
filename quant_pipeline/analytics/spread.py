"""The spread of a pair, how far it has strayed, and how fast it comes back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from arch.unitroot import VarianceRatio as ArchVarianceRatio
from numpy.typing import ArrayLike
from scipy import stats

from quant_pipeline.analytics._inputs import (
    FloatArray,
    as_pair,
    as_series,
    require_at_least,
)
from quant_pipeline.analytics._rolling import window_moments

__all__ = [
    "Crossings",
    "HalfLife",
    "Hurst",
    "VarianceRatio",
    "crossings",
    "half_life",
    "hurst",
    "innovation_zscore",
    "spread",
    "variance_ratio",
    "zscore",
]


@dataclass(frozen=True, slots=True)
class HalfLife:
    """Half-life in bars with its interval; ``upper`` is infinite when a unit root is inside it."""

    half_life: float
    lower: float
    upper: float
    ar1: float
    ar1_stderr: float
    speed: float
    mean: float
    confidence: float
    n: int
    defined: bool = True
    reason: str | None = None


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


def spread(y: ArrayLike, x: ArrayLike, *, alpha: ArrayLike, beta: ArrayLike) -> FloatArray:
    """Return what is left of ``y`` after the hedge in ``x``.

    Formula
    -------
    s_t = y_t − alpha_t − beta_t·x_t.

    Units
    -----
    Units of y.

    Parameters
    ----------
    y, x : array of shape (n,)
        Levels on one clock.
    alpha, beta : float or array of shape (n,)
        A constant hedge, or one that moves. For a tradable spread, lag a moving hedge by one bar:
        the estimate made at t is known only after t.

    Returns
    -------
    array of shape (n,)

    Raises
    ------
    ValueError
        If lengths differ, or a value of y or x is missing or infinite.

    References
    ----------
    Engle and Granger (1987), Econometrica 55(2): the equilibrium error.

    Examples
    --------
    >>> spread([10.0, 12.0], [4.0, 5.0], alpha=1.0, beta=2.0).tolist()
    [1.0, 1.0]
    """
    left, right = as_pair(y, x)
    a, b = np.asarray(alpha, dtype=np.float64), np.asarray(beta, dtype=np.float64)
    for name, value in (("alpha", a), ("beta", b)):
        if value.shape not in ((), left.shape):
            raise ValueError(
                f"{name} has shape {value.shape}; pass one number or {len(left)} of them"
            )
    return np.asarray(left - a - b * right)


def zscore(x: ArrayLike, window: int | None = None) -> FloatArray:
    """Measure each value in standard deviations from the mean.

    Formula
    -------
    z_t = (x_t − x̄) / s, s with n−1 in its divisor; over all observations, or over the trailing
    ``window`` of them, the current one included.

    Units
    -----
    Standard deviations (dimensionless); window in observations (bars).

    Parameters
    ----------
    x : array of shape (n,)
        A spread. Missing values stay missing; with a window, every window that holds one is NaN.
    window : int, optional
        Trailing window, at least 2. None uses the whole sample, which looks ahead: right for
        describing history, wrong for trading it.

    Returns
    -------
    array of shape (n,)
        NaN until the window is full and where the standard deviation is zero.

    Raises
    ------
    ValueError
        If ``x`` is not one-dimensional or ``window`` is below 2.

    References
    ----------
    Gatev, Goetzmann and Rouwenhorst (2006), Review of Financial Studies 19(3).

    Examples
    --------
    >>> zscore([1.0, 2.0, 3.0]).tolist()
    [-1.0, 0.0, 1.0]
    >>> zscore([1.0, 2.0, 3.0, 7.0], window=3).round(4).tolist()
    [nan, nan, 1.0, 1.1339]
    """
    series = as_series(x, "x", allow_nan=True)
    result = np.full(len(series), np.nan)
    if window is None:
        seen = series[np.isfinite(series)]
        if len(seen) > 1 and np.ptp(seen) > 0.0:
            result = (series - seen.mean()) / seen.std(ddof=1)
        return result
    require_at_least(window, "window", 2)
    if len(series) >= window:
        moments = window_moments(series, series, window)
        noise = window * (np.finfo(float).eps * np.abs(moments.mean_y)) ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            deviation = np.where(moments.yy > noise, np.sqrt(moments.yy / (window - 1)), np.nan)
        result[window - 1 :] = (series[window - 1 :] - moments.mean_y) / deviation
    return result


def innovation_zscore(spread: ArrayLike, spread_variance: ArrayLike) -> FloatArray:
    """Scale a Kalman filter's innovations by the deviation it predicted for them.

    Formula
    -------
    z_t = e_t / sqrt(S_t), with e_t the innovation and S_t its predicted variance.

    Units
    -----
    Standard deviations (dimensionless).

    Parameters
    ----------
    spread, spread_variance : array of shape (n,)
        Fields of a ``KalmanHedge``.

    Returns
    -------
    array of shape (n,)
        NaN where the filter had not yet identified the hedge.

    Raises
    ------
    ValueError
        If the shapes differ or a variance is not positive.

    References
    ----------
    Durbin and Koopman (2012), Time Series Analysis by State Space Methods, §2.12.

    Examples
    --------
    >>> innovation_zscore([2.0, -3.0], [4.0, 9.0]).tolist()
    [1.0, -1.0]
    """
    innovation = as_series(spread, "spread", allow_nan=True)
    variance = as_series(spread_variance, "spread_variance", allow_nan=True)
    if innovation.shape != variance.shape:
        raise ValueError(
            f"spread has {len(innovation)} values and spread_variance {len(variance)}; "
            "pass both from one KalmanHedge"
        )
    if (variance <= 0.0).any():
        raise ValueError(f"spread_variance must be positive, its least value is {variance.min()}")
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(variance), innovation / np.sqrt(variance), np.nan)


def half_life(spread: ArrayLike, *, confidence: float = 0.95) -> HalfLife:
    """Estimate how many bars a deviation takes to halve, from an AR(1) with a mean.

    Formula
    -------
    s_t = c + φ·s_{t−1} + e_t by OLS; half-life = ln 2 / −ln φ; speed (Ornstein–Uhlenbeck) = −ln φ
    per bar; the interval maps φ̂ ± t·stderr through the same function.

    Units
    -----
    half_life, lower, upper in bars; speed per bar; mean in units of the spread.

    Parameters
    ----------
    spread : array of shape (n,)
        Equally spaced in time.
    confidence : float
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    HalfLife
        ``upper`` is infinite if φ = 1 cannot be excluded, ``lower`` is 0 if φ ≤ 0 cannot. Undefined
        if n < 4, the series is constant, φ̂ ≥ 1 (it does not come back) or φ̂ ≤ 0 (it overshoots
        within a bar). φ̂ is biased downwards by about (1+3φ)/n (Kendall), so near a unit root the
        half-life reads too short; no correction is applied.

    Raises
    ------
    ValueError
        If a value is missing or infinite, or ``confidence`` is not within (0, 1).

    References
    ----------
    Chan (2013), Algorithmic Trading, ch. 2; Kendall (1954), Biometrika 41 for the bias.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(7)
    >>> s = np.zeros(2000)
    >>> for t in range(1, 2000):
    ...     s[t] = 0.9 * s[t - 1] + rng.normal()
    >>> result = half_life(s)
    >>> bool(result.lower < np.log(2) / -np.log(0.9) < result.upper)
    True
    """
    series = as_series(spread, "spread")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence is {confidence}; it must lie between 0 and 1, such as 0.95")
    n = len(series)
    if n < 4:
        return _no_half_life(n, confidence, f"{n} observations; at least 4 are needed")
    before, after = series[:-1], series[1:]
    dx, dy = before - before.mean(), after - after.mean()
    sxx = dx @ dx
    if np.ptp(before) == 0.0:
        return _no_half_life(n, confidence, "the series is constant")
    phi = float(dx @ dy / sxx)
    residuals = dy - phi * dx
    stderr = float(np.sqrt(residuals @ residuals / (n - 3) / sxx))
    margin = float(stats.t.ppf(0.5 + confidence / 2.0, n - 3)) * stderr
    if not 0.0 < phi < 1.0:
        reason = f"the AR(1) coefficient is {phi:.4f}: " + (
            "deviations do not die out" if phi >= 1.0 else "deviations reverse within one bar"
        )
        return _no_half_life(n, confidence, reason, phi, stderr)
    return HalfLife(
        half_life=_halving_bars(phi),
        lower=_halving_bars(phi - margin),
        upper=_halving_bars(phi + margin),
        ar1=phi,
        ar1_stderr=stderr,
        speed=float(-np.log(phi)),
        mean=float((after.mean() - phi * before.mean()) / (1.0 - phi)),
        confidence=confidence,
        n=n,
    )


def _halving_bars(phi: float) -> float:
    if phi >= 1.0:
        return float("inf")
    return 0.0 if phi <= 0.0 else float(np.log(2.0) / -np.log(phi))


def _no_half_life(
    n: int, confidence: float, reason: str, phi: float = np.nan, stderr: float = np.nan
) -> HalfLife:
    nan = float("nan")
    return HalfLife(nan, nan, nan, phi, stderr, nan, nan, confidence, n, False, reason)


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
    if reason is not None:
        nan = float("nan")
        return VarianceRatio(nan, nan, nan, lags, n, defined=False, reason=reason)
    test = ArchVarianceRatio(series, lags=lags, robust=robust)
    return VarianceRatio(float(test.vr), float(test.stat), float(test.pvalue), lags, n)


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
