"""Which of two asynchronous prices moves first: the Hayashi–Yoshida contrast over lags."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from quant_pipeline.analytics._inputs import FloatArray, require_at_least
from quant_pipeline.analytics._tick_covariance import Ticks, covariance_terms, why_undefined
from quant_pipeline.analytics._tick_inputs import TimeArray


@dataclass(frozen=True, slots=True, eq=False)
class LeadLag:
    """The lag at which the Hayashi–Yoshida contrast is largest.

    ``lag`` is in the unit of the stamps: positive means that ``b`` leads ``a`` by that much,
    negative that ``a`` leads ``b``; ``leader`` says it in a word. ``correlation`` is the contrast
    there and ``correlation_at_zero`` without a shift. ``lead_lag_ratio`` sums squared correlation
    over negative lags and divides by that over positive ones: above 1 ``a`` tends to lead; NaN
    unless the grid is symmetric. ``lags`` and ``contrast`` hold the whole curve, of which the
    sceptic wants the shape.
    """

    lag: float
    leader: str
    correlation: float
    correlation_at_zero: float
    lead_lag_ratio: float
    lags: TimeArray
    contrast: FloatArray
    n_a: int
    n_b: int
    reason: str | None

    @property
    def defined(self) -> bool:
        """Whether ``lag`` is a number that may be used."""
        return self.reason is None


def lead_lag(
    ts_a: ArrayLike,
    price_a: ArrayLike,
    ts_b: ArrayLike,
    price_b: ArrayLike,
    lags: ArrayLike,
) -> LeadLag:
    """Which of two asynchronous prices moves first, and by how much time.

    Formula
    -------
    argmax over θ in ``lags`` of |Hayashi–Yoshida correlation of a(t+θ) and b(t)|.

    Units
    -----
    ``lag`` and ``lags`` in the unit of the stamps; correlations dimensionless.

    Parameters
    ----------
    ts_a, price_a, ts_b, price_b : array
        As for ``hayashi_yoshida``.
    lags : array of shape (k,)
        The grid of shifts to try, in the unit of the stamps (nanoseconds for datetime64),
        increasing. Its step bounds the resolution: a finer one than the ticks are apart is noise.

    Returns
    -------
    LeadLag
        Undefined as for ``hayashi_yoshida``, or if no returns overlap at any lag.

    Raises
    ------
    ValueError
        As ``hayashi_yoshida``; or if ``lags`` is empty, not finite, or not increasing.

    Notes
    -----
    The maximum of a curve is always somewhere. Believe it where the curve has one clear peak,
    ``correlation`` exceeds ``correlation_at_zero`` by several standard errors of
    ``hayashi_yoshida``, and both clocks agree to well below ``lag``.

    References
    ----------
    Hoffmann, M., Rosenbaum, M. and Yoshida, N. (2013), "Estimation of the lead-lag parameter from
    non-synchronous data", Bernoulli 19(2), 426–461. Huth, N. and Abergel, F. (2014), "High
    frequency lead/lag relationships", Journal of Empirical Finance 26, 41–58 (the ratio).

    Examples
    --------
    >>> import numpy as np
    >>> price = 100 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 1e-3, 500)))
    >>> t = np.arange(500) * 10
    >>> found = lead_lag(t + 30, price, t, price, np.arange(-50, 51, 10))
    >>> found.lag, found.leader, round(found.correlation, 6)
    (30.0, 'b', 1.0)
    """
    a, b = Ticks.of(ts_a, price_a, "a"), Ticks.of(ts_b, price_b, "b")
    grid = _lag_grid(lags)
    reason = why_undefined(a, b)
    contrast = np.full(len(grid), np.nan)
    at_zero = np.nan
    if reason is None:
        scale = np.sqrt(a.variance * b.variance)
        # Searching the few stamps among the many is cheaper than the reverse, and the sum is the
        # same: shifting ``a`` back is shifting ``b`` forward.
        few, many, sign = (a, b, 1) if len(a.returns) <= len(b.returns) else (b, a, -1)
        sums = [covariance_terms(few, many, sign * lag)[0].sum() for lag in (*grid, 0)]
        *curve, at_zero = (float(total / scale) for total in sums)
        contrast = np.array(curve)
        if not np.any(contrast):
            reason = "no returns overlap at any lag"
    best = int(np.argmax(np.abs(contrast))) if reason is None else -1
    lag = float(grid[best]) if reason is None else np.nan
    return LeadLag(
        lag=lag,
        leader="undefined" if reason else "b" if lag > 0 else "a" if lag < 0 else "neither",
        correlation=float(contrast[best]) if reason is None else np.nan,
        correlation_at_zero=at_zero,
        lead_lag_ratio=_lead_lag_ratio(grid, contrast) if reason is None else np.nan,
        lags=grid,
        contrast=contrast,
        n_a=len(a.returns),
        n_b=len(b.returns),
        reason=reason,
    )


def _lag_grid(lags: ArrayLike) -> TimeArray:
    grid = np.asarray(lags)
    if grid.dtype.kind == "m":
        grid = grid.astype("timedelta64[ns]").astype(np.int64)
    require_at_least(grid.size, "the number of lags", 1)
    if grid.ndim != 1 or not np.isfinite(grid).all() or (np.diff(grid) <= 0).any():
        raise ValueError("lags must be one-dimensional, finite and strictly increasing")
    return grid


def _lead_lag_ratio(grid: TimeArray, contrast: FloatArray) -> float:
    if not np.array_equal(grid, -grid[::-1]):
        return np.nan
    behind = float((contrast[grid > 0] ** 2).sum())
    return float((contrast[grid < 0] ** 2).sum()) / behind if behind > 0 else np.nan
