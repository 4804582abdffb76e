"""Returns, and series of ticks put on one clock by their previous value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from quant_pipeline.analytics._inputs import (
    FloatArray,
    as_series,
    require_at_least,
    require_equal_length,
    require_positive,
)

__all__ = [
    "Alignment",
    "align",
    "log_returns",
    "regular_clock",
    "resample",
    "simple_returns",
]

TimeArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """Series on one clock, with the share of points that repeat an older tick.

    ``frame`` has the column ``ts`` and one column a series, null before its first tick.
    ``stale_share`` is, per series, the share of clock points (after its first tick) at which no
    tick arrived since the previous clock point. Correlations of stale points are biased to zero.
    """

    frame: pl.DataFrame
    stale_share: dict[str, float]
    n: int


def log_returns(price: ArrayLike) -> FloatArray:
    """Logarithmic returns of a price.

    Formula
    -------
    r_t = ln p_t − ln p_{t−1}.

    Units
    -----
    Natural-log units per bar (dimensionless); they add up over time.

    Parameters
    ----------
    price : array of shape (n,)
        Positive prices; missing ones make the two returns that touch them NaN.

    Returns
    -------
    array of shape (n − 1,), empty if n < 2

    Raises
    ------
    ValueError
        If a price is zero or negative.

    References
    ----------
    Campbell, Lo and MacKinlay (1997), The Econometrics of Financial Markets, §1.4.

    Examples
    --------
    >>> log_returns([100.0, 105.0, 105.0]).round(6).tolist()
    [0.04879, 0.0]
    """
    series = as_series(price, "price", allow_nan=True)
    require_positive(series, "price")
    return np.diff(np.log(series))


def simple_returns(price: ArrayLike) -> FloatArray:
    """Simple (arithmetic) returns of a price.

    Formula
    -------
    R_t = p_t / p_{t−1} − 1.

    Units
    -----
    Fraction per bar (0.01 is one percent); they add up over the legs of a portfolio.

    Parameters
    ----------
    price : array of shape (n,)
        Positive prices; missing ones make the two returns that touch them NaN.

    Returns
    -------
    array of shape (n − 1,), empty if n < 2

    Raises
    ------
    ValueError
        If a price is zero or negative.

    References
    ----------
    Campbell, Lo and MacKinlay (1997), The Econometrics of Financial Markets, §1.4.

    Examples
    --------
    >>> simple_returns([100.0, 105.0, 84.0]).round(6).tolist()
    [0.05, -0.2]
    """
    series = as_series(price, "price", allow_nan=True)
    require_positive(series, "price")
    return np.asarray(series[1:] / series[:-1] - 1.0)


def regular_clock(start: int, stop: int, step: int) -> TimeArray:
    """Equally spaced clock points that are multiples of ``step``.

    Formula
    -------
    The multiples of step in [start, stop].

    Units
    -----
    That of the time stamps: usually integer nanoseconds since 1970 UTC.

    Parameters
    ----------
    start, stop : int
        First and last admissible point.
    step : int
        Spacing, at least 1.

    Returns
    -------
    int64 array

    Raises
    ------
    ValueError
        If ``step`` is below 1.

    References
    ----------
    Barndorff-Nielsen et al. (2011), J. Econometrics 162: calendar-time sampling.

    Examples
    --------
    >>> regular_clock(3, 20, 5).tolist()
    [5, 10, 15, 20]
    """
    require_at_least(step, "step", 1)
    return np.arange(-(-start // step) * step, stop + 1, step, dtype=np.int64)


def align(series: Mapping[str, tuple[ArrayLike, ArrayLike]], clock: ArrayLike) -> Alignment:
    """Put series of ticks on one clock by previous tick, reporting how stale the result is.

    Formula
    -------
    value(c) = the last value stamped at or before c.

    Units
    -----
    Values keep their units; stale_share is a share 0–1; stamps and clock share one unit.

    Parameters
    ----------
    series : mapping of name to (ts, value)
        Stamps (integers or datetime64) in ascending order, equally many finite values.
    clock : array of shape (m,)
        Ascending clock points in the unit of the stamps; see ``regular_clock``.

    Returns
    -------
    Alignment
        stale_share is NaN for a series without a tick before the clock's end.

    Raises
    ------
    ValueError
        If stamps are not ascending, lengths differ, a value is missing, or a series is called ts.

    References
    ----------
    Dacorogna et al. (2001), An Introduction to High-Frequency Finance, §2.3; Epps (1979), JASA 74,
    for the bias of stale points.

    Examples
    --------
    >>> ticks = {"A": ([1, 4], [10.0, 11.0]), "B": ([2, 3], [5.0, 6.0])}
    >>> result = align(ticks, clock=[2, 3, 4, 5])
    >>> result.frame["A"].to_list(), result.frame["B"].to_list()
    ([10.0, 10.0, 11.0, 11.0], [5.0, 6.0, 6.0, 6.0])
    >>> result.stale_share
    {'A': 0.5, 'B': 0.5}
    """
    points = _stamps(clock, "clock")
    columns: dict[str, pl.Series] = {"ts": pl.Series(np.asarray(clock))}
    stale_share: dict[str, float] = {}
    for name, (ts, value) in series.items():
        if name == "ts":
            raise ValueError("a series is called 'ts', the name of the clock column; rename it")
        stamps, values = _stamps(ts, f"ts of {name}"), as_series(value, f"value of {name}")
        require_equal_length(stamps.astype(float), values, f"ts of {name}", f"value of {name}")
        last = np.searchsorted(stamps, points, side="right") - 1
        begun = last >= 0
        aligned = np.full(len(points), np.nan)
        aligned[begun] = values[last[begun]]
        columns[name] = pl.Series(aligned).fill_nan(None)
        # The first point that sees a tick is fresh by definition.
        fresh = np.diff(last[begun], prepend=-1) > 0
        stale_share[name] = float(1.0 - fresh.mean()) if begun.any() else float("nan")
    return Alignment(pl.DataFrame(columns), stale_share, len(points))


def resample(ts: ArrayLike, price: ArrayLike, step: int) -> pl.DataFrame:
    """Aggregate ticks into open, high, low, close bars of equal length.

    Formula
    -------
    Bar k holds the ticks with k·step ≤ ts < (k+1)·step; bars without a tick do not appear.

    Units
    -----
    ts (the bar's start) and step in the unit of the stamps; prices in their own; n in ticks.

    Parameters
    ----------
    ts : array of shape (n,)
        Ascending stamps (integers or datetime64).
    price : array of shape (n,)
        Finite prices.
    step : int
        Length of a bar, at least 1.

    Returns
    -------
    polars.DataFrame
        Columns ``ts, open, high, low, close, n``, one row a bar that has ticks.

    Raises
    ------
    ValueError
        If stamps are not ascending, lengths differ, a price is missing, or ``step`` is below 1.

    References
    ----------
    Dacorogna et al. (2001), An Introduction to High-Frequency Finance, §2.3.

    Examples
    --------
    >>> resample([0, 3, 7, 25], [1.0, 3.0, 2.0, 5.0], step=10).rows()
    [(0, 1.0, 3.0, 1.0, 2.0, 3), (20, 5.0, 5.0, 5.0, 5.0, 1)]
    """
    stamps, prices = _stamps(ts, "ts"), as_series(price, "price")
    require_equal_length(stamps.astype(float), prices, "ts", "price")
    require_at_least(step, "step", 1)
    bars = stamps // step
    first = np.flatnonzero(np.diff(bars, prepend=bars[0] - 1)) if len(bars) else np.empty(0, int)
    if not len(first):
        empty = {"ts": pl.Int64, "open": pl.Float64, "high": pl.Float64}
        return pl.DataFrame(schema=empty | {"low": pl.Float64, "close": pl.Float64, "n": pl.Int64})
    last = np.append(first[1:], len(bars)) - 1
    return pl.DataFrame(
        {
            "ts": bars[first] * step,
            "open": prices[first],
            "high": np.maximum.reduceat(prices, first),
            "low": np.minimum.reduceat(prices, first),
            "close": prices[last],
            "n": last - first + 1,
        }
    )


def _stamps(values: ArrayLike, name: str) -> TimeArray:
    """Ascending integer stamps, exact: nanoseconds since 1970 do not fit a float."""
    array = np.asarray(values)
    if array.ndim != 1 or (array.dtype.kind not in "iuM" and array.size):
        raise ValueError(
            f"{name} must be a one-dimensional array of integers or datetime64, got "
            f"{array.dtype} of shape {array.shape}"
        )
    if array.dtype.kind == "M":
        array = array.astype("datetime64[ns]")
    stamps = array.astype(np.int64)
    if (np.diff(stamps) < 0).any():
        at = int(np.argmax(np.diff(stamps) < 0)) + 1
        raise ValueError(f"{name} goes back at index {at}; sort the ticks by time first")
    return stamps
