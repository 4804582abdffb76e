"""Tests of whether a correlation changed, at a known time or at an unknown one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import kolmogi, kolmogorov, ndtr, ndtri

from quant_pipeline.analytics._inputs import FloatArray, refuse_missing
from quant_pipeline.analytics._long_run_variance import long_run_variance, newey_west_lags
from quant_pipeline.analytics._tick_inputs import centred, vectors

_LEVELS = {"10%": 0.10, "5%": 0.05, "1%": 0.01}
_FEWEST = 30  # observations below which neither test's asymptotics mean anything


@dataclass(frozen=True, slots=True)
class CorrelationBreakdown:
    """A test of the null hypothesis that the correlation is one constant throughout.

    ``statistic`` is compared with ``critical_values`` (by level); ``pvalue`` is the probability of
    one at least as large if the null holds. ``break_index`` is the first observation after the
    break: the given one, or where the evidence is strongest (an estimate only if the null is
    rejected). ``lags`` is the bandwidth of the long-run variance. ``reason`` is None where the test
    is defined.
    """

    statistic: float
    pvalue: float
    critical_values: dict[str, float]
    break_index: int | None
    correlation: float
    correlation_before: float
    correlation_after: float
    n_before: int
    n_after: int
    lags: int
    null: str
    method: str
    reason: str | None

    @property
    def defined(self) -> bool:
        """Whether ``pvalue`` is a number that may be used."""
        return self.reason is None


def correlation_breakdown(
    x: ArrayLike, y: ArrayLike, *, at: int | None = None, lags: int | None = None
) -> CorrelationBreakdown:
    """Test whether the correlation of two return series changed.

    Null hypothesis: the correlation is constant (means and variances are taken to be). With ``at``
    the time of the break is known beforehand; without, it is unknown and estimated.

    Formula
    -------
    ``at`` given: |artanh ρ₁ − artanh ρ₂| / se, Fisher's z of the two parts, normal under the null.
    Otherwise: max over j of j/(√n·σ)·|ρⱼ − ρₙ| (Wied, Krämer and Dehling), distributed as the
    largest |Brownian bridge|. ρⱼ is the correlation of the first j observations. Both are robust
    to fat tails, volatility clustering and autocorrelation: σ² is the long-run variance (Bartlett
    kernel) of the influence function uv − ρ(u² + v²)/2 of the standardised series u, v.

    Units
    -----
    Dimensionless; ``break_index`` in observations.

    Parameters
    ----------
    x, y : array of shape (n,)
        Returns, at least 30 on either side of ``at``, or 30 in all. Choosing ``at`` by looking at
        the data invalidates the known-time test.
    at : int, optional
        Index of the first observation after the supposed break.
    lags : int, optional
        Bandwidth, ⌊4 (n/100)^(2/9)⌋ unless given.

    Returns
    -------
    CorrelationBreakdown
        Undefined (``reason`` says why) if observations are too few or a series does not move.

    Raises
    ------
    ValueError
        If lengths differ, a value is missing, or ``at`` or ``lags`` lies outside the sample.

    References
    ----------
    Wied, D., Krämer, W. and Dehling, H. (2012), "Testing for a change in correlation at an unknown
    point in time using an extended functional delta method", Econometric Theory 28(3), 570–589.
    Newey, W. K. and West, K. D. (1987), Econometrica 55(3), 703–708.

    Examples
    --------
    >>> import numpy as np
    >>> z = np.random.default_rng(0).normal(size=(2, 600))
    >>> y = np.where(np.arange(600) < 300, 0.9, 0.0) * z[0] + z[1]
    >>> test = correlation_breakdown(z[0], y)
    >>> test.pvalue < 0.01, 250 < test.break_index < 350
    (True, True)
    """
    a, b = vectors(x=x, y=y)
    refuse_missing(a, "x")
    refuse_missing(b, "y")
    n = len(a)
    if at is not None and not 0 < at < n:
        raise ValueError(f"at is {at}; it must lie inside the sample of {n} observations")
    bandwidth = newey_west_lags(n, lags)
    reason = _why_undefined(a, b, at)
    if reason is None:
        a, b = centred(a), centred(b)
    if reason is None and bandwidth >= (n if at is None else min(at, n - at)):
        raise ValueError(f"lags is {bandwidth}; it must be below the number of observations")
    known = at is not None
    statistic = pvalue = before = after = overall = np.nan
    split = at
    if reason is None:
        overall = _correlation(a, b)
        if split is None:
            statistic, split = _fluctuation(a, b, bandwidth)
            pvalue = float(kolmogorov(statistic))
        else:
            statistic = _fisher_difference(a, b, split, bandwidth)
            pvalue = float(2 * ndtr(-statistic))
        before, after = _correlation(a[:split], b[:split]), _correlation(a[split:], b[split:])
    quantile = (lambda level: ndtri(1 - level / 2)) if known else kolmogi
    return CorrelationBreakdown(
        statistic=statistic,
        pvalue=pvalue,
        critical_values={name: float(quantile(level)) for name, level in _LEVELS.items()},
        break_index=split,
        correlation=overall,
        correlation_before=before,
        correlation_after=after,
        n_before=0 if split is None else split,
        n_after=0 if split is None else n - split,
        lags=bandwidth,
        null="the correlation is the same throughout",
        method="Fisher z, Newey–West" if known else "Wied–Krämer–Dehling fluctuation",
        reason=reason,
    )


def _why_undefined(x: FloatArray, y: FloatArray, at: int | None) -> str | None:
    parts = [slice(None)] if at is None else [slice(0, at), slice(at, None)]
    for part in parts:
        if len(x[part]) < _FEWEST:
            return f"{len(x[part])} observations; at least {_FEWEST} are needed"
        if np.ptp(x[part]) == 0 or np.ptp(y[part]) == 0:
            return "a series does not move"
        if abs(_correlation(centred(x[part]), centred(y[part]))) > 1 - 1e-12:
            return "the series are perfectly correlated"
    return None


def _correlation(x: FloatArray, y: FloatArray) -> float:
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan
    return float(np.corrcoef(x, y)[0, 1])


def _influence(x: FloatArray, y: FloatArray) -> tuple[float, FloatArray]:
    """The correlation and what each observation adds to it, to first order."""
    u, v = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    rho = float((u * v).mean())
    return rho, u * v - rho * (u * u + v * v) / 2


def _fisher_difference(x: FloatArray, y: FloatArray, at: int, lags: int) -> float:
    z, variance = [], 0.0
    for part in (slice(0, at), slice(at, None)):
        rho, influence = _influence(x[part], y[part])
        z.append(np.arctanh(rho))
        # The derivative of arctanh carries the variance from the correlation to Fisher's z.
        variance += long_run_variance(influence, lags) / len(influence) / (1 - rho**2) ** 2
    return float(abs(z[0] - z[1]) / np.sqrt(variance))


def _fluctuation(x: FloatArray, y: FloatArray, lags: int) -> tuple[float, int]:
    n = len(x)
    rho, influence = _influence(x, y)
    x, y = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    count = np.arange(1, n + 1)
    mean_x, mean_y = np.cumsum(x) / count, np.cumsum(y) / count
    covariance = np.cumsum(x * y) / count - mean_x * mean_y
    variance_x = np.cumsum(x * x) / count - mean_x**2
    variance_y = np.cumsum(y * y) / count - mean_y**2
    usable = (variance_x > 1e-12) & (variance_y > 1e-12)
    running = np.full(n, rho)
    running[usable] = covariance[usable] / np.sqrt(variance_x[usable] * variance_y[usable])
    path = count / np.sqrt(n * long_run_variance(influence, lags)) * np.abs(running - rho)
    path[:2] = 0.0  # one or two points always correlate perfectly
    best = int(np.argmax(path))
    return float(path[best]), best + 1
