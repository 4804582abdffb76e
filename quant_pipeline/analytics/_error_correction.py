"""Which leg of a cointegrated pair does the adjusting, and how fast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from statsmodels.regression.linear_model import OLS

from quant_pipeline.analytics._inputs import FloatArray, as_pair, require_at_least
from quant_pipeline.analytics._library_call import UndefinedStatisticError, call_library
from quant_pipeline.analytics._regression import ols


@dataclass(frozen=True, slots=True)
class ErrorCorrection:
    """Adjustment speeds of both legs to the equilibrium error u = y − alpha − beta·x.

    Equilibrium is restored when ``speed_y`` is negative or ``beta·speed_x`` positive. ``total`` is
    their joint pull on u per bar, ``speed_y − beta·speed_x``; ``leader`` names the leg that does
    not significantly adjust while the other does, so that the other follows it.
    """

    speed_y: float
    speed_x: float
    stderr_y: float
    stderr_x: float
    pvalue_y: float
    pvalue_x: float
    total: float
    leader: str | None
    alpha: float
    beta: float
    lags: int
    n: int
    null_hypothesis: str = "the leg does not adjust (speed 0)"
    defined: bool = True
    reason: str | None = None


def error_correction(
    y: ArrayLike, x: ArrayLike, *, lags: int = 1, level: float = 0.05
) -> ErrorCorrection:
    """Fit the two-step error-correction model of a cointegrated pair.

    Formula
    -------
    u_t = y_t − alpha − beta·x_t by OLS; then, each by OLS with a constant,
    Δy_t = γ_y·u_{t−1} + Σ_{j=1}^{lags} (Δy_{t−j}, Δx_{t−j})·δ_j + e_t, and the same for Δx_t with
    γ_x. Null of either p-value: that leg's γ is zero (two-sided t test, valid if the pair is
    cointegrated, because u is then stationary and beta converges faster than γ).

    Units
    -----
    speed_y in units of y per bar per unit of u; speed_x in units of x per bar per unit of u; total
    in 1/bar; lags and n in observations (bars).

    Parameters
    ----------
    y, x : array of shape (n,)
        Levels on one clock that ``engle_granger`` found cointegrated.
    lags : int
        Lagged differences of both legs.
    level : float
        Significance level for ``leader``.

    Returns
    -------
    ErrorCorrection
        Undefined if n is too small, x is constant, or the two are collinear.

    Raises
    ------
    ValueError
        If lengths differ, a value is missing or infinite, or ``lags`` is negative.

    References
    ----------
    Engle and Granger (1987), Econometrica 55(2), two-step estimator.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x, y = np.cumsum(rng.normal(size=1000)), np.zeros(1000)
    >>> for t in range(1, 1000):
    ...     y[t] = y[t - 1] - 0.3 * (y[t - 1] - x[t - 1]) + rng.normal()
    >>> result = error_correction(y, x)
    >>> round(result.speed_y, 1), result.leader
    (-0.3, 'x')
    """
    left, right = as_pair(y, x)
    require_at_least(lags, "lags", 0)
    n = len(left) - 1 - lags
    fit = ols(left, right)
    if not fit.defined:
        return _undefined(lags, n, fit.reason or "no hedge ratio exists")
    if n < 2 * lags + 5:
        return _undefined(lags, max(n, 0), f"{len(left)} observations are too few for {lags} lags")
    if not fit.r_squared < 1.0 - 1e-12:
        return _undefined(lags, n, "y and x are collinear, so there is no error to correct")
    dy, dx = np.diff(left), np.diff(right)
    columns = [np.ones(n), fit.residuals[lags:-1]]
    for j in range(1, lags + 1):
        columns += [series[lags - j : len(series) - j] for series in (dy, dx)]
    design = np.stack(columns, axis=1)
    try:
        speed_y, stderr_y, pvalue_y = call_library(lambda: _speed(dy[lags:], design))
        speed_x, stderr_x, pvalue_x = call_library(lambda: _speed(dx[lags:], design))
    except UndefinedStatisticError as refusal:
        return _undefined(lags, n, str(refusal))
    adjusts_y, adjusts_x = pvalue_y < level, pvalue_x < level
    leader = None
    if adjusts_y != adjusts_x:
        leader = "x" if adjusts_y else "y"
    return ErrorCorrection(
        speed_y=speed_y,
        speed_x=speed_x,
        stderr_y=stderr_y,
        stderr_x=stderr_x,
        pvalue_y=pvalue_y,
        pvalue_x=pvalue_x,
        total=speed_y - fit.beta * speed_x,
        leader=leader,
        alpha=fit.alpha,
        beta=fit.beta,
        lags=lags,
        n=n,
    )


def _speed(response: FloatArray, design: FloatArray) -> tuple[float, float, float]:
    """Coefficient, standard error and p-value of the equilibrium error (column 1)."""
    result = OLS(response, design).fit()
    return float(result.params[1]), float(result.bse[1]), float(result.pvalues[1])


def _undefined(lags: int, n: int, reason: str) -> ErrorCorrection:
    nan = float("nan")
    return ErrorCorrection(
        nan, nan, nan, nan, nan, nan, nan, None, nan, nan, lags, n, defined=False, reason=reason
    )
