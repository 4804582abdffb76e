"""Ticks of two series and the products of those of their returns that overlap in time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from quant_pipeline.analytics._inputs import FloatArray, as_series
from quant_pipeline.analytics._tick_inputs import (
    TimeArray,
    duration,
    positive,
    same_length,
    stamps,
)


@dataclass(frozen=True, slots=True, eq=False)
class Ticks:
    """One series: distinct stamps, the log price at each, and the returns between them."""

    times: TimeArray
    log_price: FloatArray
    returns: FloatArray
    variance: float
    name: str

    @classmethod
    def of(
        cls,
        ts: ArrayLike,
        price: ArrayLike,
        name: str,
        thin_interval: float | None = None,
    ) -> Ticks:
        """Checked and merged: of several ticks with one stamp, or in one bucket, the last."""
        times = stamps(ts, f"ts_{name}")
        prices = as_series(price, f"price_{name}", allow_nan=True)
        same_length(**{f"ts_{name}": times, f"price_{name}": prices})
        positive(prices, f"price_{name}", missing_allowed=True)
        seen = ~np.isnan(prices)
        if not seen.all():
            times, prices = times[seen], prices[seen]
        if len(times):
            bucket = times
            if thin_interval is not None:
                bucket = times // duration(thin_interval, times)
            last_of_bucket = np.append(bucket[1:] != bucket[:-1], True)
            if not last_of_bucket.all():
                times, prices = times[last_of_bucket], prices[last_of_bucket]
        log_price = np.log(prices)
        returns = np.diff(log_price)
        return cls(times, log_price, returns, float(returns @ returns), name)


def why_undefined(a: Ticks, b: Ticks) -> str | None:
    """The reason why these series have no correlation, or None."""
    for ticks in (a, b):
        if len(ticks.returns) == 0:
            return f"price_{ticks.name} has fewer than two distinct stamps"
        if ticks.variance == 0.0:
            return f"price_{ticks.name} does not move"
    return None


def covariance_terms(a: Ticks, b: Ticks, lag: float) -> tuple[FloatArray, int]:
    """For each return of ``a``, shifted back by ``lag``, its product with all it overlaps of ``b``.

    The returns of ``b`` that overlap the interval (s, e] are consecutive, so they sum to one
    difference of log prices: from the last tick at or before s to the first at or after e.
    That turns the double sum into two binary searches.
    """
    if len(a.returns) == 0 or len(b.returns) == 0:
        return np.zeros(len(a.returns)), 0
    times = a.times - duration(lag, a.times) if lag else a.times
    last = len(b.times) - 1
    before = np.maximum(np.searchsorted(b.times, times[:-1], side="right") - 1, 0)
    after = np.minimum(np.searchsorted(b.times, times[1:], side="left"), last)
    terms = a.returns * (b.log_price[after] - b.log_price[before])
    return terms, int((after - before).sum())
