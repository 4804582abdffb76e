"""One augmented Dickey–Fuller regression by QR: the accurate path, used where Gram matrices fail.

The columns are ordered deterministic terms, level, lagged differences, response. One Householder QR
then holds every nested model at once: the last column of R, squared and summed from below, is the
residual sum of squares after one, two, … regressors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quant_pipeline.analytics._inputs import FloatArray, require_at_least, require_option
from quant_pipeline.analytics._mackinnon import TRENDS

#: A column whose part orthogonal to the columns before it is this much smaller than itself is
#: treated as a linear combination of them.
RANK_TOLERANCE = 1e-10
#: Two-sided 10 % normal quantile: the last lag kept by the t-stat rule (Ng and Perron, 1995).
T_STAT_THRESHOLD = 1.6448536269514722
CRITERIA = ("aic", "bic", "t-stat")


@dataclass(frozen=True, slots=True)
class AdfFit:
    """The t statistic of the lagged level, or NaN with the reason why there is none."""

    statistic: float
    lags: int
    n: int
    reason: str | None = None


def check_adf_options(
    trend: str, lags: int | None, method: str, max_lags: int | None, n: int
) -> int:
    """Validate the options of an ADF regression; return the largest lag order to consider."""
    require_option(trend, "trend", TRENDS)
    require_option(method, "method", CRITERIA)
    for name, value in (("lags", lags), ("max_lags", max_lags)):
        if value is not None:
            require_at_least(value, name, 0)
    return default_max_lags(n, trend) if max_lags is None else max_lags


def no_adf_reason(series: FloatArray, trend: str, lags: int | None, max_lags: int) -> str | None:
    """Why no ADF regression exists for ``series``, or None if one does."""
    order = max_lags if lags is None else lags
    regressors = (0 if trend == "n" else len(trend)) + 1 + max(order, 0)
    needed = 1 + max(order, 0) + regressors + 1
    if len(series) < needed or order < 0:
        return (
            f"{len(series)} observations are too few; {needed} are needed with {max(order, 0)} lags"
        )
    if np.ptp(series) == 0.0:
        return "the series is constant"
    return None


def trend_columns(first_row: int, last_row: int, n: int, trend: str) -> FloatArray:
    """Deterministic terms for rows ``first_row … last_row``, in time scaled to [-1, 1].

    The Dickey–Fuller statistic does not depend on the basis of the trend space; Legendre
    polynomials keep it well conditioned where raw ``t²`` would not be.
    """
    time = 2.0 * np.arange(first_row, last_row + 1) / n - 1.0
    terms = {"c": 1, "ct": 2, "ctt": 3}.get(trend, 0)
    columns = [np.ones_like(time), time, 1.5 * time * time - 0.5][:terms]
    return np.stack(columns, axis=1) if columns else np.empty((len(time), 0))


def default_max_lags(n: int, trend: str) -> int:
    """Schwert's 12·(n/100)^¼, bounded by the sample; negative if ``n`` is too small for any test.

    The bound is statsmodels', less one where its largest candidate would leave no degree of freedom
    (``trend="n"``, even ``n``): a saturated model fits everything and would always be chosen.
    """
    terms = 0 if trend == "n" else len(trend)
    bound = n // 2 - terms - 1 - (trend == "n" and n % 2 == 0)
    return min(bound, int(np.ceil(12.0 * (n / 100.0) ** 0.25)))


def select_lags(ssr: FloatArray, last: FloatArray, n: int, n_terms: int, criterion: str) -> int:
    """Pick the lag order from the nested residual sums of squares ``ssr[…, lag]``.

    ``last`` holds the squared contribution of each model's last regressor (for the t-stat rule);
    ``n_terms`` counts the regressors of the model without lags. Ties go to the shorter model.
    """
    lags = np.arange(ssr.shape[-1])
    if criterion == "t-stat":
        dof = n - n_terms - lags
        significant = np.sqrt(last * dof / ssr) >= T_STAT_THRESHOLD
        return int(lags[significant][-1]) if significant.any() else 0
    penalty = 2.0 if criterion == "aic" else np.log(n)
    return int(np.argmin(n * np.log(ssr / n) + penalty * (lags + n_terms)))


def adf_by_qr(
    x: FloatArray, trend: str, *, lags: int | None, max_lags: int, criterion: str
) -> AdfFit:
    """Fit the ADF regression of ``x`` with ``lags`` lags, or with the lags ``criterion`` picks."""
    if lags is None:
        r = _triangle(x, trend, max_lags)
        terms = r.shape[0] - 1 - max_lags  # deterministic terms and the level
        independent = _independent_columns(r)
        if independent < terms:
            return AdfFit(np.nan, 0, len(x) - 1, "its level is collinear with the trend")
        # Candidates stop before the first lag that is a combination of the columns before it.
        candidates = min(max_lags, independent - terms)
        contributions = r[:, -1] ** 2
        ssr = np.cumsum(contributions[::-1])[::-1][terms : terms + candidates + 1]
        last = contributions[terms - 1 : terms + candidates]
        if ssr[-1] <= (RANK_TOLERANCE**2) * contributions.sum():
            return AdfFit(np.nan, 0, len(x) - 1, "the regression fits it without error")
        lags = select_lags(ssr, last, len(x) - 1 - max_lags, terms, criterion)
    r = _triangle(x, trend, lags, level_last=True)
    n = len(x) - 1 - lags
    dof = n - (r.shape[0] - 1)
    if _independent_columns(r) < r.shape[0] - 1 or dof < 1:
        return AdfFit(np.nan, lags, n, "its regressors are collinear")
    residual = abs(r[-1, -1])
    if residual <= RANK_TOLERANCE * np.linalg.norm(r[:, -1]):
        return AdfFit(np.nan, lags, n, "the regression fits it without error")
    statistic = np.sign(r[-2, -2]) * r[-2, -1] / residual * np.sqrt(dof)
    return AdfFit(float(statistic), lags, n)


def _triangle(x: FloatArray, trend: str, lags: int, *, level_last: bool = False) -> FloatArray:
    """R of the design matrix with the response as its last column."""
    n = len(x)
    level = x - x.mean() if trend.startswith("c") else x
    difference = np.diff(x)
    lagged = [difference[lags - j : n - 1 - j, None] for j in range(1, lags + 1)]
    columns = [level[lags : n - 1, None], *lagged]
    if level_last:
        columns = columns[1:] + columns[:1]
    terms = trend_columns(lags + 1, n - 1, n, trend)
    design = np.hstack([terms, *columns, difference[lags:, None]])
    if design.shape[0] < design.shape[1]:
        design = np.vstack([design, np.zeros((design.shape[1] - design.shape[0], design.shape[1]))])
    return np.asarray(np.linalg.qr(design, mode="r"))


def _independent_columns(r: FloatArray) -> int:
    """How many leading regressors (the response excluded) are linearly independent."""
    norms = np.linalg.norm(r, axis=0)[:-1]
    dependent = np.abs(np.diag(r))[:-1] <= RANK_TOLERANCE * norms
    return int(np.argmax(dependent)) if dependent.any() else len(norms)
