"""Correlation of asynchronous ticks without a clock: Hayashi–Yoshida, and lead–lag from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from quant_pipeline.analytics._inputs import FloatArray, as_series, require_at_least
from quant_pipeline.analytics._tick_inputs import (
    TimeArray,
    duration,
    positive,
    positive_number,
    same_length,
    stamps,
)

_JACKKNIFE_BLOCKS = 40


@dataclass(frozen=True, slots=True)
class HayashiYoshida:
    """The Hayashi–Yoshida estimate for one pair.

    ``correlation`` is dimensionless; it is not confined to [−1, 1] in small samples.
    ``covariance``, ``variance_a`` and ``variance_b`` are sums over the whole sample of squared log
    returns (not per unit of time). ``stderr`` is a jackknife over 40 equal stretches of time (NaN
    where the series have less than that in common).
    ``n_a`` and ``n_b`` count returns after ticks of one stamp are merged, ``n_overlaps`` the pairs
    of returns whose intervals overlap. ``reason`` is None where the correlation is defined.
    """

    correlation: float
    stderr: float
    covariance: float
    variance_a: float
    variance_b: float
    n_a: int
    n_b: int
    n_overlaps: int
    reason: str | None

    @property
    def defined(self) -> bool:
        """Whether ``correlation`` is a number that may be used."""
        return self.reason is None


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


def hayashi_yoshida(
    ts_a: ArrayLike,
    price_a: ArrayLike,
    ts_b: ArrayLike,
    price_b: ArrayLike,
    *,
    thin_interval: float | None = None,
) -> HayashiYoshida:
    """Correlation of two irregularly traded prices, from every tick, without resampling.

    Sampling both prices on a clock first biases their correlation towards zero, the more the finer
    the clock (the Epps effect). This estimator is consistent instead.

    Formula
    -------
    Σᵢⱼ rᵃᵢ rᵇⱼ [intervals i and j overlap] / sqrt(Σᵢ (rᵃᵢ)² · Σⱼ (rᵇⱼ)²), with r the log returns
    from tick to tick.

    Units
    -----
    Dimensionless. Variances and covariance are squared log units over the whole sample, not per
    unit of time.

    Parameters
    ----------
    ts_a, ts_b : array of shapes (n,) and (m,)
        Non-decreasing stamps, both in one unit (integers, floats or datetime64). Of several
        ticks with one stamp the last in order counts.
    price_a, price_b : array of the same shapes
        Prices in quote currency, positive; ticks whose price is NaN are left out.
    thin_interval : float, optional
        Keep only the last tick of every bucket of this length (unit of the stamps) of each series.

    Returns
    -------
    HayashiYoshida
        Undefined (``reason`` says why) if a series has fewer than two distinct stamps or does not
        move, or if no returns overlap in time.

    Raises
    ------
    ValueError
        If lengths differ, stamps go back in time, or a price or ``thin_interval`` is not positive.

    Notes
    -----
    It takes prices to be free of noise and both to react at the same instant. Bid–ask bounce
    inflates the variances, and a reaction that takes 100 ms falls between ticks 10 ms apart; both
    pull the correlation of very frequent ticks towards zero. Thin until the estimate stops rising:
    ten minutes of recorded BTCUSDT and ETHUSDT trades read 0.19 tick by tick and 0.83 thinned to
    1 s, where sampling on a 1 s clock reads 0.67.
    Only the stretch of time that both series cover contributes to the covariance, while each
    variance covers its own series; cut both to common times first if they differ much.
    O((n + m) log m) time and memory in proportion to n + m.

    References
    ----------
    Hayashi, T. and Yoshida, N. (2005), "On covariance estimation of non-synchronously observed
    diffusion processes", Bernoulli 11(2), 359–379.

    Examples
    --------
    >>> hy = hayashi_yoshida([0, 2, 4, 6], [10, 11, 10, 12], [1, 3, 5, 7], [20, 22, 20, 24])
    >>> round(hy.correlation, 4), hy.n_a, hy.n_b, hy.n_overlaps
    (0.4853, 3, 3, 5)
    >>> hayashi_yoshida([0, 2, 4, 6], [10, 11, 10, 12], [1, 3, 5, 7], [20, 22, 20, 24],
    ...                 thin_interval=4).n_overlaps
    1
    >>> hayashi_yoshida([0, 1], [10, 10], [0, 1], [20, 21]).reason
    'price_a does not move'
    """
    if thin_interval is not None:
        positive_number(thin_interval, "thin_interval")
    a = _Ticks.of(ts_a, price_a, "a", thin_interval)
    b = _Ticks.of(ts_b, price_b, "b", thin_interval)
    reason = _why_undefined(a, b)
    covariances, overlaps = _covariance_terms(a, b, 0)
    if reason is None and overlaps == 0:
        reason = "no returns overlap in time"
    covariance = float(covariances.sum())
    correlation = stderr = np.nan
    if reason is None:
        correlation = covariance / np.sqrt(a.variance * b.variance)
        stderr = _jackknife_stderr(a, b, covariances)
    return HayashiYoshida(
        correlation=float(correlation),
        stderr=float(stderr),
        covariance=covariance,
        variance_a=a.variance,
        variance_b=b.variance,
        n_a=len(a.returns),
        n_b=len(b.returns),
        n_overlaps=overlaps,
        reason=reason,
    )


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
    a, b = _Ticks.of(ts_a, price_a, "a"), _Ticks.of(ts_b, price_b, "b")
    grid = _lag_grid(lags)
    reason = _why_undefined(a, b)
    contrast = np.full(len(grid), np.nan)
    at_zero = np.nan
    if reason is None:
        scale = np.sqrt(a.variance * b.variance)
        # Searching the few stamps among the many is cheaper than the reverse, and the sum is the
        # same: shifting ``a`` back is shifting ``b`` forward.
        few, many, sign = (a, b, 1) if len(a.returns) <= len(b.returns) else (b, a, -1)
        sums = [_covariance_terms(few, many, sign * lag)[0].sum() for lag in (*grid, 0)]
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


@dataclass(frozen=True, slots=True, eq=False)
class _Ticks:
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
    ) -> _Ticks:
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


def _why_undefined(a: _Ticks, b: _Ticks) -> str | None:
    for ticks in (a, b):
        if len(ticks.returns) == 0:
            return f"price_{ticks.name} has fewer than two distinct stamps"
        if ticks.variance == 0.0:
            return f"price_{ticks.name} does not move"
    return None


def _covariance_terms(a: _Ticks, b: _Ticks, lag: float) -> tuple[FloatArray, int]:
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


def _jackknife_stderr(a: _Ticks, b: _Ticks, covariances: FloatArray) -> float:
    """Leave-one-stretch-out standard error of the correlation; NaN with under two stretches."""
    begin = max(a.times[0], b.times[0])
    end = min(a.times[-1], b.times[-1])
    if not begin < end:
        return np.nan
    edges = np.linspace(float(begin), float(end), _JACKKNIFE_BLOCKS + 1)[1:-1]

    def by_block(ticks: _Ticks, terms: FloatArray) -> FloatArray:
        block = np.searchsorted(edges, ticks.times[1:])
        return np.bincount(block, weights=terms, minlength=_JACKKNIFE_BLOCKS).astype(np.float64)

    cov = by_block(a, covariances)
    var_a, var_b = by_block(a, a.returns**2), by_block(b, b.returns**2)
    rest = np.sqrt(np.maximum(a.variance - var_a, 0) * np.maximum(b.variance - var_b, 0))
    if not (rest > 0).all():
        return np.nan
    left_out = (cov.sum() - cov) / rest
    spread = ((left_out - left_out.mean()) ** 2).sum()
    return float(np.sqrt((_JACKKNIFE_BLOCKS - 1) / _JACKKNIFE_BLOCKS * spread))


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
