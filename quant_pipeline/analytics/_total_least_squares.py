"""The hedge line that treats both series alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from quant_pipeline.analytics._inputs import FloatArray, as_pair


@dataclass(frozen=True, slots=True, eq=False)
class TlsFit:
    """A total-least-squares line; the same line whichever series is called ``y``."""

    alpha: float
    beta: float
    residuals: FloatArray
    n: int
    defined: bool = True
    reason: str | None = None


def total_least_squares(y: ArrayLike, x: ArrayLike) -> TlsFit:
    """Fit the line that minimises perpendicular distances: errors in both series.

    Formula
    -------
    beta = (s_yy − s_xx + sqrt((s_yy − s_xx)² + 4·s_xy²)) / (2·s_xy),  alpha = ȳ − beta·x̄,
    with s the centred sums of products. The reverse regression gives exactly 1/beta.

    Units
    -----
    alpha and residuals in units of y; beta in units of y per unit of x. The result depends on the
    relative scale of the two series: use log prices, or series of comparable error variance.

    Parameters
    ----------
    y, x : array of shape (n,)
        Levels on one clock.

    Returns
    -------
    TlsFit
        Undefined if n < 3 or the two series are uncorrelated (no direction is preferred).

    Raises
    ------
    ValueError
        If the lengths differ, or a value is missing or infinite.

    References
    ----------
    Golub and Van Loan (1980), SIAM J. Numer. Anal. 17(6); Deming regression with ratio 1.

    Examples
    --------
    >>> y, x = [3.0, 5.0, 7.2, 8.8], [1.0, 2.0, 3.0, 4.0]
    >>> forward, reverse = total_least_squares(y, x), total_least_squares(x, y)
    >>> round(forward.beta * reverse.beta, 12)
    1.0
    """
    left, right = as_pair(y, x)
    n = len(left)
    if n < 3:
        return _undefined(n, f"{n} observations; at least 3 are needed")
    dy, dx = left - left.mean(), right - right.mean()
    syy, sxx, sxy = dy @ dy, dx @ dx, dx @ dy
    if abs(sxy) <= 1e-12 * np.sqrt(sxx * syy):
        return _undefined(n, "y and x are uncorrelated or constant: no direction is preferred")
    difference = syy - sxx
    root = np.hypot(difference, 2.0 * sxy)
    # Two forms of one root: pick the one whose sum does not cancel.
    beta = (difference + root) / (2.0 * sxy) if difference > 0 else 2.0 * sxy / (root - difference)
    residuals = dy - beta * dx
    alpha = left.mean() - beta * right.mean()
    return TlsFit(float(alpha), float(beta), residuals, n)


def _undefined(n: int, reason: str) -> TlsFit:
    return TlsFit(np.nan, np.nan, np.full(n, np.nan), n, False, reason)
