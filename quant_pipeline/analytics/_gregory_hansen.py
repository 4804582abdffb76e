"""Cointegration with one break at an unknown date."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from quant_pipeline.analytics._adf_regression import check_adf_options
from quant_pipeline.analytics._batched_adf import CHUNK, adf_batch
from quant_pipeline.analytics._inputs import FloatArray, as_pair, require_option

#: Gregory and Hansen (1996), table 1, ADF*, one regressor, 15 % trimming: 1, 5 and 10 %.
_CRITICAL_VALUES = {
    "level": (-5.13, -4.61, -4.34),
    "trend": (-5.45, -4.99, -4.72),
    "regime": (-5.47, -4.95, -4.68),
}
TRIM = 0.15
SHORTEST = 40


@dataclass(frozen=True, slots=True)
class GregoryHansen:
    """The least ADF statistic over all break dates, and the date that gives it.

    ``break_index`` is the last observation before the break. ``rejects`` compares with tabulated
    critical values, because no p-values were published.
    """

    statistic: float
    break_index: int | None
    lags: int
    n: int
    critical_values: dict[str, float]
    model: str
    null_hypothesis: str = "the series are not cointegrated"
    defined: bool = True
    reason: str | None = None

    def rejects(self, level: str = "5%") -> bool:
        """Whether the null is rejected at "1%", "5%" or "10%"; never when undefined."""
        return self.defined and self.statistic < self.critical_values[level]


def gregory_hansen(
    y: ArrayLike,
    x: ArrayLike,
    *,
    model: str = "level",
    lags: int | None = None,
    method: str = "aic",
) -> GregoryHansen:
    """Test for cointegration that may have broken once, at a date the data choose.

    Formula
    -------
    ADF* = min over break dates τ in the middle 70 % of the ADF statistic (no deterministic terms)
    of the residuals of y_t = a₁ + a₂·D_t + b·x_t + e_t, D_t = 1 after τ ("level"); plus c·t
    ("trend"); or plus b₂·D_t·x_t instead ("regime": the hedge ratio breaks too). Null: no
    cointegration, with or without break. If Engle–Granger does not reject and this does, the
    relation broke at ``break_index``.

    Units
    -----
    statistic dimensionless; break_index is an index into y; lags and n in observations (bars).

    Parameters
    ----------
    y, x : array of shape (n,)
        Levels on one clock.
    model : {"level", "trend", "regime"}
        What may break: Gregory and Hansen's C, C/T and C/S.
    lags, method
        As for ``adf``, chosen anew at every break date.

    Returns
    -------
    GregoryHansen
        Undefined if n < 40, a series is constant, or the series are collinear.

    Raises
    ------
    ValueError
        If lengths differ, a value is missing or infinite, or an option is unknown.

    References
    ----------
    Gregory and Hansen (1996), J. Econometrics 70(1).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = np.cumsum(rng.normal(size=300))
    >>> y = x + rng.normal(size=300) + 8.0 * (np.arange(300) >= 150)
    >>> result = gregory_hansen(y, x)
    >>> result.rejects("1%"), result.break_index
    (True, 149)
    """
    left, right = as_pair(y, x)
    require_option(model, "model", _CRITICAL_VALUES)
    order = check_adf_options("n", lags, method, None, len(left))
    n = len(left)
    reason = None
    if n < SHORTEST:
        reason = f"{n} observations; at least {SHORTEST} are needed"
    elif np.ptp(left) == 0.0 or np.ptp(right) == 0.0:
        reason = "a series is constant"
    elif abs(np.corrcoef(left, right)[0, 1]) > 1.0 - 1e-9:
        reason = "y and x are collinear"
    if reason is not None:
        return _undefined(model, reason)
    breaks = np.arange(int(TRIM * n), n - int(TRIM * n))
    statistic, chosen = np.full(len(breaks), np.nan), np.zeros(len(breaks), dtype=np.int64)
    for start in range(0, len(breaks), CHUNK):
        rows = slice(start, start + CHUNK)
        residuals = np.stack([_residuals(left, right, int(at), model) for at in breaks[rows]])
        batch = adf_batch(residuals, "n", lags=lags, max_lags=order, criterion=method)
        statistic[rows], chosen[rows] = batch.statistic, batch.lags
    if not np.isfinite(statistic).any():
        return _undefined(model, "no break date leaves residuals that can be tested")
    best = int(np.nanargmin(statistic))
    one, five, ten = _CRITICAL_VALUES[model]
    return GregoryHansen(
        statistic=float(statistic[best]),
        break_index=int(breaks[best]),
        lags=int(chosen[best]),
        n=n - 1 - int(chosen[best]),
        critical_values={"1%": one, "5%": five, "10%": ten},
        model=model,
    )


def _residuals(y: FloatArray, x: FloatArray, last_before: int, model: str) -> FloatArray:
    """Residuals of y on x and the terms that break after ``last_before``."""
    after = (np.arange(len(y)) > last_before).astype(float)
    columns = [after, x - x.mean()]
    if model == "trend":
        columns.append(np.arange(len(y)) / len(y))
    elif model == "regime":
        columns.append(after * (x - x.mean()))
    design = np.stack([np.ones(len(y)), *columns], axis=1)
    basis = np.linalg.qr(design)[0]
    centred = y - y.mean()
    return np.asarray(centred - basis @ (basis.T @ centred))


def _undefined(model: str, reason: str) -> GregoryHansen:
    nan = float("nan")
    none = {"1%": nan, "5%": nan, "10%": nan}
    return GregoryHansen(nan, None, 0, 0, none, model, defined=False, reason=reason)
