"""How many bars a deviation of a spread takes to halve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from quant_pipeline.analytics._inputs import as_series


@dataclass(frozen=True, slots=True)
class HalfLife:
    """Half-life in bars with its interval; ``upper`` is infinite when a unit root is inside it."""

    half_life: float
    lower: float
    upper: float
    ar1: float
    ar1_stderr: float
    speed: float
    mean: float
    confidence: float
    n: int
    defined: bool = True
    reason: str | None = None


def half_life(spread: ArrayLike, *, confidence: float = 0.95) -> HalfLife:
    """Estimate how many bars a deviation takes to halve, from an AR(1) with a mean.

    Formula
    -------
    s_t = c + φ·s_{t−1} + e_t by OLS; half-life = ln 2 / −ln φ; speed (Ornstein–Uhlenbeck) = −ln φ
    per bar; the interval maps φ̂ ± t·stderr through the same function.

    Units
    -----
    half_life, lower, upper in bars; speed per bar; mean in units of the spread.

    Parameters
    ----------
    spread : array of shape (n,)
        Equally spaced in time.
    confidence : float
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    HalfLife
        ``upper`` is infinite if φ = 1 cannot be excluded, ``lower`` is 0 if φ ≤ 0 cannot. Undefined
        if n < 4, the series is constant, φ̂ ≥ 1 (it does not come back) or φ̂ ≤ 0 (it overshoots
        within a bar). φ̂ is biased downwards by about (1+3φ)/n (Kendall), so near a unit root the
        half-life reads too short; no correction is applied.

    Raises
    ------
    ValueError
        If a value is missing or infinite, or ``confidence`` is not within (0, 1).

    References
    ----------
    Chan (2013), Algorithmic Trading, ch. 2; Kendall (1954), Biometrika 41 for the bias.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(7)
    >>> s = np.zeros(2000)
    >>> for t in range(1, 2000):
    ...     s[t] = 0.9 * s[t - 1] + rng.normal()
    >>> result = half_life(s)
    >>> bool(result.lower < np.log(2) / -np.log(0.9) < result.upper)
    True
    """
    series = as_series(spread, "spread")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence is {confidence}; it must lie between 0 and 1, such as 0.95")
    n = len(series)
    if n < 4:
        return _no_half_life(n, confidence, f"{n} observations; at least 4 are needed")
    before, after = series[:-1], series[1:]
    dx, dy = before - before.mean(), after - after.mean()
    sxx = dx @ dx
    if np.ptp(before) == 0.0:
        return _no_half_life(n, confidence, "the series is constant")
    phi = float(dx @ dy / sxx)
    residuals = dy - phi * dx
    stderr = float(np.sqrt(residuals @ residuals / (n - 3) / sxx))
    margin = float(stats.t.ppf(0.5 + confidence / 2.0, n - 3)) * stderr
    if not 0.0 < phi < 1.0:
        reason = f"the AR(1) coefficient is {phi:.4f}: " + (
            "deviations do not die out" if phi >= 1.0 else "deviations reverse within one bar"
        )
        return _no_half_life(n, confidence, reason, phi, stderr)
    return HalfLife(
        half_life=_halving_bars(phi),
        lower=_halving_bars(phi - margin),
        upper=_halving_bars(phi + margin),
        ar1=phi,
        ar1_stderr=stderr,
        speed=float(-np.log(phi)),
        mean=float((after.mean() - phi * before.mean()) / (1.0 - phi)),
        confidence=confidence,
        n=n,
    )


def _halving_bars(phi: float) -> float:
    if phi >= 1.0:
        return float("inf")
    return 0.0 if phi <= 0.0 else float(np.log(2.0) / -np.log(phi))


def _no_half_life(
    n: int, confidence: float, reason: str, phi: float = np.nan, stderr: float = np.nan
) -> HalfLife:
    nan = float("nan")
    return HalfLife(nan, nan, nan, phi, stderr, nan, nan, confidence, n, False, reason)
