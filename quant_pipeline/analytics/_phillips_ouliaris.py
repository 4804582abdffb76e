"""Phillips–Ouliaris residual tests of cointegration, via arch."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import numpy as np
from arch.unitroot.cointegration import phillips_ouliaris as arch_phillips_ouliaris
from arch.unitroot.critical_values.phillips_ouliaris import CV_TAU_MIN
from numpy.typing import ArrayLike

from quant_pipeline.analytics._engle_granger import (
    COLLINEAR_R_SQUARED,
    Cointegration,
    first_stage,
    undefined,
)
from quant_pipeline.analytics._inputs import (
    as_matrix,
    as_series,
    require_equal_length,
    require_option,
)
from quant_pipeline.analytics._library_call import UndefinedStatisticError, call_library
from quant_pipeline.analytics._mackinnon import TRENDS


def phillips_ouliaris(
    y: ArrayLike, x: ArrayLike, *, trend: str = "c", statistic: str = "Zt"
) -> Cointegration:
    """Phillips–Ouliaris test of cointegration: no lags to choose, a kernel instead.

    Formula
    -------
    û from y_t = alpha + x_t·beta + u_t by OLS; Z_t and Z_α are the Phillips–Perron statistics of û
    without deterministic terms; P_u and P_z compare its variance with the long-run variance of the
    system. Bartlett kernel, bandwidth by Newey and West. Null: no cointegration.

    Units
    -----
    alpha in units of y, beta in units of y per unit of x; statistic dimensionless; ``lags`` is the
    bandwidth in observations (bars).

    Parameters
    ----------
    y : array of shape (n,)
        The dependent level.
    x : array of shape (n,) or (n, k)
        The other levels.
    trend : {"n", "c", "ct", "ctt"}
        Deterministic terms of the regression.
    statistic : {"Zt", "Za", "Pu", "Pz"}
        Zt and Za are left-tailed, Pu and Pz right-tailed; Pz does not depend on which series is y.

    Returns
    -------
    Cointegration
        Undefined if a series is constant, the series are collinear, or n is below the least sample
        of arch's tables (25 to 50).

    Raises
    ------
    ValueError
        If lengths differ, a value is missing or infinite, an option is unknown, or k > 12.

    References
    ----------
    Phillips and Ouliaris (1990), Econometrica 58(1).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = np.cumsum(rng.normal(size=500))
    >>> phillips_ouliaris(2.0 * x + rng.normal(size=500), x).rejects(0.01)
    True
    """
    left, right = as_series(y, "y"), as_matrix(x, "x")
    require_equal_length(left, right, "y", "x")
    require_option(trend, "trend", TRENDS)
    require_option(statistic, "statistic", ("Zt", "Za", "Pu", "Pz"))
    name, k, n = f"Phillips–Ouliaris {statistic}", right.shape[1], len(left)
    if k > 12:
        raise ValueError(f"x has {k} columns; the tables end at 12")
    shortest = CV_TAU_MIN[statistic, trend, k + 1]  # the least sample the tables were made from
    reason = None
    if n < shortest:
        reason = f"{n} observations; the tables begin at {shortest}"
    elif np.ptp(left) == 0.0 or (np.ptp(right, axis=0) == 0.0).any():
        reason = "a series is constant"
    if reason is not None:
        return undefined(trend, k, reason, test=name)
    coefficients, _, r_squared = first_stage(left, right, trend)
    alpha = float(coefficients[k]) if trend != "n" else 0.0
    slopes = tuple(float(value) for value in coefficients[:k])
    if r_squared >= COLLINEAR_R_SQUARED:
        return undefined(
            trend,
            k,
            "y and x are collinear: R² leaves only rounding",
            alpha,
            slopes,
            r_squared,
            name,
        )
    run = partial(cast(Any, arch_phillips_ouliaris), left, right, trend=trend, test_type=statistic)
    try:
        test = call_library(run)
    except UndefinedStatisticError as refusal:
        return undefined(trend, k, str(refusal), alpha, slopes, r_squared, name)
    return Cointegration(
        statistic=float(test.stat),
        pvalue=float(test.pvalue),
        lags=int(test.bandwidth),
        n=n,
        critical_values={f"{size}%": float(test.critical_values[size]) for size in (1, 5, 10)},
        alpha=alpha,
        beta=slopes[0],
        coefficients=slopes,
        r_squared=r_squared,
        trend=trend,
        test=name,
    )
