"""Correlations of ticks sampled on clocks of several speeds, and the Epps curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import ArrayLike
from scipy.special import ndtri

from quant_pipeline.analytics._inputs import FloatArray, as_series, require_at_least
from quant_pipeline.analytics._tick_inputs import (
    TimeArray,
    duration,
    open_unit_interval,
    positive,
    positive_number,
    same_length,
    stamps,
)

_SCHEMA = {
    "interval": pl.Float64,
    "x": pl.String,
    "y": pl.String,
    "correlation": pl.Float64,
    "lower": pl.Float64,
    "upper": pl.Float64,
    "n": pl.Int64,
    "stale_share_x": pl.Float64,
    "stale_share_y": pl.Float64,
    "reason": pl.String,
}


def timeframe_correlations(
    ticks: Mapping[str, tuple[ArrayLike, ArrayLike]],
    intervals: Sequence[float],
    *,
    confidence: float = 0.95,
) -> pl.DataFrame:
    """Correlation of log returns of every pair of symbols on every one of several timeframes.

    Formula
    -------
    Pearson correlation of log returns of the closes of calendar buckets
    [k·interval, (k+1)·interval). A bucket without a tick repeats the previous close (previous-tick
    sampling).

    Units
    -----
    ``interval`` in the unit of the stamps; correlations dimensionless; stale shares 0–1.

    Parameters
    ----------
    ticks : mapping of symbol to (stamps, prices)
        Stamps non-decreasing and in one unit for all; datetime64 counts as nanoseconds.
        Prices positive; ticks whose price is NaN are left out.
    intervals : sequence of float
        Bucket lengths in the unit of the stamps (1_000 is a second of millisecond stamps).
    confidence : float
        Level of the interval around each correlation.

    Returns
    -------
    polars.DataFrame, one row per interval and pair
        ``interval, x, y, correlation, lower, upper, n, stale_share_x, stale_share_y, reason``.
        ``n`` counts returns. ``lower`` and ``upper`` are Fisher's interval, which assumes
        independent normal returns: too narrow for real ones. ``stale_share_*`` is the share of
        buckets in which that symbol did not trade; the larger, the more the correlation is biased
        to zero (Epps). ``reason`` is null where the correlation is defined. To see one timeframe as
        a matrix: ``frame.filter(pl.col("interval") == 60).pivot("y", index="x",
        values="correlation")``.

    Raises
    ------
    ValueError
        If fewer than two symbols are given, stamps go back, or a price or interval is not positive.

    References
    ----------
    Dacorogna et al. (2001), "An Introduction to High-Frequency Finance", §2.3 (previous tick);
    Fisher, R. A. (1921), Metron 1, 3–32 (the interval).

    Examples
    --------
    >>> a = ([0, 1, 2, 3, 4, 5], [10, 11, 10, 12, 11, 13])
    >>> b = ([0, 2, 3, 4, 5], [20, 21, 23, 22, 25])
    >>> frame = timeframe_correlations({"a": a, "b": b}, [1, 2])
    >>> frame.select("interval", pl.col("correlation").round(4), "n", "stale_share_y").rows()
    [(1.0, 0.6825, 5, 0.16666666666666666), (2.0, None, 2, 0.0)]
    """
    require_at_least(len(ticks), "the number of symbols", 2)
    open_unit_interval(confidence, "confidence")
    series = {symbol: _series(symbol, *pair) for symbol, pair in ticks.items()}
    rows: list[tuple[object, ...]] = []
    for interval in intervals:
        positive_number(interval, "interval")
        closes = closes_on_clock(list(series.values()), interval)
        for (x, i), (y, j) in combinations(zip(series, closes, strict=True), 2):
            rows.append((float(interval), x, y, *_correlation_row(i, j, confidence)))
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row").fill_nan(None)


def epps_curve(
    ts_a: ArrayLike,
    price_a: ArrayLike,
    ts_b: ArrayLike,
    price_b: ArrayLike,
    intervals: Sequence[float],
    *,
    confidence: float = 0.95,
) -> pl.DataFrame:
    """How the correlation of two traded prices fades as they are sampled faster.

    Formula
    -------
    As ``timeframe_correlations``, one point an interval.

    Units
    -----
    ``interval`` in the unit of the stamps; correlations dimensionless; stale shares 0–1.

    Parameters
    ----------
    ts_a, price_a, ts_b, price_b : array
        As for ``hayashi_yoshida``, whose estimate is what the curve would reach without the
        fading.
    intervals, confidence
        As for ``timeframe_correlations``.

    Returns
    -------
    polars.DataFrame, one row per interval
        ``interval, correlation, lower, upper, n, stale_share_a, stale_share_b, reason``, as
        ``timeframe_correlations`` explains them.

    Raises
    ------
    ValueError
        As ``timeframe_correlations``.

    References
    ----------
    Epps, T. W. (1979), "Comovements in stock prices in the very short run", Journal of the
    American Statistical Association 74(366), 291–298.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(7)
    >>> price = 100 * np.exp(np.cumsum(rng.normal(0, 1e-4, 36_000)))
    >>> a, b = (np.sort(rng.choice(36_000, 4_000, replace=False)) for _ in range(2))
    >>> epps_curve(a, price[a], b, price[b], [5, 30, 300])["correlation"].round(2).to_list()
    [0.24, 0.71, 0.97]
    """
    pair = {"a": (ts_a, price_a), "b": (ts_b, price_b)}
    return (
        timeframe_correlations(pair, intervals, confidence=confidence)
        .drop("x", "y")
        .rename({"stale_share_x": "stale_share_a", "stale_share_y": "stale_share_b"})
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Closes:
    log_close: FloatArray
    stale_share: float


def _series(symbol: str, ts: ArrayLike, price: ArrayLike) -> tuple[TimeArray, FloatArray]:
    times = stamps(ts, f"{symbol} stamps")
    prices = as_series(price, f"{symbol} prices", allow_nan=True)
    same_length(**{f"{symbol} stamps": times, f"{symbol} prices": prices})
    positive(prices, f"{symbol} prices", missing_allowed=True)
    seen = ~np.isnan(prices)
    return times[seen], np.log(prices[seen])


def closes_on_clock(
    series: Sequence[tuple[TimeArray, FloatArray]], interval: float
) -> list[_Closes]:
    """Closes of the calendar buckets that all series reach, and the share without a tick.

    The first bucket is the last of the series' first ones, the last bucket the first of their
    last ones; no series is extended beyond its own ticks.

    >>> import numpy as np
    >>> [closes] = closes_on_clock([(np.array([0, 1, 31]), np.array([1.0, 2.0, 3.0]))], 10)
    >>> closes.log_close, closes.stale_share
    (array([2., 2., 2., 3.]), 0.5)
    """
    if any(len(times) == 0 for times, _ in series):
        return [_Closes(np.empty(0), np.nan) for _ in series]
    first = max(int(times[0] // duration(interval, times)) for times, _ in series)
    last = min(int(times[-1] // duration(interval, times)) for times, _ in series)
    out = []
    for times, log_price in series:
        step = duration(interval, times)
        # A bucket's close is the last tick before the next bucket begins.
        edges = np.arange(first, last + 2) * step
        ticks_before = np.searchsorted(times, edges, side="left")
        close = log_price[ticks_before[1:] - 1] if last >= first else np.empty(0)
        stale = float((np.diff(ticks_before) == 0).mean()) if len(close) else np.nan
        out.append(_Closes(close, stale))
    return out


def _correlation_row(x: _Closes, y: _Closes, confidence: float) -> tuple[object, ...]:
    returns_x, returns_y = np.diff(x.log_close), np.diff(y.log_close)
    n = len(returns_x)
    correlation = lower = upper = np.nan
    reason = None
    if n < 3:
        reason = "fewer than three returns"
    elif np.ptp(returns_x) == 0 or np.ptp(returns_y) == 0:
        reason = "a series does not move"
    else:
        correlation = float(np.corrcoef(returns_x, returns_y)[0, 1])
        lower, upper = fisher_interval(correlation, n, confidence)
    return correlation, lower, upper, n, x.stale_share, y.stale_share, reason


def fisher_interval(correlation: float, n: int, confidence: float) -> tuple[float, float]:
    """Fisher's interval for a correlation of ``n`` independent normal pairs; NaN for n ≤ 3.

    >>> low, high = fisher_interval(0.5, 103, 0.95)
    >>> round(low, 4), round(high, 4)
    (0.3393, 0.6323)
    """
    if n <= 3:
        return np.nan, np.nan
    if abs(correlation) >= 1.0:
        return correlation, correlation
    half = float(ndtri(0.5 + confidence / 2)) / np.sqrt(n - 3)
    centre = np.arctanh(correlation)
    return float(np.tanh(centre - half)), float(np.tanh(centre + half))
