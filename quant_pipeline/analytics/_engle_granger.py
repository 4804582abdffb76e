"""Engle–Granger tests of cointegration, one direction at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from arch.unitroot import _engle_granger as arch_tables
from numpy.typing import ArrayLike

from quant_pipeline.analytics._adf_regression import check_adf_options, no_adf_reason
from quant_pipeline.analytics._batched_adf import adf_batch
from quant_pipeline.analytics._inputs import (
    FloatArray,
    as_matrix,
    as_series,
    require_equal_length,
    require_option,
)
from quant_pipeline.analytics._mackinnon import critical_values, pvalues

NO_COINTEGRATION = "the series are not cointegrated"
#: statsmodels' bound on R² (1 − 100·√eps): above it the residuals are mostly rounding.
COLLINEAR_R_SQUARED = 1.0 - 100.0 * np.sqrt(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class Cointegration:
    """Result of a residual-based test; ``n`` counts observations of the ADF regression.

    ``alpha`` and ``beta`` are the constant and the coefficient of the first regressor;
    ``coefficients`` holds those of all regressors.
    """

    statistic: float
    pvalue: float
    lags: int
    n: int
    critical_values: dict[str, float]
    alpha: float
    beta: float
    coefficients: tuple[float, ...]
    r_squared: float
    trend: str
    test: str = "Engle–Granger"
    null_hypothesis: str = NO_COINTEGRATION
    defined: bool = True
    reason: str | None = None

    def rejects(self, level: float = 0.05) -> bool:
        """Whether the null of no cointegration is rejected at ``level``; never when undefined."""
        return self.defined and self.pvalue < level


@dataclass(frozen=True, slots=True)
class CointegrationDirections:
    """Both Engle–Granger regressions of a pair: the test is not symmetric."""

    y_on_x: Cointegration
    x_on_y: Cointegration

    @property
    def stronger(self) -> Cointegration:
        """The direction with the lower p-value. Choosing it doubles the number of tests made."""
        forward, reverse = self.y_on_x, self.x_on_y
        if not forward.defined:
            return reverse
        return reverse if reverse.defined and reverse.pvalue < forward.pvalue else forward


def engle_granger(
    y: ArrayLike,
    x: ArrayLike,
    *,
    trend: str = "c",
    lags: int | None = None,
    method: str = "aic",
    max_lags: int | None = None,
    table: str = "mackinnon",
) -> Cointegration:
    """Engle–Granger test of cointegration of ``y`` with one or more regressors.

    Formula
    -------
    y_t = alpha + x_t·beta (+ trend) + u_t by OLS, then ADF without deterministic terms on û.
    Null: no cointegration (û has a unit root). Left-tailed. Because û is estimated, critical values
    are Engle–Granger's, not Dickey–Fuller's.

    Units
    -----
    alpha in units of y, beta in units of y per unit of x; statistic dimensionless; lags and n in
    observations (bars).

    Parameters
    ----------
    y : array of shape (n,)
        The dependent level.
    x : array of shape (n,) or (n, k)
        The other levels, at most 5 with MacKinnon's table and 12 with arch's.
    trend : {"n", "c", "ct", "ctt"}
        Deterministic terms of the first regression (time counted 1, 2, …).
    lags, method, max_lags
        As for ``adf``, applied to the residuals.
    table : {"mackinnon", "arch"}
        Distribution: MacKinnon's (1994, 2010; critical values at n−1 as Stata's egranger and
        statsmodels, none for trend "n") or arch's larger simulation (at the regression's n).

    Returns
    -------
    Cointegration
        Undefined if a series is constant or too short. If the regression leaves less than 1.5e-6
        of the variance of y the pair is collinear: the statistic is −inf and the p-value 0, as in
        statsmodels, but ``defined`` is false, because residuals that are mostly rounding test
        nothing.

    Raises
    ------
    ValueError
        If lengths differ, a value is missing or infinite, or an option is unknown.

    References
    ----------
    Engle and Granger (1987), Econometrica 55(2); MacKinnon (2010), Queen's working paper 1227.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = np.cumsum(rng.normal(size=500))
    >>> result = engle_granger(1.0 + 2.0 * x + rng.normal(size=500), x)
    >>> result.rejects(0.01), round(result.beta, 1)
    (True, 2.0)
    """
    left, right = as_series(y, "y"), as_matrix(x, "x")
    require_equal_length(left, right, "y", "x")
    order = check_adf_options(trend, lags, method, max_lags, len(left))
    require_option(table, "table", ("mackinnon", "arch"))
    k, most = right.shape[1], 5 if table == "mackinnon" else 12
    if k > most:
        raise ValueError(f"x has {k} columns; the {table} table ends at {most}")
    reason = no_adf_reason(left, "n", lags, order)
    if reason is None and (np.ptp(right, axis=0) == 0.0).any():
        reason = "x is constant"
    if reason is not None:
        return undefined(trend, k, reason)
    coefficients, residuals, r_squared = first_stage(left, right, trend)
    alpha = float(coefficients[k]) if trend != "n" else 0.0
    slopes = tuple(float(value) for value in coefficients[:k])
    if r_squared >= COLLINEAR_R_SQUARED:
        return undefined(
            trend, k, "y and x are collinear: R² leaves only rounding", alpha, slopes, r_squared
        )
    batch = adf_batch(residuals[None, :], "n", lags=lags, max_lags=order, criterion=method)
    if batch.reason[0] is not None:
        return undefined(trend, k, f"ADF of the residuals: {batch.reason[0]}", alpha, slopes)
    statistic, n = float(batch.statistic[0]), int(batch.n[0])
    if table == "mackinnon":
        pvalue = float(pvalues(batch.statistic, trend, k + 1)[0])
        critical = critical_values(trend, k + 1, len(left) - 1)
    else:
        pvalue = float(arch_tables.engle_granger_pval(statistic, trend, k))
        by_size = arch_tables.engle_granger_cv(trend, k, n)
        critical = {f"{size}%": float(by_size[size]) for size in (1, 5, 10)}
    return Cointegration(
        statistic=statistic,
        pvalue=pvalue,
        lags=int(batch.lags[0]),
        n=n,
        critical_values=critical,
        alpha=alpha,
        beta=slopes[0],
        coefficients=slopes,
        r_squared=r_squared,
        trend=trend,
    )


def engle_granger_directions(
    y: ArrayLike,
    x: ArrayLike,
    *,
    trend: str = "c",
    lags: int | None = None,
    method: str = "aic",
) -> CointegrationDirections:
    """Run ``engle_granger`` with either series as the dependent one.

    Formula
    -------
    As ``engle_granger``, for y on x and for x on y. In finite samples the two disagree.

    Units
    -----
    As ``engle_granger``; beta of ``x_on_y`` is in units of x per unit of y.

    Parameters
    ----------
    y, x : array of shape (n,)
        Levels on one clock.
    trend, lags, method
        As for ``engle_granger``.

    Returns
    -------
    CointegrationDirections

    Raises
    ------
    ValueError
        As ``engle_granger``.

    References
    ----------
    Engle and Granger (1987), Econometrica 55(2).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = np.cumsum(rng.normal(size=500))
    >>> both = engle_granger_directions(2.0 * x + rng.normal(size=500), x)
    >>> round(both.y_on_x.beta, 1), round(both.x_on_y.beta, 1)
    (2.0, 0.5)
    """
    return CointegrationDirections(
        engle_granger(y, x, trend=trend, lags=lags, method=method),
        engle_granger(x, y, trend=trend, lags=lags, method=method),
    )


def first_stage(y: FloatArray, x: FloatArray, trend: str) -> tuple[FloatArray, FloatArray, float]:
    """OLS of y on (x, constant, t, t²): coefficients in that order, residuals, R²."""
    n = len(y)
    if trend == "n":
        coefficients = np.linalg.lstsq(x, y, rcond=None)[0]
        residuals = y - x @ coefficients
        total = y @ y
    else:
        # Centre everything, so that a price level of 60,000 costs the slope no digits.
        time = np.arange(1.0, n + 1.0)
        terms = np.stack([time, time * time], axis=1)[:, : len(trend) - 1]
        columns = np.hstack([x, terms])
        means = columns.mean(axis=0)
        centred, response = columns - means, y - y.mean()
        scale = np.sqrt((centred * centred).sum(axis=0))
        slopes = np.linalg.lstsq(centred / scale, response, rcond=None)[0] / scale
        residuals = response - centred @ slopes
        constant = y.mean() - means @ slopes
        k = x.shape[1]
        coefficients = np.concatenate([slopes[:k], [constant], slopes[k:]])
        total = response @ response
    return (
        np.asarray(coefficients, dtype=np.float64),
        residuals,
        float(1.0 - residuals @ residuals / total),
    )


def undefined(
    trend: str,
    k: int,
    reason: str,
    alpha: float = np.nan,
    slopes: tuple[float, ...] = (),
    r_squared: float = np.nan,
    test: str = "Engle–Granger",
) -> Cointegration:
    """A result without a verdict; −inf and 0 mark the collinear pair, as in statsmodels."""
    nan = float("nan")
    collinear = r_squared >= COLLINEAR_R_SQUARED
    return Cointegration(
        statistic=-np.inf if collinear else nan,
        pvalue=0.0 if collinear else nan,
        lags=0,
        n=0,
        critical_values={"1%": nan, "5%": nan, "10%": nan},
        alpha=alpha,
        beta=slopes[0] if slopes else nan,
        coefficients=slopes or (nan,) * k,
        r_squared=r_squared,
        trend=trend,
        test=test,
        defined=False,
        reason=reason,
    )
