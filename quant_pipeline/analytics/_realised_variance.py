"""Variance from intraday returns, and the part of it that came in jumps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from quant_pipeline.analytics._inputs import FloatArray, as_series, require_at_least
from quant_pipeline.analytics._rolling import window_moments

#: E|z| for a standard normal z.
MU_1 = np.sqrt(2.0 / np.pi)
#: E|z|^(4/3).
MU_4_3 = 2.0 ** (2.0 / 3.0) * special.gamma(7.0 / 6.0) / special.gamma(0.5)


@dataclass(frozen=True, slots=True)
class JumpShare:
    """Share of realised variance that bipower variation does not see, and its test."""

    share: float
    realised_variance: float
    bipower_variation: float
    statistic: float
    pvalue: float
    n: int
    null_hypothesis: str = "no jumps in the interval"
    defined: bool = True
    reason: str | None = None


def realised_variance(returns: ArrayLike) -> float:
    """Sum of squared returns: the variance that was realised in an interval.

    Formula
    -------
    RV = Σ r². It converges to integrated variance plus the squares of the jumps.

    Units
    -----
    Squared log returns per interval; its square root is a volatility of that interval, not a year.

    Parameters
    ----------
    returns : array of shape (n,)
        Log returns of one interval at equal spacing. Too fine a spacing adds microstructure noise:
        five minutes is the usual compromise.

    Returns
    -------
    float
        NaN for no returns.

    Raises
    ------
    ValueError
        If a return is missing or infinite.

    References
    ----------
    Andersen, Bollerslev, Diebold and Labys (2003), Econometrica 71(2).

    Examples
    --------
    >>> round(realised_variance([0.01, -0.02, 0.01]), 6)
    0.0006
    """
    series = as_series(returns, "returns")
    return float(series @ series) if len(series) else float("nan")


def rolling_realised_variance(returns: ArrayLike, window: int) -> FloatArray:
    """Realised variance of each trailing window of returns.

    Formula
    -------
    ``realised_variance`` of returns t−window+1 … t.

    Units
    -----
    Squared log returns per window; window in returns.

    Parameters
    ----------
    returns : array of shape (n,)
        Log returns at equal spacing; a missing one makes the windows that hold it NaN.
    window : int
        Returns in each window, at least 1.

    Returns
    -------
    array of shape (n,)
        NaN until the window is full.

    Raises
    ------
    ValueError
        If ``window`` is below 1.

    References
    ----------
    As ``realised_variance``.

    Examples
    --------
    >>> rolling_realised_variance([1.0, 2.0, 3.0], window=2).tolist()
    [nan, 5.0, 13.0]
    """
    require_at_least(window, "window", 1)
    series = as_series(returns, "returns", allow_nan=True)
    return _rolling_sum(series * series, window)


def bipower_variation(returns: ArrayLike) -> float:
    """Realised bipower variation: variance that jumps do not enter.

    Formula
    -------
    BV = (π/2)·n/(n−1)·Σ_{t≥2} |r_t|·|r_{t−1}|; converges to integrated variance even with jumps.

    Units
    -----
    Squared log returns per interval.

    Parameters
    ----------
    returns : array of shape (n,)
        Log returns of one interval at equal spacing.

    Returns
    -------
    float
        NaN for fewer than two returns.

    Raises
    ------
    ValueError
        If a return is missing or infinite.

    References
    ----------
    Barndorff-Nielsen and Shephard (2004), J. Financial Econometrics 2(1).

    Examples
    --------
    >>> round(bipower_variation([0.01, -0.02, 0.01]), 6)
    0.000942
    """
    series = np.abs(as_series(returns, "returns"))
    n = len(series)
    if n < 2:
        return float("nan")
    return float(series[1:] @ series[:-1] / MU_1**2 * n / (n - 1))


def rolling_bipower_variation(returns: ArrayLike, window: int) -> FloatArray:
    """Bipower variation of each trailing window of returns.

    Formula
    -------
    ``bipower_variation`` of returns t−window+1 … t.

    Units
    -----
    Squared log returns per window; window in returns.

    Parameters
    ----------
    returns : array of shape (n,)
        Log returns at equal spacing; a missing one makes the windows that hold it NaN.
    window : int
        Returns in each window, at least 2.

    Returns
    -------
    array of shape (n,)
        NaN until the window is full.

    Raises
    ------
    ValueError
        If ``window`` is below 2.

    References
    ----------
    As ``bipower_variation``.

    Examples
    --------
    >>> rolling_bipower_variation([0.01, -0.02, 0.01, 0.0], window=3).round(6).tolist()
    [nan, nan, 0.000942, 0.000471]
    """
    require_at_least(window, "window", 2)
    absolute = np.abs(as_series(returns, "returns", allow_nan=True))
    products = np.concatenate([[np.nan], absolute[1:] * absolute[:-1]])[: len(absolute)]
    total = _rolling_sum(products, window - 1)
    total[: window - 1] = np.nan
    return np.asarray(total / MU_1**2 * window / (window - 1))


def jump_share(returns: ArrayLike) -> JumpShare:
    """How much of the realised variance came in jumps, and whether that could be chance.

    Formula
    -------
    share = max(0, 1 − BV/RV). Ratio statistic z = (1 − BV/RV) /
    sqrt((π²/4 + π − 5)/n · max(1, TP/BV²)), TP the tri-power quarticity
    n·μ_{4/3}^{−3}·n/(n−2)·Σ (|r_t||r_{t−1}||r_{t−2}|)^{4/3}; standard normal without jumps,
    one-sided.

    Units
    -----
    share 0–1; variances in squared log returns per interval; statistic dimensionless.

    Parameters
    ----------
    returns : array of shape (n,)
        Log returns of one interval at equal spacing. Zero returns (a price that did not trade)
        lower BV and pass for jumps: thin out first. A jump also enters BV through its two
        neighbours, so the share reads low on a coarse grid.

    Returns
    -------
    JumpShare
        Undefined for fewer than 5 returns or if bipower variation is zero.

    Raises
    ------
    ValueError
        If a return is missing or infinite.

    References
    ----------
    Huang and Tauchen (2005), J. Financial Econometrics 3(4), eq. 14; Barndorff-Nielsen and Shephard
    (2006), J. Financial Econometrics 4(1).

    Examples
    --------
    >>> import numpy as np
    >>> quiet = np.random.default_rng(0).normal(scale=0.001, size=288)
    >>> jumpy = quiet.copy()
    >>> jumpy[100] += 0.02
    >>> jump_share(quiet).pvalue > 0.05, jump_share(jumpy).pvalue < 0.01
    (True, True)
    """
    series = np.abs(as_series(returns, "returns"))
    n = len(series)
    nan = float("nan")
    if n < 5:
        return JumpShare(
            nan, nan, nan, nan, nan, n, defined=False, reason=f"{n} returns; at least 5 are needed"
        )
    realised, bipower = realised_variance(series), bipower_variation(series)
    if bipower <= 0.0:
        return JumpShare(
            nan, realised, bipower, nan, nan, n, defined=False, reason="bipower variation is zero"
        )
    triples = (series[2:] * series[1:-1] * series[:-2]) ** (4.0 / 3.0)
    quarticity = n * MU_4_3**-3 * n / (n - 2) * float(triples.sum())
    jump = 1.0 - bipower / realised
    variance = (np.pi**2 / 4.0 + np.pi - 5.0) / n * max(1.0, quarticity / bipower**2)
    z = float(jump / np.sqrt(variance))
    return JumpShare(max(0.0, jump), realised, bipower, z, float(stats.norm.sf(z)), n)


def _rolling_sum(values: FloatArray, window: int) -> FloatArray:
    result = np.full(len(values), np.nan)
    if len(values) >= window:
        result[window - 1 :] = window_moments(values, values, window).mean_y * window
    return result
