"""Augmented Dickey–Fuller tests, of one series and of every window of one."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from quant_pipeline.analytics._adf_regression import check_adf_options, no_adf_reason
from quant_pipeline.analytics._batched_adf import adf_batch
from quant_pipeline.analytics._inputs import as_series, require_at_least
from quant_pipeline.analytics._mackinnon import critical_values, pvalues
from quant_pipeline.analytics._unit_root import UNIT_ROOT_NULL, UnitRoot, undefined


def adf(
    x: ArrayLike,
    *,
    trend: str = "c",
    lags: int | None = None,
    method: str = "aic",
    max_lags: int | None = None,
) -> UnitRoot:
    """Augmented Dickey–Fuller test of a unit root.

    Formula
    -------
    Δx_t = d_t + γ·x_{t−1} + Σ_{j=1}^{lags} δ_j·Δx_{t−j} + e_t; the statistic is γ̂ / stderr(γ̂).
    Null: γ = 0 (unit root). Left-tailed, MacKinnon's p-values and critical values.

    Units
    -----
    statistic dimensionless; lags and n in observations (bars).

    Parameters
    ----------
    x : array of shape (n,)
        A level: a spread or log price.
    trend : {"n", "c", "ct", "ctt"}
        Deterministic terms d_t: none, constant, and linear, and quadratic trend.
    lags : int, optional
        Fixed number of lagged differences; None lets ``method`` choose.
    method : {"aic", "bic", "t-stat"}
        Criterion, computed on one common sample for all candidate orders.
    max_lags : int, optional
        Largest candidate; default Schwert's ⌈12·(n/100)^¼⌉, less on short series.

    Returns
    -------
    UnitRoot
        Undefined if the series is constant or too short, if its regressors are collinear, or if
        the regression fits it without error.

    Raises
    ------
    ValueError
        If a value is missing or infinite, an option is unknown, or ``lags`` is negative.

    References
    ----------
    Dickey and Fuller (1979), JASA 74; MacKinnon (1994, 2010); Schwert (1989).

    Examples
    --------
    >>> import numpy as np
    >>> walk = np.cumsum(np.random.default_rng(0).normal(size=500))
    >>> adf(walk).rejects(), adf(np.diff(walk)).rejects()
    (False, True)
    """
    series = as_series(x, "x")
    order = check_adf_options(trend, lags, method, max_lags, len(series))
    reason = no_adf_reason(series, trend, lags, order)
    if reason is not None:
        return undefined("ADF", trend, UNIT_ROOT_NULL, reason)
    batch = adf_batch(series[None, :], trend, lags=lags, max_lags=order, criterion=method)
    if batch.reason[0] is not None:
        return undefined("ADF", trend, UNIT_ROOT_NULL, f"ADF regression: {batch.reason[0]}")
    n = int(batch.n[0])
    return UnitRoot(
        statistic=float(batch.statistic[0]),
        pvalue=float(pvalues(batch.statistic, trend, 1)[0]),
        lags=int(batch.lags[0]),
        n=n,
        critical_values=critical_values(trend, 1, n),
        test="ADF",
        trend=trend,
        null_hypothesis=UNIT_ROOT_NULL,
    )


def rolling_adf(
    x: ArrayLike,
    window: int,
    *,
    step: int = 1,
    trend: str = "c",
    lags: int | None = None,
    method: str = "aic",
    max_lags: int | None = None,
) -> pl.DataFrame:
    """ADF over trailing windows, all of them factorised together.

    Formula
    -------
    ``adf`` on observations end−window+1 … end, for end = window−1, window−1+step, …

    Units
    -----
    end is an index into ``x``; window, step, lags and n in observations (bars).

    Parameters
    ----------
    x : array of shape (n,)
        A level: a spread or log price.
    window, step : int
        Window length and the distance between window ends.
    trend, lags, method, max_lags
        As for ``adf``, applied in each window.

    Returns
    -------
    polars.DataFrame
        Columns ``end``, ``statistic``, ``pvalue``, ``lags``, ``n``; null where the window's test
        is undefined (constant window, perfect fit). Empty if no window fits.

    Raises
    ------
    ValueError
        If a value is missing or infinite, an option is unknown, ``step`` is below 1, or
        ``window`` is too short for a test.

    References
    ----------
    As ``adf``.

    Examples
    --------
    >>> import numpy as np
    >>> walk = np.cumsum(np.random.default_rng(0).normal(size=300))
    >>> rolling_adf(walk, 100, step=100).select("end", "n").rows()
    [(99, 99), (199, 99), (299, 99)]
    """
    series = as_series(x, "x")
    require_at_least(step, "step", 1)
    order = check_adf_options(trend, lags, method, max_lags, window)
    shortest = no_adf_reason(np.arange(float(window)), trend, lags, order)
    if shortest is not None:
        raise ValueError(f"window is {window}: {shortest}; use a longer window")
    ends = np.arange(window - 1, len(series), step)
    statistic = np.full(len(ends), np.nan)
    chosen = np.zeros(len(ends), dtype=np.int64)
    if len(ends):
        windows = np.lib.stride_tricks.sliding_window_view(series, window)[::step]
        moving = np.flatnonzero(np.ptp(windows, axis=1) > 0.0)
        batch = adf_batch(windows[moving], trend, lags=lags, max_lags=order, criterion=method)
        statistic[moving], chosen[moving] = batch.statistic, batch.lags
    defined = np.isfinite(statistic)
    return pl.DataFrame(
        {
            "end": ends,
            "statistic": statistic,
            "pvalue": pvalues(statistic, trend, 1),
            "lags": chosen,
            "n": window - 1 - chosen,
        }
    ).with_columns(pl.when(pl.Series(defined)).then(pl.col("statistic", "pvalue", "lags", "n")))
