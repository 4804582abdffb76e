"""Correlation of asynchronous ticks without a clock, by Hayashi and Yoshida."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from quant_pipeline.analytics._inputs import FloatArray
from quant_pipeline.analytics._tick_covariance import Ticks, covariance_terms, why_undefined
from quant_pipeline.analytics._tick_inputs import positive_number

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
    a = Ticks.of(ts_a, price_a, "a", thin_interval)
    b = Ticks.of(ts_b, price_b, "b", thin_interval)
    reason = why_undefined(a, b)
    covariances, overlaps = covariance_terms(a, b, 0)
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


def _jackknife_stderr(a: Ticks, b: Ticks, covariances: FloatArray) -> float:
    """Leave-one-stretch-out standard error of the correlation; NaN with under two stretches."""
    begin = max(a.times[0], b.times[0])
    end = min(a.times[-1], b.times[-1])
    if not begin < end:
        return np.nan
    edges = np.linspace(float(begin), float(end), _JACKKNIFE_BLOCKS + 1)[1:-1]

    def by_block(ticks: Ticks, terms: FloatArray) -> FloatArray:
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
