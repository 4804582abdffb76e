"""Does a cointegrating relation last, or was it one lucky window?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from quant_pipeline.analytics._adf_regression import check_adf_options, no_adf_reason
from quant_pipeline.analytics._batched_adf import CHUNK, adf_batch
from quant_pipeline.analytics._engle_granger import COLLINEAR_R_SQUARED, NO_COINTEGRATION
from quant_pipeline.analytics._inputs import FloatArray, as_pair, require_at_least
from quant_pipeline.analytics._mackinnon import pvalues


@dataclass(frozen=True, slots=True, eq=False)
class RollingCointegration:
    """Engle–Granger in every window, and the share of windows that pass.

    ``frame`` has columns ``end, alpha, beta, statistic, pvalue, lags``; ``share`` is that of
    ``n_windows`` defined windows whose p-value is below ``level``. Without cointegration about
    ``level`` of them pass; overlapping windows are not independent trials.
    """

    frame: pl.DataFrame
    share: float
    n_windows: int
    level: float
    window: int
    step: int
    null_hypothesis: str = NO_COINTEGRATION
    defined: bool = True
    reason: str | None = None


def rolling_cointegration(
    y: ArrayLike,
    x: ArrayLike,
    window: int,
    *,
    step: int = 1,
    level: float = 0.05,
    lags: int | None = None,
    method: str = "aic",
) -> RollingCointegration:
    """Repeat ``engle_granger`` (with a constant) over trailing windows, batched.

    Formula
    -------
    For each window its own OLS of y on x and ADF of the residuals; share = windows with p < level
    / windows with a defined test.

    Units
    -----
    window, step, end and lags in observations (bars); share 0–1; alpha, beta as ``ols``.

    Parameters
    ----------
    y, x : array of shape (n,)
        Levels on one clock.
    window, step : int
        Window length and the distance between window ends.
    level : float
        Significance level that counts as passing.
    lags, method
        As for ``adf``, in each window.

    Returns
    -------
    RollingCointegration
        Rows of undefined windows (constant, collinear) hold null. Undefined if no window fits.

    Raises
    ------
    ValueError
        If lengths differ, a value is missing or infinite, an option is unknown, ``step`` is below
        1, or ``window`` is too short for a test.

    References
    ----------
    Engle and Granger (1987), Econometrica 55(2), window by window.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = np.cumsum(rng.normal(size=600))
    >>> rolling_cointegration(x + rng.normal(size=600), x, 200, step=100).share
    1.0
    """
    left, right = as_pair(y, x)
    require_at_least(step, "step", 1)
    order = check_adf_options("n", lags, method, None, window)
    short = no_adf_reason(np.arange(float(window)), "n", lags, order)
    if short is not None:
        raise ValueError(f"window is {window}: {short}; use a longer window")
    ends = np.arange(window - 1, len(left), step, dtype=np.int64)
    columns = {name: np.full(len(ends), np.nan) for name in ("alpha", "beta", "statistic", "lags")}
    for start in range(0, len(ends), CHUNK):
        rows = slice(start, min(start + CHUNK, len(ends)))
        block_y, block_x = (_windows(series, ends[rows], window) for series in (left, right))
        _fill(columns, rows, block_y, block_x, lags, order, method)
    statistic = columns["statistic"]
    p = pvalues(statistic, "c", 2)
    defined = np.isfinite(statistic)
    frame = pl.DataFrame(
        {
            "end": ends,
            "alpha": columns["alpha"],
            "beta": columns["beta"],
            "statistic": statistic,
            "pvalue": p,
            "lags": pl.Series(columns["lags"]).fill_nan(None).cast(pl.Int64),
        }
    ).with_columns(pl.selectors.float().fill_nan(None))
    count = int(defined.sum())
    return RollingCointegration(
        frame=frame,
        share=float((p[defined] < level).mean()) if count else float("nan"),
        n_windows=count,
        level=level,
        window=window,
        step=step,
        defined=count > 0,
        reason=None if count else f"{len(left)} observations hold no testable window of {window}",
    )


def _windows(series: FloatArray, ends: NDArray[np.int64], window: int) -> FloatArray:
    return np.asarray(series[ends[:, None] + np.arange(1 - window, 1)])


def _fill(
    columns: dict[str, FloatArray],
    rows: slice,
    y: FloatArray,
    x: FloatArray,
    lags: int | None,
    max_lags: int,
    method: str,
) -> None:
    """Regress and test the windows ``rows``, whose values are the rows of ``y`` and ``x``."""
    mean_y, mean_x = y.mean(axis=1), x.mean(axis=1)
    dy, dx = y - mean_y[:, None], x - mean_x[:, None]
    moves = (np.ptp(y, axis=1) > 0.0) & (np.ptp(x, axis=1) > 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        beta = np.where(moves, np.vecdot(dx, dy) / np.vecdot(dx, dx), np.nan)
    residuals = dy - beta[:, None] * dx
    with np.errstate(divide="ignore", invalid="ignore"):
        r_squared = 1.0 - np.vecdot(residuals, residuals) / np.vecdot(dy, dy)
    testable = np.flatnonzero(moves & (r_squared < COLLINEAR_R_SQUARED))
    columns["beta"][rows] = beta
    columns["alpha"][rows] = mean_y - beta * mean_x
    if len(testable):
        batch = adf_batch(residuals[testable], "n", lags=lags, max_lags=max_lags, criterion=method)
        at = np.arange(rows.start, rows.stop)[testable]
        columns["statistic"][at] = batch.statistic
        columns["lags"][at] = np.where(np.isfinite(batch.statistic), batch.lags, np.nan)
