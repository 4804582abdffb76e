"""Hedge ratios: how many units of ``x`` offset one unit of ``y``.

``ols`` and ``rolling_ols`` minimise errors in ``y`` alone, ``total_least_squares`` errors in both,
``dynamic_ols`` corrects the long-run relation for short-run dynamics. A ratio that moves is
estimated by ``kalman_hedge`` (module ``kalman``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from arch.unitroot.cointegration import DynamicOLS
from numpy.typing import ArrayLike

from quant_pipeline.analytics._inputs import (
    FloatArray,
    as_pair,
    require_at_least,
    require_option,
)
from quant_pipeline.analytics._rolling import window_moments

__all__ = [
    "DolsFit",
    "OlsFit",
    "TlsFit",
    "dynamic_ols",
    "ols",
    "rolling_ols",
    "total_least_squares",
]


@dataclass(frozen=True, slots=True, eq=False)
class OlsFit:
    """A fitted line ``y = alpha + beta·x``; NaN where ``defined`` is false."""

    alpha: float
    beta: float
    beta_stderr: float
    r_squared: float
    residuals: FloatArray
    n: int
    defined: bool = True
    reason: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TlsFit:
    """A total-least-squares line; the same line whichever series is called ``y``."""

    alpha: float
    beta: float
    residuals: FloatArray
    n: int
    defined: bool = True
    reason: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class DolsFit:
    """A cointegrating vector by dynamic OLS, with the leads and lags that were used."""

    alpha: float
    beta: float
    beta_stderr: float
    residuals: FloatArray
    leads: int
    lags: int
    n: int
    defined: bool = True
    reason: str | None = None


def ols(y: ArrayLike, x: ArrayLike) -> OlsFit:
    """Fit ``y`` on a constant and ``x`` by ordinary least squares.

    Formula
    -------
    beta = Σ(x−x̄)(y−ȳ) / Σ(x−x̄)²,  alpha = ȳ − beta·x̄,
    beta_stderr = sqrt(Σe² / (n−2) / Σ(x−x̄)²),  r_squared = 1 − Σe² / Σ(y−ȳ)².

    Units
    -----
    alpha and residuals in units of y; beta in units of y per unit of x; r_squared a share 0–1.

    Parameters
    ----------
    y, x : array of shape (n,)
        Levels (prices or log prices) on one clock.

    Returns
    -------
    OlsFit
        Undefined (NaN, ``defined`` false) if ``x`` is constant or n < 3. r_squared is NaN if ``y``
        is constant. The standard error supposes independent errors: between two random walks it is
        far too small (the regression is spurious), so never test a hedge ratio with it.

    Raises
    ------
    ValueError
        If the lengths differ, or a value is missing or infinite.

    References
    ----------
    Greene, Econometric Analysis, 5th ed., ch. 3.

    Examples
    --------
    >>> fit = ols([3.0, 5.0, 7.2, 8.8], [1.0, 2.0, 3.0, 4.0])
    >>> round(fit.alpha, 6), round(fit.beta, 6), fit.n
    (1.1, 1.96, 4)
    """
    left, right = as_pair(y, x)
    n = len(left)
    if n < 3:
        return _no_ols(n, f"{n} observations; a line with a standard error needs 3")
    if np.ptp(right) == 0.0:
        return _no_ols(n, "x is constant, so no slope exists")
    mean_y, mean_x = left.mean(), right.mean()
    dy, dx = left - mean_y, right - mean_x
    sxx = dx @ dx
    beta = dx @ dy / sxx
    residuals = dy - beta * dx
    ssr, syy = residuals @ residuals, dy @ dy
    return OlsFit(
        alpha=float(mean_y - beta * mean_x),
        beta=float(beta),
        beta_stderr=float(np.sqrt(ssr / (n - 2) / sxx)),
        r_squared=float(1.0 - ssr / syy) if syy > 0.0 else float("nan"),
        residuals=residuals,
        n=n,
    )


def rolling_ols(y: ArrayLike, x: ArrayLike, window: int) -> pl.DataFrame:
    """Fit ``y`` on a constant and ``x`` over each trailing window, in linear time.

    Formula
    -------
    The estimates of ``ols`` over observations t−window+1 … t. Moments come from block-wise
    cumulative sums merged by Chan, Golub and LeVeque's formula, so cost does not grow with the
    window and no digits are lost to a large price level.

    Units
    -----
    alpha in units of y; beta in units of y per unit of x; window in observations (bars).

    Parameters
    ----------
    y, x : array of shape (n,)
        Levels on one clock. A NaN makes exactly the windows that contain it undefined.
    window : int
        Observations in each window, at least 2.

    Returns
    -------
    polars.DataFrame
        Columns ``alpha``, ``beta``, one row an observation; null until the window is full, and
        where the window is constant in x or holds a missing value.

    Raises
    ------
    ValueError
        If the lengths differ or ``window`` is below 2.

    References
    ----------
    Chan, Golub and LeVeque (1979), Stanford CS-79-773, for the merging of moments.

    Examples
    --------
    >>> frame = rolling_ols([1.0, 3.0, 5.0, 9.0], [0.0, 1.0, 2.0, 3.0], window=3)
    >>> [round(b, 6) for b in frame["beta"].drop_nulls()]
    [2.0, 3.0]
    """
    left, right = np.array(y, dtype=np.float64), np.array(x, dtype=np.float64)
    if left.ndim != 1 or left.shape != right.shape:
        raise ValueError(
            f"y and x must be one-dimensional and equally long, got {left.shape} and {right.shape}"
        )
    require_at_least(window, "window", 2)
    n = len(left)
    alpha, beta = np.full(n, np.nan), np.full(n, np.nan)
    if n >= window:
        moments = window_moments(left, right, window)
        with np.errstate(divide="ignore", invalid="ignore"):
            # A window of equal values leaves rounding noise, not zero, in the sum of squares.
            noise = window * (np.finfo(float).eps * np.abs(moments.mean_x)) ** 2
            slope = np.where(moments.xx > noise, moments.xy / moments.xx, np.nan)
        beta[window - 1 :] = slope
        alpha[window - 1 :] = moments.mean_y - slope * moments.mean_x
    frame = pl.DataFrame({"alpha": alpha, "beta": beta})
    return frame.with_columns(pl.all().fill_nan(None))


def total_least_squares(y: ArrayLike, x: ArrayLike) -> TlsFit:
    """Fit the line that minimises perpendicular distances: errors in both series.

    Formula
    -------
    beta = (s_yy − s_xx + sqrt((s_yy − s_xx)² + 4·s_xy²)) / (2·s_xy),  alpha = ȳ − beta·x̄,
    with s the centred sums of products. The reverse regression gives exactly 1/beta.

    Units
    -----
    alpha and residuals in units of y; beta in units of y per unit of x. The result depends on the
    relative scale of the two series: use log prices, or series of comparable error variance.

    Parameters
    ----------
    y, x : array of shape (n,)
        Levels on one clock.

    Returns
    -------
    TlsFit
        Undefined if n < 3 or the two series are uncorrelated (no direction is preferred).

    Raises
    ------
    ValueError
        If the lengths differ, or a value is missing or infinite.

    References
    ----------
    Golub and Van Loan (1980), SIAM J. Numer. Anal. 17(6); Deming regression with ratio 1.

    Examples
    --------
    >>> y, x = [3.0, 5.0, 7.2, 8.8], [1.0, 2.0, 3.0, 4.0]
    >>> forward, reverse = total_least_squares(y, x), total_least_squares(x, y)
    >>> round(forward.beta * reverse.beta, 12)
    1.0
    """
    left, right = as_pair(y, x)
    n = len(left)
    dy, dx = left - left.mean(), right - right.mean()
    syy, sxx, sxy = dy @ dy, dx @ dx, dx @ dy
    reason = None
    if n < 3:
        reason = f"{n} observations; at least 3 are needed"
    elif abs(sxy) <= 1e-12 * np.sqrt(sxx * syy):
        reason = "y and x are uncorrelated or constant, so no direction is preferred"
    if reason is not None:
        return TlsFit(np.nan, np.nan, np.full(n, np.nan), n, False, reason)
    difference = syy - sxx
    root = np.hypot(difference, 2.0 * sxy)
    # Two forms of one root: pick the one whose sum does not cancel.
    beta = (difference + root) / (2.0 * sxy) if difference > 0 else 2.0 * sxy / (root - difference)
    residuals = dy - beta * dx
    alpha = left.mean() - beta * right.mean()
    return TlsFit(float(alpha), float(beta), residuals, n)


def dynamic_ols(
    y: ArrayLike,
    x: ArrayLike,
    *,
    leads: int | None = None,
    lags: int | None = None,
    method: str = "bic",
) -> DolsFit:
    """Estimate a cointegrating vector by dynamic OLS (Stock and Watson), via arch.

    Formula
    -------
    y_t = alpha + beta·x_t + Σ_{j=−lags}^{leads} δ_j·Δx_{t+j} + e_t; the standard error uses a
    Bartlett-kernel long-run variance of e.

    Units
    -----
    alpha and residuals in units of y; beta in units of y per unit of x; leads, lags in bars.

    Parameters
    ----------
    y, x : array of shape (n,)
        Levels on one clock, both integrated of order one.
    leads, lags : int, optional
        Numbers of leads and lags of Δx; None lets ``method`` choose.
    method : {"aic", "bic", "hqic"}
        Criterion for the choice.

    Returns
    -------
    DolsFit
        ``residuals`` are y − alpha − beta·x for all n observations. Undefined if n < 20 or x is
        constant.

    Raises
    ------
    ValueError
        If the lengths differ, a value is missing or infinite, or ``method`` is unknown.

    References
    ----------
    Stock and Watson (1993), Econometrica 61(4); Saikkonen (1992), Econometric Theory 8(1).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> x = np.cumsum(rng.normal(size=300))
    >>> fit = dynamic_ols(2.0 + 0.5 * x + rng.normal(size=300), x, leads=1, lags=1)
    >>> abs(fit.beta - 0.5) < 3 * fit.beta_stderr
    True
    """
    left, right = as_pair(y, x)
    require_option(method, "method", ("aic", "bic", "hqic"))
    n = len(left)
    reason = None
    if n < 20:
        reason = f"{n} observations; leads and lags need at least 20"
    elif np.ptp(right) == 0.0:
        reason = "x is constant, so no slope exists"
    if reason is not None:
        nan = float("nan")
        return DolsFit(nan, nan, nan, np.full(n, np.nan), 0, 0, n, False, reason)
    model: Callable[..., Any] = DynamicOLS  # its literal types are narrower than a checked string
    fit = model(left, right, trend="c", leads=leads, lags=lags, method=method).fit()
    beta, alpha = (float(value) for value in fit.params)
    return DolsFit(
        alpha=alpha,
        beta=beta,
        beta_stderr=float(fit.std_errors.iloc[0]),
        residuals=left - alpha - beta * right,
        leads=int(fit.leads),
        lags=int(fit.lags),
        n=n,
    )


def _no_ols(n: int, reason: str) -> OlsFit:
    nan = float("nan")
    return OlsFit(nan, nan, nan, nan, np.full(n, np.nan), n, False, reason)
