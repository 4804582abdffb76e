"""What only the trades can show: asynchronous correlation, lead and lag, volume by price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_pipeline import analytics
from quant_pipeline.research.outcome import Undefined, attempt, finite

EPPS_INTERVALS_S = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 300)
"""Sampling intervals of the Epps curve, seconds."""

_LAG_STEP_S = 0.2
_MAX_LAGS = 20
_MIN_TRADES = 30
FEWEST_RETURNS = 60

Tape = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]
"""Stamps in microseconds and prices of one symbol's trades."""


@dataclass(frozen=True)
class Timing:
    """How the two legs move together when their trades are taken as they came.

    Attributes:
        epps: correlation by sampling interval (`interval` in seconds), previous-tick bars, and
            `hayashi_yoshida` on trades thinned to the last of each interval (null below
            60 returns, where it is noise).
        hayashi_yoshida: from every trade. Bid-ask bounce inflates both variances, so that this one
            reads low; thinning trades removes the bounce.
        cross_correlation: of returns on a clock of `lag_step_s`; positive lag: the x leg first.
        lag_step_s: seconds per lag.
        lead_lag: where the Hayashi–Yoshida contrast is largest.
    """

    epps: pl.DataFrame | Undefined
    hayashi_yoshida: analytics.HayashiYoshida | Undefined
    cross_correlation: analytics.CrossCorrelation | Undefined
    lag_step_s: float
    lead_lag: analytics.LeadLag | Undefined


def measure(ticks: Mapping[str, pl.DataFrame]) -> Timing | Undefined:
    """Asynchronous statistics of the trades of legs `y` and `x`."""
    fewest = min(frame.height for frame in ticks.values())
    if fewest < _MIN_TRADES:
        return Undefined(f"One leg has {fewest} trades; timing is given at least {_MIN_TRADES}.")
    arrays = [
        (ticks[leg]["ts"].dt.epoch("us").to_numpy(), ticks[leg]["price"].to_numpy())
        for leg in ("y", "x")
    ]
    (ts_y, price_y), (ts_x, price_x) = arrays
    span_s = (min(ts_y[-1], ts_x[-1]) - max(ts_y[0], ts_x[0])) / 1e6
    if span_s <= 0:
        return Undefined("The trades of the two legs do not overlap in time.")
    intervals = [s for s in EPPS_INTERVALS_S if span_s / s >= 10]
    lags = np.arange(-_MAX_LAGS, _MAX_LAGS + 1) * round(_LAG_STEP_S * 1e6)
    return Timing(
        epps=_epps(*arrays, intervals_s=intervals),
        hayashi_yoshida=attempt(analytics.hayashi_yoshida, ts_y, price_y, ts_x, price_x),
        cross_correlation=_cross_correlation(*arrays),
        lag_step_s=_LAG_STEP_S,
        lead_lag=attempt(analytics.lead_lag, ts_y, price_y, ts_x, price_x, lags),
    )


def _epps(y: Tape, x: Tape, *, intervals_s: Sequence[float]) -> pl.DataFrame | Undefined:
    curve = attempt(analytics.epps_curve, *y, *x, [s * 1e6 for s in intervals_s])
    if isinstance(curve, Undefined):
        return curve
    if not curve["correlation"].is_finite().any():
        return Undefined("A leg’s price did not change while both were traded.")
    thinned = [thinned_hayashi_yoshida(y, x, interval_s=s) for s in intervals_s]
    return curve.with_columns(
        pl.col("interval") / 1e6, pl.Series("hayashi_yoshida", thinned, dtype=pl.Float64)
    )


def thinned_hayashi_yoshida(y: Tape, x: Tape, *, interval_s: float) -> float | None:
    """The estimate from the last trade of each interval, or None below 60 returns."""
    step = round(interval_s * 1e6)
    thinned = [(ts[last], price[last]) for ts, price in (y, x) for last in (_last_of(ts, step),)]
    result = attempt(analytics.hayashi_yoshida, *thinned[0], *thinned[1])
    if isinstance(result, Undefined) or min(result.n_a, result.n_b) < FEWEST_RETURNS:
        return None
    return finite(result.correlation)


def _last_of(ts: npt.NDArray[np.int64], step: int) -> npt.NDArray[np.bool_]:
    return np.append(np.diff(ts // step) != 0, True)


def _cross_correlation(y: Tape, x: Tape) -> analytics.CrossCorrelation | Undefined:
    (ts_y, price_y), (ts_x, price_x) = y, x
    step = round(_LAG_STEP_S * 1e6)
    clock = analytics.regular_clock(int(max(ts_y[0], ts_x[0])), int(min(ts_y[-1], ts_x[-1])), step)
    if len(clock) < 4 * _MAX_LAGS:
        return Undefined(f"{len(clock)} steps of {_LAG_STEP_S:g} s are too few for lags.")
    aligned = analytics.align({"y": (ts_y, price_y), "x": (ts_x, price_x)}, clock)
    return_y, return_x = (np.diff(np.log(aligned.frame[leg].to_numpy())) for leg in ("y", "x"))
    return attempt(analytics.cross_correlation, return_y, return_x, _MAX_LAGS)


def volume_profile(ticks: pl.DataFrame, bins: int = 80) -> analytics.VolumeProfile | Undefined:
    """Volume by price in about `bins` bins of a round height."""
    if ticks.is_empty():
        return Undefined("There are no trades.")
    low, high = ticks["price"].min(), ticks["price"].max()
    assert isinstance(low, float)
    assert isinstance(high, float)
    return attempt(
        analytics.volume_profile,
        ticks["price"].to_numpy(),
        ticks["quantity"].to_numpy(),
        ticks["is_buyer_maker"].to_numpy(),
        round_step((high - low) / bins or high * 1e-4),
    )


def round_step(size: float) -> float:
    """The smallest of 1, 2, 2.5 or 5 times a power of ten that is at least `size`.

    Example:
        >>> round_step(3.7)
        5.0
    """
    power = 10.0 ** np.floor(np.log10(size))
    return float(
        next(m * power for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * power >= size * (1 - 1e-12))
    )
