"""Tests for a unit root, and for its absence.

ADF, Phillips–Perron, DF-GLS and Zivot–Andrews suppose a unit root and look for evidence against it;
KPSS supposes stationarity. ``stationarity`` runs one of each kind and says in words what the two
verdicts mean together. ADF is our own, with one factorisation for all lag orders; the others are
arch's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import polars as pl
from arch.unitroot import DFGLS, KPSS, PhillipsPerron, ZivotAndrews
from arch.utility.exceptions import InfeasibleTestException
from numpy.typing import ArrayLike

from quant_pipeline.analytics._adf_regression import (
    CRITERIA,
    check_adf_options,
    no_adf_reason,
)
from quant_pipeline.analytics._batched_adf import adf_batch
from quant_pipeline.analytics._inputs import (
    FloatArray,
    as_series,
    require_at_least,
    require_option,
)
from quant_pipeline.analytics._mackinnon import critical_values, pvalues

__all__ = [
    "Stationarity",
    "UnitRoot",
    "adf",
    "dfgls",
    "kpss",
    "phillips_perron",
    "rolling_adf",
    "stationarity",
    "zivot_andrews",
]

UNIT_ROOT_NULL = "the series has a unit root"
STATIONARY_NULL = "the series is stationary"


@dataclass(frozen=True, slots=True)
class UnitRoot:
    """Result of a unit-root (or stationarity) test; NaN where ``defined`` is false.

    ``n`` counts the observations of the test regression, ``critical_values`` are keyed "1%", "5%",
    "10%". ``null_hypothesis`` says what a small p-value rejects.
    """

    statistic: float
    pvalue: float
    lags: int
    n: int
    critical_values: dict[str, float]
    test: str
    trend: str
    null_hypothesis: str
    defined: bool = True
    reason: str | None = None

    def rejects(self, level: float = 0.05) -> bool:
        """Whether the null is rejected at ``level``; never when undefined."""
        return self.defined and self.pvalue < level


@dataclass(frozen=True, slots=True)
class Stationarity:
    """Verdicts under both nulls and, in words, what they say together."""

    adf: UnitRoot
    kpss: UnitRoot
    verdict: str
    explanation: str
    level: float


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
        return _undefined("ADF", trend, UNIT_ROOT_NULL, reason)
    batch = adf_batch(series[None, :], trend, lags=lags, max_lags=order, criterion=method)
    if batch.reason[0] is not None:
        return _undefined("ADF", trend, UNIT_ROOT_NULL, f"ADF regression: {batch.reason[0]}")
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


def phillips_perron(
    x: ArrayLike, *, trend: str = "c", lags: int | None = None, statistic: str = "tau"
) -> UnitRoot:
    """Phillips–Perron test of a unit root, via arch.

    Formula
    -------
    x_t = d_t + ρ·x_{t−1} + u_t; Z_τ is ρ̂'s t statistic, Z_ρ is n(ρ̂−1), each corrected for serial
    correlation by a Newey–West variance with ``lags`` lags. Null: ρ = 1.

    Units
    -----
    statistic dimensionless; lags and n in observations (bars).

    Parameters
    ----------
    x : array of shape (n,)
        A level.
    trend : {"n", "c", "ct"}
        Deterministic terms.
    lags : int, optional
        Bandwidth; default ⌈12·(n/100)^¼⌉.
    statistic : {"tau", "rho"}
        Which of the two statistics.

    Returns
    -------
    UnitRoot
        Undefined if the series is constant or too short.

    Raises
    ------
    ValueError
        If a value is missing or infinite, or an option is unknown.

    References
    ----------
    Phillips and Perron (1988), Biometrika 75.

    Examples
    --------
    >>> import numpy as np
    >>> phillips_perron(np.random.default_rng(0).normal(size=200)).rejects()
    True
    """
    series = as_series(x, "x")
    require_option(trend, "trend", ("n", "c", "ct"))
    require_option(statistic, "statistic", ("tau", "rho"))
    return _arch_test(
        series,
        "Phillips–Perron",
        trend,
        UNIT_ROOT_NULL,
        partial(cast(Any, PhillipsPerron), series, lags=lags, trend=trend, test_type=statistic),
    )


def kpss(x: ArrayLike, *, trend: str = "c", lags: int | None = None) -> UnitRoot:
    """KPSS test of stationarity: here a small p-value speaks *against* stationarity.

    Formula
    -------
    η = n⁻²·Σ S_t² / σ̂², S_t the cumulative sum of residuals on the deterministic terms and σ̂² their
    Bartlett-kernel long-run variance. Null: stationary around a level ("c") or trend ("ct").
    Right-tailed; p-values are arch's simulated ones (statsmodels cuts them off at 0.01 and 0.10).

    Units
    -----
    statistic dimensionless; lags and n in observations (bars).

    Parameters
    ----------
    x : array of shape (n,)
        A level.
    trend : {"c", "ct"}
        Level or trend stationarity.
    lags : int, optional
        Bandwidth; default the data-dependent choice of Hobijn, Franses and Ooms.

    Returns
    -------
    UnitRoot
        Undefined if the series is constant (or exactly its trend) or too short.

    Raises
    ------
    ValueError
        If a value is missing or infinite, or an option is unknown.

    References
    ----------
    Kwiatkowski, Phillips, Schmidt and Shin (1992), J. Econometrics 54; Hobijn et al. (2004),
    Statistica Neerlandica 58.

    Examples
    --------
    >>> import numpy as np
    >>> noise = np.random.default_rng(0).normal(size=500)
    >>> kpss(noise).rejects(), kpss(np.cumsum(noise)).rejects()
    (False, True)
    """
    series = as_series(x, "x")
    require_option(trend, "trend", ("c", "ct"))
    if len(series) > 3 and lags is None:
        lags = _hobijn_bandwidth(_detrended(series, trend))
    return _arch_test(
        series,
        "KPSS",
        trend,
        STATIONARY_NULL,
        partial(cast(Any, KPSS), series, lags=lags, trend=trend),
    )


def dfgls(
    x: ArrayLike, *, trend: str = "c", lags: int | None = None, method: str = "aic"
) -> UnitRoot:
    """Elliott–Rothenberg–Stock DF-GLS test of a unit root, via arch.

    Formula
    -------
    ADF without deterministic terms on the series detrended by GLS at the local alternative
    1 − 7/n ("c") or 1 − 13.5/n ("ct"). Null: unit root. More powerful than ADF near the root.

    Units
    -----
    statistic dimensionless; lags and n in observations (bars).

    Parameters
    ----------
    x : array of shape (n,)
        A level.
    trend : {"c", "ct"}
        Deterministic terms.
    lags : int, optional
        Fixed lag order; None lets ``method`` choose.
    method : {"aic", "bic", "t-stat"}
        Criterion.

    Returns
    -------
    UnitRoot
        Undefined if the series is constant or too short.

    Raises
    ------
    ValueError
        If a value is missing or infinite, or an option is unknown.

    References
    ----------
    Elliott, Rothenberg and Stock (1996), Econometrica 64(4).

    Examples
    --------
    >>> import numpy as np
    >>> dfgls(np.random.default_rng(0).normal(size=200)).rejects()
    True
    """
    series = as_series(x, "x")
    require_option(trend, "trend", ("c", "ct"))
    require_option(method, "method", CRITERIA)
    return _arch_test(
        series,
        "DF-GLS",
        trend,
        UNIT_ROOT_NULL,
        partial(cast(Any, DFGLS), series, lags=lags, trend=trend, method=method),
    )


def zivot_andrews(
    x: ArrayLike,
    *,
    trend: str = "c",
    lags: int | None = None,
    method: str = "aic",
    trim: float = 0.15,
) -> UnitRoot:
    """Zivot–Andrews test of a unit root against stationarity with one break, via arch.

    Formula
    -------
    The least ADF t statistic over all break dates in the middle 1 − 2·trim of the sample, with a
    break in the level ("c"), the trend ("t") or both ("ct"). Null: unit root without break.

    Units
    -----
    statistic dimensionless; lags and n in observations (bars); trim a share of the sample.

    Parameters
    ----------
    x : array of shape (n,)
        A level.
    trend : {"c", "t", "ct"}
        What breaks.
    lags : int, optional
        Fixed lag order; None lets ``method`` choose once, on the model without break.
    method : {"aic", "bic", "t-stat"}
        Criterion.
    trim : float
        Share at either end in which no break is looked for, 0 to 1/3.

    Returns
    -------
    UnitRoot
        Undefined if the series is constant or too short.

    Raises
    ------
    ValueError
        If a value is missing or infinite, or an option is unknown or out of range.

    References
    ----------
    Zivot and Andrews (1992), J. Business & Economic Statistics 10(3).

    Examples
    --------
    >>> import numpy as np
    >>> noise = np.random.default_rng(0).normal(size=200)
    >>> zivot_andrews(noise + 5.0 * (np.arange(200) > 100), lags=0).rejects()
    True
    """
    series = as_series(x, "x")
    require_option(trend, "trend", ("c", "t", "ct"))
    require_option(method, "method", CRITERIA)
    if not 0.0 <= trim <= 1.0 / 3.0:
        raise ValueError(f"trim is {trim}; it must lie between 0 and 1/3")
    return _arch_test(
        series,
        "Zivot–Andrews",
        trend,
        UNIT_ROOT_NULL,
        partial(
            cast(Any, ZivotAndrews), series, lags=lags, trend=trend, trim=float(trim), method=method
        ),
    )


def stationarity(x: ArrayLike, *, trend: str = "c", level: float = 0.05) -> Stationarity:
    """Ask both nulls, unit root (ADF) and stationarity (KPSS), and say what the answers mean.

    Formula
    -------
    ADF rejects and KPSS does not: stationary. KPSS rejects and ADF does not: unit root. Both
    reject: conflict. Neither rejects: inconclusive.

    Units
    -----
    level is a probability.

    Parameters
    ----------
    x : array of shape (n,)
        A level: a spread or log price.
    trend : {"c", "ct"}
        Deterministic terms of both tests.
    level : float
        Significance level of both tests.

    Returns
    -------
    Stationarity
        ``verdict`` is one of "stationary", "unit root", "conflict", "inconclusive", "undefined".

    Raises
    ------
    ValueError
        If a value is missing or infinite, or an option is unknown or out of range.

    References
    ----------
    Kwiatkowski et al. (1992), J. Econometrics 54, §1: the two nulls read together.

    Examples
    --------
    >>> import numpy as np
    >>> stationarity(np.random.default_rng(0).normal(size=500)).verdict
    'stationary'
    """
    require_option(trend, "trend", ("c", "ct"))
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}; it must lie between 0 and 1, such as 0.05")
    unit_root, stationary = adf(x, trend=trend), kpss(x, trend=trend)
    if not (unit_root.defined and stationary.defined):
        return Stationarity(
            unit_root,
            stationary,
            "undefined",
            f"No verdict: {unit_root.reason or stationary.reason}.",
            level,
        )
    verdict, words = _VERDICTS[unit_root.rejects(level), stationary.rejects(level)]
    explanation = (
        f"ADF p = {unit_root.pvalue:.3f} (null: unit root), "
        f"KPSS p = {stationary.pvalue:.3f} (null: stationary). {words}"
    )
    return Stationarity(unit_root, stationary, verdict, explanation, level)


_VERDICTS = {
    (True, False): (
        "stationary",
        "The unit root is rejected and stationarity is not: both tests agree on stationarity.",
    ),
    (False, True): (
        "unit root",
        "Stationarity is rejected and the unit root is not: both tests agree on a unit root.",
    ),
    (True, True): (
        "conflict",
        "Both nulls are rejected: neither a unit root nor stability around the chosen trend "
        "describes the series. Look for a break, a missing trend or long memory.",
    ),
    (False, False): (
        "inconclusive",
        "Neither null is rejected: the sample is too short or too noisy to tell them apart.",
    ),
}


def _arch_test(
    series: FloatArray, name: str, trend: str, null: str, build: Callable[[], Any]
) -> UnitRoot:
    """Run one of arch's tests, turning its refusals into an undefined result."""
    if len(series) < 8:
        return _undefined(name, trend, null, f"{len(series)} observations; at least 8 are needed")
    if np.ptp(series) == 0.0:
        return _undefined(name, trend, null, "the series is constant")
    if trend == "ct" and np.ptp(_detrended(series, "ct")) <= 1e-12 * np.ptp(series):
        return _undefined(name, trend, null, "the series is exactly its own trend")
    try:
        test = build()
        statistic = float(test.stat)
    except InfeasibleTestException as refusal:
        return _undefined(name, trend, null, " ".join(str(refusal).split()))
    return UnitRoot(
        statistic=statistic,
        pvalue=float(test.pvalue),
        lags=int(test.lags),
        n=int(test.nobs),
        critical_values={key: float(value) for key, value in test.critical_values.items()},
        test=name,
        trend=trend,
        null_hypothesis=null,
    )


def _detrended(series: FloatArray, trend: str) -> FloatArray:
    centred = np.asarray(series - series.mean())
    if trend == "c":
        return centred
    time = np.arange(len(series)) - (len(series) - 1) / 2.0
    return np.asarray(centred - time * (time @ centred) / (time @ time))


def _hobijn_bandwidth(residuals: FloatArray) -> int:
    """Bartlett bandwidth of Hobijn, Franses and Ooms (2004), as in SAS and statsmodels."""
    n = len(residuals)
    s0, s1 = float(residuals @ residuals) / n, 0.0
    for lag in range(1, int(n ** (2.0 / 9.0)) + 1):
        autocovariance = 2.0 * float(residuals[lag:] @ residuals[:-lag]) / n
        s0 += autocovariance
        s1 += lag * autocovariance
    if s0 <= 0.0:
        return 0
    gamma = 1.1447 * ((s1 / s0) ** 2) ** (1.0 / 3.0)
    return int(min(gamma * n ** (1.0 / 3.0), n - 1))


def _undefined(test: str, trend: str, null: str, reason: str) -> UnitRoot:
    nan = float("nan")
    none = {"1%": nan, "5%": nan, "10%": nan}
    return UnitRoot(nan, nan, 0, 0, none, test, trend, null, False, reason)
