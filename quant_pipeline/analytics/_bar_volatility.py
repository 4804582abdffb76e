"""Volatility from bars: how much a price moves in a year, by six estimators and EWMA."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from quant_pipeline.analytics._inputs import (
    FloatArray,
    as_series,
    require_at_least,
    require_equal_length,
    require_option,
    require_positive,
)
from quant_pipeline.analytics._rolling import window_moments

SECONDS_PER_YEAR = 365 * 86_400
#: Weight of Yang and Zhang (2000), eq. 10, that minimises the variance of their estimator.
YANG_ZHANG_ALPHA = 1.34


def periods_per_year(bar_seconds: float) -> float:
    """Bars in a year of a market that never closes.

    Formula
    -------
    365·86,400 / bar_seconds.

    Units
    -----
    bar_seconds in seconds; the result in bars per year. An exchange with closing hours has fewer:
    252 daily bars, not 365.

    Parameters
    ----------
    bar_seconds : float
        Length of one bar, above 0.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If ``bar_seconds`` is not positive.

    References
    ----------
    The convention of 24/7 markets; leap days are ignored.

    Examples
    --------
    >>> periods_per_year(60)
    525600.0
    """
    if not bar_seconds > 0:
        raise ValueError(f"bar_seconds is {bar_seconds}; it must be positive")
    return SECONDS_PER_YEAR / bar_seconds


def volatility(
    open: ArrayLike,  # noqa: A002 - the field's own name
    high: ArrayLike,
    low: ArrayLike,
    close: ArrayLike,
    *,
    estimator: str,
    window: int,
    periods_per_year: float,
) -> FloatArray:
    """Annualised volatility over a trailing window of bars.

    Formula
    -------
    With O, H, L, C the logs of a bar's prices, C' the previous close, n = window and N =
    periods_per_year, the square root of N times:
    close_to_close: the variance of C − C' (n−1 returns, mean removed);
    parkinson: mean of (H−L)² / (4 ln 2);
    garman_klass: mean of ½(H−L)² − (2 ln 2 − 1)(C−O)²;
    garman_klass_yang_zhang: the same plus the mean of (O−C')², for bars with opening gaps;
    rogers_satchell: mean of (H−C)(H−O) + (L−C)(L−O), unaffected by drift;
    yang_zhang: Var(O−C') + k·Var(C−O) + (1−k)·rogers_satchell,
    k = 0.34 / (1.34 + (n+1)/(n−1)), unaffected by drift and gaps.

    Units
    -----
    Standard deviation of log returns per square-root year (0.5 is 50 %); window in bars.

    Parameters
    ----------
    open, high, low, close : array of shape (n,)
        Positive prices of equally long bars; a bar with a missing price makes every window that
        needs it NaN.
    estimator : str
        One of the names above.
    window : int
        Trailing bars, at least 3. A close-to-close window of n bars holds n−1 returns, as in R's
        TTR; the estimators that need the previous close start one bar later than the others.
    periods_per_year : float
        Bars in a year by the bars' own clock; see ``periods_per_year``.

    Returns
    -------
    array of shape (n,)
        NaN until the window is full.

    Raises
    ------
    ValueError
        If lengths differ, a price is not positive, a high lies below its low, the estimator is
        unknown, or ``window`` is below 3.

    References
    ----------
    Parkinson (1980), J. Business 53; Garman and Klass (1980), J. Business 53; Rogers and Satchell
    (1991), Annals of Applied Probability 1; Yang and Zhang (2000), J. Business 73. Conventions as
    R's TTR::volatility.

    Examples
    --------
    >>> o, h, l, c = [10, 11, 12, 11], [11, 12, 12, 12], [10, 10, 11, 11], [11, 12, 11, 12]
    >>> volatility(o, h, l, c, estimator="parkinson", window=3, periods_per_year=365).round(4)
    array([   nan,    nan, 1.4797, 1.4571])
    """
    require_option(estimator, "estimator", ESTIMATORS)
    require_at_least(window, "window", 3)
    if not periods_per_year > 0:
        raise ValueError(f"periods_per_year is {periods_per_year}; it must be positive")
    o, h, low_, c = _log_prices(open, high, low, close)
    variance = ESTIMATORS[estimator](o, h, low_, c, window)
    with np.errstate(invalid="ignore"):
        return np.sqrt(periods_per_year * variance)


def ewma_volatility(
    close: ArrayLike, *, decay: float = 0.94, periods_per_year: float
) -> FloatArray:
    """Annualised volatility with exponentially fading memory (RiskMetrics).

    Formula
    -------
    σ²_t = decay·σ²_{t−1} + (1 − decay)·r²_t on log returns r with mean taken as zero, begun at
    σ²_1 = r²_1; annualised by sqrt(periods_per_year).

    Units
    -----
    Standard deviation of log returns per square-root year (0.5 is 50 %). The half-life of the
    weights is ln ½ / ln decay bars.

    Parameters
    ----------
    close : array of shape (n,)
        Positive, finite prices of equally long bars.
    decay : float
        Weight of the past, between 0 and 1.
    periods_per_year : float
        Bars in a year by the bars' own clock; see ``periods_per_year``.

    Returns
    -------
    array of shape (n,)
        The first is NaN: one price has no return.

    Raises
    ------
    ValueError
        If a price is missing or not positive, or ``decay`` is not within (0, 1).

    References
    ----------
    J.P. Morgan/Reuters (1996), RiskMetrics Technical Document, 4th ed., §5.2.

    Examples
    --------
    >>> ewma_volatility([100.0, 110.0, 100.0], decay=0.5, periods_per_year=1).round(6)
    array([    nan, 0.09531, 0.09531])
    """
    prices = as_series(close, "close")
    require_positive(prices, "close")
    if not 0.0 < decay < 1.0:
        raise ValueError(f"decay is {decay}; it must lie between 0 and 1, such as 0.94")
    squares = np.diff(np.log(prices)) ** 2
    result = np.full(len(prices), np.nan)
    variance = squares[0] if len(squares) else np.nan
    for t, square in enumerate(squares.tolist(), start=1):
        variance = decay * variance + (1.0 - decay) * square
        result[t] = variance
    return np.sqrt(periods_per_year * result)


def _close_to_close(
    o: FloatArray, h: FloatArray, low: FloatArray, c: FloatArray, window: int
) -> FloatArray:
    return _variance(_lagged_difference(c, c), window - 1)


def _parkinson(
    o: FloatArray, h: FloatArray, low: FloatArray, c: FloatArray, window: int
) -> FloatArray:
    return _mean((h - low) ** 2 / (4.0 * np.log(2.0)), window)


def _garman_klass_terms(o: FloatArray, h: FloatArray, low: FloatArray, c: FloatArray) -> FloatArray:
    return np.asarray(0.5 * (h - low) ** 2 - (2.0 * np.log(2.0) - 1.0) * (c - o) ** 2)


def _garman_klass(
    o: FloatArray, h: FloatArray, low: FloatArray, c: FloatArray, window: int
) -> FloatArray:
    return _mean(_garman_klass_terms(o, h, low, c), window)


def _garman_klass_yang_zhang(
    o: FloatArray, h: FloatArray, low: FloatArray, c: FloatArray, window: int
) -> FloatArray:
    gap = _lagged_difference(o, c)
    return _mean(gap * gap + _garman_klass_terms(o, h, low, c), window)


def _rogers_satchell(
    o: FloatArray, h: FloatArray, low: FloatArray, c: FloatArray, window: int
) -> FloatArray:
    return _mean((h - c) * (h - o) + (low - c) * (low - o), window)


def _yang_zhang(
    o: FloatArray, h: FloatArray, low: FloatArray, c: FloatArray, window: int
) -> FloatArray:
    k = (YANG_ZHANG_ALPHA - 1.0) / (YANG_ZHANG_ALPHA + (window + 1.0) / (window - 1.0))
    overnight = _variance(_lagged_difference(o, c), window)
    within = _variance(c - o, window)
    return overnight + k * within + (1.0 - k) * _rogers_satchell(o, h, low, c, window)


_Estimator = Callable[[FloatArray, FloatArray, FloatArray, FloatArray, int], FloatArray]
#: Estimators that ``volatility`` accepts, by name.
ESTIMATORS: dict[str, _Estimator] = {
    "close_to_close": _close_to_close,
    "parkinson": _parkinson,
    "garman_klass": _garman_klass,
    "garman_klass_yang_zhang": _garman_klass_yang_zhang,
    "rogers_satchell": _rogers_satchell,
    "yang_zhang": _yang_zhang,
}


def _log_prices(
    o: ArrayLike, h: ArrayLike, low: ArrayLike, c: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    named = {"open": o, "high": h, "low": low, "close": c}
    prices = {name: as_series(values, name, allow_nan=True) for name, values in named.items()}
    for name, series in prices.items():
        require_equal_length(series, prices["close"], name, "close")
        require_positive(series, name)
    if (prices["high"] < prices["low"]).any():
        at = int(np.argmax(prices["high"] < prices["low"]))
        raise ValueError(
            f"high {prices['high'][at]} lies below low {prices['low'][at]} at index {at}; "
            "check the order of the arguments: open, high, low, close"
        )
    logs = [np.log(prices[name]) for name in named]
    return logs[0], logs[1], logs[2], logs[3]


def _lagged_difference(later: FloatArray, earlier: FloatArray) -> FloatArray:
    """``later[t] − earlier[t−1]``, NaN at the first bar."""
    return np.concatenate([[np.nan], later[1:] - earlier[:-1]])[: len(later)]


def _mean(values: FloatArray, window: int) -> FloatArray:
    return _rolled(values, window, "mean_y", 1.0)


def _variance(values: FloatArray, window: int) -> FloatArray:
    return _rolled(values, window, "yy", 1.0 / (window - 1))


def _rolled(values: FloatArray, window: int, moment: str, scale: float) -> FloatArray:
    result = np.full(len(values), np.nan)
    if len(values) >= window:
        result[window - 1 :] = getattr(window_moments(values, values, window), moment) * scale
    return result
