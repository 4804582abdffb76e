"""Ordinary least squares of one series on another, whole and rolling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from quant_pipeline.analytics._inputs import (
    FloatArray,
    as_pair,
    require_at_least,
)
from quant_pipeline.analytics._rolling import window_moments


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


def _no_ols(n: int, reason: str) -> OlsFit:
    nan = float("nan")
    return OlsFit(nan, nan, nan, nan, np.full(n, np.nan), n, False, reason)
