"""The generalised estimators of the effective spread that EDGE combines."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from quant_pipeline.analytics._inputs import FloatArray
from quant_pipeline.analytics._spread_estimate import (
    SpreadEstimate,
    ohlc_bars,
    signed_root,
    spread_estimate,
)

Moment = Literal["OHL", "OHLC", "CHL", "CHLO"]


def discrete_generalized(
    open: ArrayLike,  # noqa: A002
    high: ArrayLike,
    low: ArrayLike,
    close: ArrayLike,
    moment: Moment,
) -> SpreadEstimate:
    """One of the four discrete generalised estimators that EDGE combines.

    Formula
    -------
    S² = −8/π · (E[r₁r₂] − E[r₁]·E[τr₂]/E[τ]), τ marking bars in which the price moves and π the
    sum of the probabilities that the open (close) differs from the high and from the low.

    Units
    -----
    Fraction of the price: 0.01 is 1 %.

    Parameters
    ----------
    open, high, low, close : array of shape (n,)
        As for ``edge``. Where the close is missing throughout, "OHL" still works.
    moment : {"OHL", "OHLC", "CHL", "CHLO"}
        Which prices form r₁, r₂: "OHL" (m − o, o − m₋₁), "OHLC" (m − o, o − c₋₁), "CHL"
        (m − c₋₁, c₋₁ − m₋₁), "CHLO" (o − c₋₁, c₋₁ − m₋₁), in logs, with m the mid-range.

    Returns
    -------
    SpreadEstimate
        Undefined (``reason`` says why) if the price hardly moves or S² is not positive.

    Raises
    ------
    ValueError
        As ``edge``, or if ``moment`` is none of the four.

    References
    ----------
    As ``edge``.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(3)
    >>> mid = 100 * np.exp(np.cumsum(rng.normal(0, 1e-3, 20_000))).reshape(500, 40)
    >>> trade = mid * np.exp(rng.choice([-0.005, 0.005], (500, 40)))
    >>> bars = trade[:, 0], trade.max(axis=1), trade.min(axis=1), trade[:, -1]
    >>> round(discrete_generalized(*bars, "OHLC").spread, 2)
    0.01
    """
    o, h, low_, c = (np.log(bar) for bar in ohlc_bars(open, high, low, close))
    middle = (h + low_) / 2.0
    o, h, c1, h1, low1, m1 = o[1:], h[1:], c[:-1], h[:-1], low_[:-1], middle[:-1]
    low_, middle = low_[1:], middle[1:]
    choices = {
        "OHL": (middle - o, o - m1, o, h, low_),
        "OHLC": (middle - o, o - c1, o, h, low_),
        "CHL": (middle - c1, c1 - m1, c1, h1, low1),
        "CHLO": (o - c1, c1 - m1, c1, h1, low1),
    }
    if moment not in choices:
        raise ValueError(f"moment is {moment!r}; use one of {', '.join(choices)}")
    r1, r2, price, top, bottom = choices[moment]
    # A bar moves if its range is open or differs from the last close; unknown if that is missing.
    moved = np.where(h != low_, 1.0, np.where(np.isnan(c1), np.nan, (low_ != c1) * 1.0))
    moved[np.isnan(h) | np.isnan(low_)] = np.nan
    known = ~(np.isnan(price) | np.isnan(top) | np.isnan(bottom))
    differs = np.where(known, (price != top) * 1.0 + (price != bottom) * 1.0, np.nan)
    probability, share_moved = _mean(moved * differs), _mean(moved)
    squared = np.nan
    if np.nansum(moved) >= 2 and probability > 0:
        mean_product = _mean(r1 * r2) - _mean(r1) * _mean(moved * r2) / share_moved
        squared = -8.0 / probability * mean_product
    return spread_estimate(moment, signed_root(squared), int((~np.isnan(r1 * r2)).sum()))


def _mean(values: FloatArray) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if len(present) else np.nan
