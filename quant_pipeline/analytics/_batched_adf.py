"""Augmented Dickey–Fuller regressions for many equally long series at once.

Three facts make this fast. The cross products of lagged differences form a nearly Toeplitz matrix:
each diagonal follows from its first entry by adding the row that enters and dropping the one that
leaves. One Cholesky factorisation gives the residual sum of squares of every nested lag order. And
the final regression, whose sample starts earlier because it has fewer lags, differs from the
selection sample by a few rows that are added to the same matrix.

Squaring into a Gram matrix loses digits when a regressor is nearly a combination of the others.
Rows in which that happens are recognised and done again by QR (``_adf_regression``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quant_pipeline.analytics._adf_regression import (
    T_STAT_THRESHOLD,
    adf_by_qr,
    trend_columns,
)
from quant_pipeline.analytics._inputs import FloatArray

#: Smallest share of a regressor's variance that the others may leave unexplained before the
#: Gram matrix is mistrusted. At 1e-5 the statistic keeps about ten digits.
CONDITION_FLOOR = 1e-5
#: Series whose Gram matrices are built together; keeps the working set in the cache.
CHUNK = 64


@dataclass(frozen=True, slots=True)
class AdfBatch:
    """One ADF regression for each row: NaN where there is none, with the reason."""

    statistic: FloatArray
    lags: NDArray[np.int64]
    n: NDArray[np.int64]
    reason: list[str | None]


def adf_batch(
    series: FloatArray, trend: str, *, lags: int | None, max_lags: int, criterion: str
) -> AdfBatch:
    """ADF of each row of ``series`` (shape (series, observations)).

    ``lags`` fixes the order; None lets ``criterion`` choose among 0 … ``max_lags``. The caller has
    checked that the sample is long enough and that no row is constant.
    """
    count, length = series.shape
    statistic = np.full(count, np.nan)
    chosen = np.zeros(count, dtype=np.int64)
    reason: list[str | None] = [None] * count
    for start in range(0, count, CHUNK):
        rows = slice(start, start + CHUNK)
        statistic[rows], chosen[rows] = _adf_chunk(series[rows], trend, lags, max_lags, criterion)
    for row in np.flatnonzero(np.isnan(statistic)):
        fit = adf_by_qr(series[row], trend, lags=lags, max_lags=max_lags, criterion=criterion)
        statistic[row], chosen[row], reason[row] = fit.statistic, fit.lags, fit.reason
    return AdfBatch(statistic, chosen, length - 1 - chosen, reason)


def _adf_chunk(
    series: FloatArray, trend: str, lags: int | None, max_lags: int, criterion: str
) -> tuple[FloatArray, NDArray[np.int64]]:
    """Statistics and lag orders of a chunk; NaN marks the rows to be done again by QR."""
    order = max_lags if lags is None else lags
    level = series - series.mean(axis=1, keepdims=True) if trend.startswith("c") else series
    difference = np.diff(series, axis=1)
    gram = _gram(level, difference, order, trend)
    if lags is None:
        chosen = _choose(gram, order, series.shape[1] - 1 - order, criterion)
    else:
        chosen = np.full(len(series), lags, dtype=np.int64)
    statistic = np.full(len(series), np.nan)
    for lag in np.unique(chosen[chosen >= 0]):
        rows = np.flatnonzero(chosen == lag)
        statistic[rows] = _final(gram[rows], level[rows], difference[rows], order, int(lag), trend)
    return statistic, np.maximum(chosen, 0)


def _gram(level: FloatArray, difference: FloatArray, order: int, trend: str) -> FloatArray:
    """Cross products of (trend, level, lags 1 … order, response) over the common sample."""
    count, n = level.shape
    first = order + 1
    terms = trend_columns(first, n - 1, n, trend)
    k = terms.shape[1]
    lev = level[:, order : n - 1]
    gram = np.empty((count, k + order + 2, k + order + 2))
    gram[:, :k, :k] = terms.T @ terms
    gram[:, :k, k] = lev @ terms
    gram[:, k, k] = np.vecdot(lev, lev)
    lagged_products = np.empty((count, order + 1, order + 1))
    response = difference[:, order:]
    # Position of the j-th lagged difference in the matrix; lag 0, the response, comes last.
    position = [k + 1 + order, *range(k + 1, k + 1 + order)]
    for j in range(order + 1):
        lagged = difference[:, order - j : n - 1 - j]
        gram[:, :k, position[j]] = lagged @ terms
        gram[:, k, position[j]] = np.vecdot(lev, lagged)
        lagged_products[:, 0, j] = np.vecdot(response, lagged)
    entering = difference[:, :order][:, ::-1]  # d[order-1], d[order-2], …: before the sample
    leaving = difference[:, ::-1][:, :order]  # d[n-2], d[n-3], …: its last rows
    for j in range(order):
        lagged_products[:, j + 1, j + 1 :] = (
            lagged_products[:, j, j:order]
            + entering[:, j, None] * entering[:, j:]
            - leaving[:, j, None] * leaving[:, j:]
        )
    gram[:, k + 1 : -1, k + 1 : -1] = lagged_products[:, 1:, 1:]
    gram[:, k + 1 :, -1] = lagged_products[:, 0, [*range(1, order + 1), 0]]
    # Only the upper triangle was filled; mirror it.
    lower = np.tril_indices(gram.shape[1], -1)
    gram[:, lower[0], lower[1]] = gram[:, lower[1], lower[0]]
    return gram


def _choose(gram: FloatArray, order: int, n: int, criterion: str) -> NDArray[np.int64]:
    """Lag order of each row, or -1 where the factorisation cannot be trusted."""
    factor = _cholesky(gram)
    trusted = _well_conditioned(factor, gram)
    n_terms = gram.shape[1] - 1 - order  # deterministic terms and the level
    contributions = factor[:, -1, :] ** 2
    remaining = np.cumsum(contributions[:, ::-1], axis=1)[:, ::-1]
    ssr = np.where(trusted[:, None], remaining[:, n_terms:], 1.0)
    lags = np.arange(order + 1)
    if criterion == "t-stat":
        last = contributions[:, n_terms - 1 : -1]
        significant = np.sqrt(last * (n - n_terms - lags) / ssr) >= T_STAT_THRESHOLD
        chosen = np.where(significant.any(axis=1), order - significant[:, ::-1].argmax(axis=1), 0)
    else:
        penalty = 2.0 if criterion == "aic" else np.log(n)
        chosen = np.argmin(n * np.log(ssr / n) + penalty * (lags + n_terms), axis=1)
    return np.where(trusted, chosen, -1)


def _final(
    gram: FloatArray,
    level: FloatArray,
    difference: FloatArray,
    order: int,
    lag: int,
    trend: str,
) -> FloatArray:
    """t statistics of the level with ``lag`` lags, on the sample that this lag order allows."""
    count, n = level.shape
    k = gram.shape[1] - 2 - order
    keep = [*range(k), *range(k + 1, k + 1 + lag), k, gram.shape[1] - 1]  # level last but one
    g = gram[:, keep][:, :, keep]
    extra = order - lag  # rows lag+1 … order, which the selection sample left out
    if extra:
        rows = np.empty((count, extra, len(keep)))
        rows[:, :, :k] = trend_columns(lag + 1, order, n, trend)
        for j in range(1, lag + 1):
            rows[:, :, k + j - 1] = difference[:, lag - j : order - j]
        rows[:, :, -2] = level[:, lag:order]
        rows[:, :, -1] = difference[:, lag:order]
        g = g + rows.transpose(0, 2, 1) @ rows
    factor = _cholesky(g)
    dof = n - 1 - lag - (k + 1 + lag)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = factor[:, -1, -2] / factor[:, -1, -1] * np.sqrt(dof)
    return np.where(_well_conditioned(factor, g), statistic, np.nan)


def _well_conditioned(factor: FloatArray, gram: FloatArray) -> NDArray[np.bool_]:
    """Whether no column is nearly a combination of those before it."""
    pivots = np.diagonal(factor, axis1=1, axis2=2) ** 2
    return np.asarray((pivots > CONDITION_FLOOR * np.diagonal(gram, axis1=1, axis2=2)).all(axis=1))


def _cholesky(gram: FloatArray) -> FloatArray:
    """Cholesky factors, NaN for matrices that are not positive definite."""
    try:
        return np.asarray(np.linalg.cholesky(gram), dtype=np.float64)
    except np.linalg.LinAlgError:
        if len(gram) == 1:
            return np.full_like(gram, np.nan)
        half = len(gram) // 2
        return np.concatenate([_cholesky(gram[:half]), _cholesky(gram[half:])])
