"""A cointegrating vector corrected for short-run dynamics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from arch.unitroot.cointegration import DynamicOLS
from numpy.typing import ArrayLike

from quant_pipeline.analytics._inputs import FloatArray, as_pair, require_option
from quant_pipeline.analytics._library_call import UndefinedStatisticError, call_library


@dataclass(frozen=True, slots=True, eq=False)
class DolsFit:
    """A cointegrating vector by dynamic OLS, with the leads and lags that were used."""

    alpha: float
    beta: float
    beta_stderr: float
    residuals: FloatArray
    leads: int
    lags: int
    n: int
    defined: bool = True
    reason: str | None = None


def dynamic_ols(
    y: ArrayLike,
    x: ArrayLike,
    *,
    leads: int | None = None,
    lags: int | None = None,
    method: str = "bic",
) -> DolsFit:
    """Estimate a cointegrating vector by dynamic OLS (Stock and Watson), via arch.

    Formula
    -------
    y_t = alpha + beta·x_t + Σ_{j=−lags}^{leads} δ_j·Δx_{t+j} + e_t; the standard error uses a
    Bartlett-kernel long-run variance of e.

    Units
    -----
    alpha and residuals in units of y; beta in units of y per unit of x; leads, lags in bars.

    Parameters
    ----------
    y, x : array of shape (n,)
        Levels on one clock, both integrated of order one.
    leads, lags : int, optional
        Numbers of leads and lags of Δx; None lets ``method`` choose.
    method : {"aic", "bic", "hqic"}
        Criterion for the choice.

    Returns
    -------
    DolsFit
        ``residuals`` are y − alpha − beta·x for all n observations. Undefined if n < 20, x or its
        differences are constant, or the sample is too short for the leads and lags.

    Raises
    ------
    ValueError
        If the lengths differ, a value is missing or infinite, or ``method`` is unknown.

    References
    ----------
    Stock and Watson (1993), Econometrica 61(4); Saikkonen (1992), Econometric Theory 8(1).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> x = np.cumsum(rng.normal(size=300))
    >>> fit = dynamic_ols(2.0 + 0.5 * x + rng.normal(size=300), x, leads=1, lags=1)
    >>> abs(fit.beta - 0.5) < 3 * fit.beta_stderr
    True
    """
    left, right = as_pair(y, x)
    require_option(method, "method", ("aic", "bic", "hqic"))
    n = len(left)
    reason = None
    if n < 20:
        reason = f"{n} observations; leads and lags need at least 20"
    elif np.ptp(right) == 0.0:
        reason = "x is constant, so no slope exists"
    elif np.ptp(np.diff(right)) <= 1e-12 * np.ptp(right):
        reason = "the differences of x are constant"
    if reason is not None:
        return _undefined(n, reason)
    model: Callable[..., Any] = DynamicOLS  # its literal types are narrower than a checked string
    try:
        fit = call_library(
            lambda: model(left, right, trend="c", leads=leads, lags=lags, method=method).fit()
        )
        stderr = call_library(lambda: float(fit.std_errors.iloc[0]))
    except UndefinedStatisticError as refusal:
        return _undefined(n, f"no regression with these leads and lags: {refusal}")
    if not np.isfinite(stderr):
        return _undefined(n, "the regression leaves no degree of freedom")
    beta, alpha = (float(value) for value in fit.params)
    return DolsFit(
        alpha=alpha,
        beta=beta,
        beta_stderr=stderr,
        residuals=left - alpha - beta * right,
        leads=int(fit.leads),
        lags=int(fit.lags),
        n=n,
    )


def _undefined(n: int, reason: str) -> DolsFit:
    nan = float("nan")
    return DolsFit(nan, nan, nan, np.full(n, np.nan), 0, 0, n, False, reason)
