"""Jennrich's test of the equality of two correlation matrices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import chi2

from quant_pipeline.analytics._inputs import FloatArray, refuse_missing
from quant_pipeline.analytics._tick_inputs import centred


@dataclass(frozen=True, slots=True)
class MatrixChange:
    """Jennrich's test of the null hypothesis that two correlation matrices are equal.

    ``statistic`` is χ² with ``degrees_of_freedom`` = p(p − 1)/2 under the null.
    """

    statistic: float
    pvalue: float
    degrees_of_freedom: int
    n_before: int
    n_after: int
    null: str
    reason: str | None

    @property
    def defined(self) -> bool:
        """Whether ``pvalue`` is a number that may be used."""
        return self.reason is None


def jennrich(before: ArrayLike, after: ArrayLike) -> MatrixChange:
    """Test whether two samples of several series have the same correlation matrix.

    Null hypothesis: both correlation matrices are equal. Assumes independent normal rows; with fat
    tails or volatility clustering it rejects too often (see ``correlation_breakdown``).

    Formula
    -------
    χ² = tr(Z²)/2 − d′S⁻¹d with Z = √c·R⁻¹(R₁ − R₂), c = nm/(n + m), R = (nR₁ + mR₂)/(n + m),
    d = diag Z and S = I + R∘R⁻¹.

    Units
    -----
    Dimensionless.

    Parameters
    ----------
    before, after : array of shapes (n, p) and (m, p)
        Returns, one column per series; both n and m must exceed p.

    Returns
    -------
    MatrixChange
        Undefined (``reason`` says why) if a sample has no more rows than series, a series does not
        move, or the pooled matrix is singular.

    Raises
    ------
    ValueError
        If either is not two-dimensional, a value is missing, or the numbers of columns differ.

    References
    ----------
    Jennrich, R. I. (1970), "An asymptotic χ² test for the equality of two correlation matrices",
    Journal of the American Statistical Association 65(330), 904–912.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> calm = rng.multivariate_normal([0, 0], [[1, 0.2], [0.2, 1]], 300)
    >>> crash = rng.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], 300)
    >>> jennrich(calm, crash).pvalue < 0.001
    True
    """
    one, two = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if one.ndim != 2 or two.ndim != 2 or one.shape[1] != two.shape[1] or one.shape[1] < 2:
        raise ValueError(
            f"before has shape {one.shape} and after {two.shape}; "
            "pass one row per observation and the same two or more columns"
        )
    refuse_missing(one.ravel(), "before")
    refuse_missing(two.ravel(), "after")
    n, m, p = len(one), len(two), one.shape[1]
    reason = None
    if min(n, m) <= p:
        reason = f"{min(n, m)} observations for {p} series; each sample needs more"
    elif (np.ptp(one, axis=0) == 0).any() or (np.ptp(two, axis=0) == 0).any():
        reason = "a series does not move"
    statistic = pvalue = np.nan
    freedom = p * (p - 1) // 2
    if reason is None:
        r1, r2 = (
            np.asarray(np.corrcoef([centred(column) for column in rows.T])) for rows in (one, two)
        )
        statistic = _jennrich_statistic(r1, r2, n, m)
        if np.isfinite(statistic):
            pvalue = float(chi2.sf(statistic, freedom))
        else:
            statistic, reason = np.nan, "the pooled correlation matrix is singular"
    null = "both correlation matrices are equal"
    return MatrixChange(statistic, pvalue, freedom, n, m, null, reason)


def _jennrich_statistic(r1: FloatArray, r2: FloatArray, n: int, m: int) -> float:
    pooled = (n * r1 + m * r2) / (n + m)
    if np.linalg.cond(pooled) > 1e12:
        return np.nan
    inverse = np.linalg.inv(pooled)
    z = np.sqrt(n * m / (n + m)) * inverse @ (r1 - r2)
    weight = np.eye(len(pooled)) + pooled * inverse
    diagonal = np.diag(z)
    return float(np.trace(z @ z) / 2 - diagonal @ np.linalg.solve(weight, diagonal))
