"""False-discovery control: p-values of many tests turned into q-values."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from quant_pipeline.analytics._inputs import FloatArray, as_series


def benjamini_hochberg(pvalues: ArrayLike) -> FloatArray:
    """Q-values that control the false-discovery rate under independence or positive dependence.

    Formula
    -------
    With p sorted ascending, q_(i) = min over j ≥ i of m·p_(j)/j. Rejecting every q ≤ 0.05 keeps the
    expected share of false rejections at or below 5 %.

    Units
    -----
    Probabilities.

    Parameters
    ----------
    pvalues : array of shape (m,)
        P-values of the whole family of tests that were made, not of a selection. NaN marks a test
        that was not made; it stays NaN and does not count.

    Returns
    -------
    array of shape (m,)

    Raises
    ------
    ValueError
        If a value lies outside [0, 1].

    References
    ----------
    Benjamini and Hochberg (1995), J. Royal Statistical Society B 57.

    Examples
    --------
    >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(4).tolist()
    [0.03, 0.04, 0.04]
    """
    return _adjust(pvalues, "bh")


def benjamini_yekutieli(pvalues: ArrayLike) -> FloatArray:
    """Q-values that control the false-discovery rate under any dependence between the tests.

    Formula
    -------
    Benjamini–Hochberg's, times Σ_{i=1}^{m} 1/i. Pairs that share a series are dependent, so this
    is the safe one for a scan.

    Units
    -----
    Probabilities.

    Parameters
    ----------
    pvalues : array of shape (m,)
        P-values of the whole family of tests; NaN marks a test that was not made.

    Returns
    -------
    array of shape (m,)

    Raises
    ------
    ValueError
        If a value lies outside [0, 1].

    References
    ----------
    Benjamini and Yekutieli (2001), Annals of Statistics 29(4).

    Examples
    --------
    >>> benjamini_yekutieli([0.01, 0.04, 0.03]).round(4).tolist()
    [0.055, 0.0733, 0.0733]
    """
    return _adjust(pvalues, "by")


def _adjust(pvalues: ArrayLike, method: str) -> FloatArray:
    p = as_series(pvalues, "pvalues", allow_nan=True)
    made = ~np.isnan(p)
    outside = made & ~((p >= 0.0) & (p <= 1.0))
    if outside.any():
        raise ValueError(f"pvalues holds {p[outside][0]}; probabilities lie in [0, 1]")
    adjusted = np.full(len(p), np.nan)
    if made.any():
        adjusted[made] = stats.false_discovery_control(p[made], method=method)
    return adjusted
