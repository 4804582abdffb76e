"""The result that every estimator of the effective spread returns, and the bars they take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from quant_pipeline.analytics._inputs import FloatArray
from quant_pipeline.analytics._tick_inputs import positive, vectors


@dataclass(frozen=True, slots=True)
class SpreadEstimate:
    """An estimate of the effective spread as a share of the price: 0.01 is 1 %.

    Each of these estimators estimates a *squared* spread (Corwin–Schultz: a spread that may be
    negative), and noise can push it below zero. ``signed`` is the root with that sign kept, and is
    what to average over many assets or days, since dropping the negatives biases the mean upwards.
    ``spread`` is the estimate for one asset: NaN with a ``reason`` where ``signed`` is not
    positive, never zero, so that what could not be measured is not taken for cheap (a NaN sorts
    last). ``n`` counts the pairs of consecutive bars that entered. R's bidask reports the
    magnitude of ``signed`` unless asked for the sign.
    """

    estimator: str
    spread: float
    signed: float
    n: int
    reason: str | None

    @property
    def defined(self) -> bool:
        """Whether ``spread`` is a number that may be used."""
        return self.reason is None


def ohlc_bars(
    open: ArrayLike,  # noqa: A002
    high: ArrayLike,
    low: ArrayLike,
    close: ArrayLike,
) -> list[FloatArray]:
    """Bars whose prices are positive (or missing) and lie between low and high."""
    bars = vectors(open=open, high=high, low=low, close=close)
    for name, values in zip(("open", "high", "low", "close"), bars, strict=True):
        positive(values, name, missing_allowed=True)
    o, h, low_, c = bars
    outside = (low_ > h) | (o > h) | (o < low_) | (c > h) | (c < low_)
    at = np.flatnonzero(outside)
    if len(at):
        i = at[0]
        raise ValueError(
            f"bar {i} is impossible: open {o[i]}, high {h[i]}, low {low_[i]}, close {c[i]}; "
            "open and close must lie between low and high"
        )
    return bars


def signed_root(squared: float) -> float:
    """Square root of the magnitude, with the sign kept."""
    return float(np.sign(squared) * np.sqrt(abs(squared)))


def spread_estimate(estimator: str, signed: float, n: int) -> SpreadEstimate:
    """The estimate, undefined unless it is positive."""
    if np.isnan(signed):
        return SpreadEstimate(estimator, np.nan, np.nan, n, "too few bars in which the price moves")
    if signed <= 0:
        return SpreadEstimate(
            estimator, np.nan, signed, n, "the estimate is not positive: noise exceeds the spread"
        )
    return SpreadEstimate(estimator, signed, signed, n, None)
