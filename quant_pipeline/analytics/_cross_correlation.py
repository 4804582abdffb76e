"""Correlation of two series at a range of lags, with bands for no correlation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri
from statsmodels.tsa.stattools import acf, ccf

from quant_pipeline.analytics._inputs import FloatArray, refuse_missing, require_at_least
from quant_pipeline.analytics._tick_inputs import centred, open_unit_interval, vectors


@dataclass(frozen=True, slots=True, eq=False)
class CrossCorrelation:
    """Correlation of a(t+k) with b(t) for every lag k.

    ``lags`` run from −max_lag to max_lag, in observations; a large value at k > 0 means that ``b``
    moves first. Under the null hypothesis of no correlation at a lag, its value stays within
    ±``band`` with probability ``confidence`` if at least one series is white noise, and within
    ±``band_autocorrelated`` (Bartlett) if both are autocorrelated, each lag taken by itself: of 41
    lags two are expected outside a 95 % band by chance. ``n`` counts observations; ``reason`` is
    None where the correlations are defined.
    """

    lags: NDArray[np.int64]
    correlation: FloatArray
    band: float
    band_autocorrelated: float
    confidence: float
    n: int
    reason: str | None

    @property
    def defined(self) -> bool:
        """Whether ``correlation`` holds numbers that may be used."""
        return self.reason is None

    @property
    def peak_lag(self) -> int | None:
        """The lag of largest absolute correlation; positive if ``b`` moves first."""
        return int(self.lags[np.argmax(np.abs(self.correlation))]) if self.defined else None


def cross_correlation(
    a: ArrayLike, b: ArrayLike, max_lag: int, *, confidence: float = 0.95
) -> CrossCorrelation:
    """Cross-correlation function of two series on a common clock, at negative and positive lags.

    Formula
    -------
    ρ(k) = Σₜ (aₜ₊ₖ − ā)(bₜ − b̄) / (n·σₐ·σ_b), σ with divisor n.

    Units
    -----
    Dimensionless; lags in observations, positive where ``b`` moves first.

    Parameters
    ----------
    a, b : array of shape (n,)
        Returns or other stationary series.
    max_lag : int
        Largest lag to either side, below n.
    confidence : float
        Level of the bands.

    Returns
    -------
    CrossCorrelation
        Undefined (``reason`` says why) if a series does not move.

    Raises
    ------
    ValueError
        If lengths differ, a value is missing, or ``max_lag`` is negative or not below n.

    Notes
    -----
    The convention is R's ``ccf(a, b)``: divided by n at every lag, so values shrink slightly at
    large lags. statsmodels computes positive lags the same way with ``adjusted=False``.

    References
    ----------
    Box, G. E. P., Jenkins, G. M. and Reinsel, G. C. (2008), "Time Series Analysis", 4th ed., §12.1.
    The sum in Bartlett's variance is tapered so that it cannot come out negative.

    Examples
    --------
    >>> b = [1.0, -1.0, 2.0, 0.5, -2.0, 1.5, 0.0, -0.5, 1.0, -1.5]
    >>> a = [0.0, *b[:-1]]
    >>> cross_correlation(a, b, 2).peak_lag
    1
    """
    x, y = vectors(a=a, b=b)
    refuse_missing(x, "a")
    refuse_missing(y, "b")
    n = len(x)
    require_at_least(max_lag, "max_lag", 0)
    open_unit_interval(confidence, "confidence")
    if max_lag >= n:
        raise ValueError(f"max_lag is {max_lag} for {n} observations; it must be below n")
    lags = np.arange(-max_lag, max_lag + 1)
    reason = _why_undefined(x, y)
    correlation = np.full(len(lags), np.nan)
    band = band_autocorrelated = np.nan
    if reason is None:
        x, y = centred(x), centred(y)
        ahead = ccf(x, y, adjusted=False, nlags=max_lag + 1)
        behind = ccf(y, x, adjusted=False, nlags=max_lag + 1)
        correlation = np.concatenate([behind[:0:-1], ahead])
        band = float(ndtri(0.5 + confidence / 2)) / np.sqrt(n)
        band_autocorrelated = band * _autocorrelation_factor(x, y)
    return CrossCorrelation(
        lags, correlation, float(band), float(band_autocorrelated), confidence, n, reason
    )


def _why_undefined(x: FloatArray, y: FloatArray) -> str | None:
    for name, values in (("a", x), ("b", y)):
        if np.ptp(values) == 0:
            return f"{name} does not move"
    return None


def _autocorrelation_factor(x: FloatArray, y: FloatArray) -> float:
    """Square root of Bartlett's sum of products of autocorrelations, 1 for white noise."""
    depth = min(len(x) - 1, int(10 * np.log10(len(x))))
    product = acf(x, nlags=depth)[1:] * acf(y, nlags=depth)[1:]
    taper = 1.0 - np.arange(1, depth + 1) / (depth + 1)
    return float(np.sqrt(max(1.0 + 2.0 * (taper * product).sum(), 0.0)))
