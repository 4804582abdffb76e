"""The tests that arch does well: Phillips–Perron, KPSS, DF-GLS and Zivot–Andrews."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import numpy as np
from arch.unitroot import DFGLS, KPSS, PhillipsPerron, ZivotAndrews
from numpy.typing import ArrayLike

from quant_pipeline.analytics._adf_regression import (
    CRITERIA,
)
from quant_pipeline.analytics._inputs import (
    FloatArray,
    as_series,
    require_option,
)
from quant_pipeline.analytics._library_call import UndefinedStatisticError, call_library
from quant_pipeline.analytics._unit_root import (
    STATIONARY_NULL,
    UNIT_ROOT_NULL,
    UnitRoot,
    undefined,
)


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


def _arch_test(
    series: FloatArray, name: str, trend: str, null: str, build: Callable[[], Any]
) -> UnitRoot:
    """Run one of arch's tests, turning its refusals into an undefined result."""
    if len(series) < 8:
        return undefined(name, trend, null, f"{len(series)} observations; at least 8 are needed")
    if np.ptp(series) == 0.0:
        return undefined(name, trend, null, "the series is constant")
    if trend == "ct" and np.ptp(_detrended(series, "ct")) <= 1e-12 * np.ptp(series):
        return undefined(name, trend, null, "the series is exactly its own trend")

    def run() -> UnitRoot:
        test = build()
        return UnitRoot(
            statistic=float(test.stat),
            pvalue=float(test.pvalue),
            lags=int(test.lags),
            n=int(test.nobs),
            critical_values={key: float(value) for key, value in test.critical_values.items()},
            test=name,
            trend=trend,
            null_hypothesis=null,
        )

    try:
        result = call_library(run)  # arch computes when it is asked, so the asking is inside
    except UndefinedStatisticError as refusal:
        return undefined(name, trend, null, str(refusal))
    if not np.isfinite(result.statistic):
        return undefined(name, trend, null, "the statistic is not finite")
    return result


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
