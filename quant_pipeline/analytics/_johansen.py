"""Johansen's test of how many cointegrating relations a system of series has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg
from statsmodels.tsa.vector_ar.vecm import coint_johansen

from quant_pipeline.analytics._inputs import FloatArray, as_matrix, require_at_least
from quant_pipeline.analytics._library_call import UndefinedStatisticError, call_library

#: Osterwald-Lenum (1992), table 1*: constant restricted to the cointegrating relation; 10, 5 and
#: 1 % points by number of series minus rank, 1 … 11, as R's urca uses them.
_RESTRICTED_TRACE = (
    (7.52, 17.85, 32.00, 49.65, 71.86, 97.18, 126.58, 159.48, 196.37, 236.54, 282.45),
    (9.24, 19.96, 34.91, 53.12, 76.07, 102.14, 131.70, 165.58, 202.92, 244.15, 291.40),
    (12.97, 24.60, 41.07, 60.16, 84.45, 111.01, 143.09, 177.20, 215.74, 257.68, 307.64),
)
_RESTRICTED_MAX_EIGEN = (
    (7.52, 13.75, 19.77, 25.56, 31.66, 37.45, 43.25, 48.91, 54.35, 60.25, 66.02),
    (9.24, 15.67, 22.00, 28.14, 34.40, 40.30, 46.45, 52.00, 57.42, 63.57, 69.74),
    (12.97, 20.20, 26.81, 33.24, 39.79, 46.82, 51.91, 57.95, 63.71, 69.94, 76.63),
)
MOST_SERIES = {False: 12, True: 11}


@dataclass(frozen=True, slots=True, eq=False)
class Johansen:
    """Row r of every statistic tests the null "at most r cointegrating relations".

    Critical values have columns 10, 5, 1 %. ``vectors`` holds one cointegrating vector a column,
    the strongest first, scaled to 1 in its first series; with a restricted constant the last row is
    the constant.
    """

    trace: FloatArray
    trace_critical_values: FloatArray
    max_eigen: FloatArray
    max_eigen_critical_values: FloatArray
    eigenvalues: FloatArray
    vectors: FloatArray
    lags: int
    n: int
    deterministic: str
    null_hypothesis: str = "at most r cointegrating relations (row r)"
    defined: bool = True
    reason: str | None = None

    @property
    def rank(self) -> int:
        """Cointegrating relations at 5 % by the trace test: the first r that is not rejected."""
        kept = np.flatnonzero(~(self.trace > self.trace_critical_values[:, 1]))
        return int(kept[0]) if len(kept) else len(self.trace)


def johansen(
    prices: ArrayLike,
    *,
    det_order: int = 0,
    lags: int = 1,
    restricted_constant: bool = False,
    seasons: int | None = None,
) -> Johansen:
    """Test the cointegration rank of a system by reduced-rank regression.

    Formula
    -------
    Δx_t = Π·x_{t−1} + Σ_{j=1}^{lags} Γ_j·Δx_{t−j} + d_t + e_t. With λ_i the squared canonical
    correlations of Δx and x_{t−1} given the rest: trace(r) = −n·Σ_{i>r} ln(1−λ_i),
    max_eigen(r) = −n·ln(1−λ_{r+1}).

    Units
    -----
    Statistics dimensionless; vectors in units of the first series per unit of each other; lags and
    n in observations (bars).

    Parameters
    ----------
    prices : array of shape (n, k) or polars.DataFrame
        Levels, one column a series.
    det_order : {-1, 0, 1}
        No deterministic term, a constant, or a linear trend, as in statsmodels (the jplv MATLAB
        toolbox).
    lags : int
        Lagged differences: a VAR of order lags + 1. R's urca calls that order K.
    restricted_constant : bool
        Put the constant inside the cointegrating relation instead (urca's ecdet="const"), so that
        the levels do not drift; ``det_order`` is then not used. The right choice for prices without
        drift: the free constant's critical values suppose one, and reject too often without it.
    seasons : int, optional
        Centred seasonal dummies of that period, with ``restricted_constant`` only.

    Returns
    -------
    Johansen
        Undefined if a series is constant, series are collinear, or n is too small.

    Raises
    ------
    ValueError
        If a value is missing or infinite, fewer than 2 or too many columns are given (critical
        values end at 12, restricted at 11), or an option is out of range.

    References
    ----------
    Johansen (1988), J. Economic Dynamics and Control 12; Johansen and Juselius (1990), Oxford
    Bulletin 52; Osterwald-Lenum (1992), Oxford Bulletin 54.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = np.cumsum(rng.normal(size=500))
    >>> pair = np.column_stack([2.0 * x + rng.normal(size=500), x])
    >>> result = johansen(pair, det_order=0, lags=1)
    >>> result.rank, round(float(result.vectors[1, 0]), 1)
    (1, -2.0)
    """
    system = as_matrix(prices, "prices")
    k = system.shape[1]
    require_at_least(lags, "lags", 0)
    if not 2 <= k <= MOST_SERIES[restricted_constant]:
        raise ValueError(
            f"prices has {k} columns; the test takes 2 to {MOST_SERIES[restricted_constant]}"
        )
    if det_order not in (-1, 0, 1):
        raise ValueError(f"det_order is {det_order}; choose -1, 0 or 1")
    if seasons is not None and not restricted_constant:
        raise ValueError("seasons needs restricted_constant=True")
    deterministic = "restricted constant" if restricted_constant else _NAMES[det_order]
    reason = _no_system(system, lags, seasons)
    if reason is not None:
        return _undefined(k, lags, deterministic, reason)

    def run() -> Johansen:
        if restricted_constant:
            return _restricted(system, lags, seasons or 1)
        return _by_statsmodels(system, lags, det_order)

    try:
        result = call_library(run)
    except UndefinedStatisticError as refusal:
        return _undefined(k, lags, deterministic, str(refusal))
    if not np.isfinite(result.trace).all():
        return _undefined(k, lags, deterministic, "the system fits without error")
    return result


_NAMES = {-1: "none", 0: "constant", 1: "linear trend"}


def _by_statsmodels(system: FloatArray, lags: int, det_order: int) -> Johansen:
    fit = coint_johansen(system, det_order, lags)
    return Johansen(
        trace=fit.trace_stat.real,
        trace_critical_values=fit.trace_stat_crit_vals,
        max_eigen=fit.max_eig_stat.real,
        max_eigen_critical_values=fit.max_eig_stat_crit_vals,
        eigenvalues=fit.eig.real,
        vectors=fit.evec.real / fit.evec.real[0],
        lags=lags,
        n=len(system) - 1 - lags,
        deterministic=_NAMES[det_order],
    )


def _restricted(system: FloatArray, lags: int, seasons: int) -> Johansen:
    """Reduced-rank regression with the constant among the levels, and seasonal dummies."""
    n, k = system.shape
    difference = np.diff(system, axis=0)
    response = difference[lags:]
    level = np.column_stack([system[lags:-1], np.ones(n - 1 - lags)])
    lagged = [difference[lags - j : n - 1 - j] for j in range(1, lags + 1)]
    dummies = (np.eye(seasons) - 1.0 / seasons)[:, :-1]
    season_of_row = np.arange(lags + 1, n) % seasons
    other = np.hstack([*lagged, dummies[season_of_row]])
    if other.shape[1]:
        basis = np.linalg.qr(other)[0]
        response = response - basis @ (basis.T @ response)
        level = level - basis @ (basis.T @ level)
    # Canonical correlations by QR and SVD: no moment matrix is squared or inverted.
    q_response = np.linalg.qr(response)[0]
    q_level, r_level = np.linalg.qr(level)
    _, correlations, right = np.linalg.svd(q_response.T @ q_level)
    eigenvalues = correlations[:k] ** 2
    vectors = linalg.solve_triangular(r_level, right.T[:, :k])
    rows = len(response)
    max_eigen = -rows * np.log1p(-eigenvalues)
    order = np.arange(k, 0, -1) - 1
    return Johansen(
        trace=np.cumsum(max_eigen[::-1])[::-1],
        trace_critical_values=np.array(_RESTRICTED_TRACE)[:, order].T,
        max_eigen=max_eigen,
        max_eigen_critical_values=np.array(_RESTRICTED_MAX_EIGEN)[:, order].T,
        eigenvalues=eigenvalues,
        vectors=vectors / vectors[0],
        lags=lags,
        n=rows,
        deterministic="restricted constant",
    )


def _no_system(system: FloatArray, lags: int, seasons: int | None) -> str | None:
    n, k = system.shape
    needed = 1 + lags + k * (lags + 1) + (seasons or 1) + k + 1
    if n < needed:
        return f"{n} observations; {k} series with {lags} lags need at least {needed}"
    centred = system - system.mean(axis=0)
    norms = np.linalg.norm(centred, axis=0)
    if (np.ptp(system, axis=0) == 0.0).any():
        return "a series is constant"
    if np.linalg.matrix_rank(centred / norms, tol=1e-9) < k:
        return "the series are collinear"
    if np.linalg.matrix_rank(np.diff(system, axis=0) / norms, tol=1e-12) < k:
        return "the differences of the series are collinear"
    return None


def _undefined(k: int, lags: int, deterministic: str, reason: str) -> Johansen:
    row, table = np.full(k, np.nan), np.full((k, 3), np.nan)
    return Johansen(
        row, table, row, table, row, np.full((k, k), np.nan), lags, 0, deterministic,
        defined=False, reason=reason,
    )  # fmt: skip
