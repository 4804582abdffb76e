"""The spread of a pair and its distance from the mean in standard deviations."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from quant_pipeline.analytics._inputs import (
    FloatArray,
    as_pair,
    as_series,
    require_at_least,
)
from quant_pipeline.analytics._rolling import window_moments


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
