"""MacKinnon's p-values and critical values, over whole arrays at once.

The coefficients are statsmodels' tables (MacKinnon 1994 for p-values, 2010 for critical values);
only the evaluation is vectorised here, because a scan asks for thousands of p-values.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr
from statsmodels.tsa import adfvalues

from quant_pipeline.analytics._inputs import FloatArray

TRENDS = ("n", "c", "ct", "ctt")
_TABLE_SUFFIX = {"n": "nc", "c": "c", "ct": "ct", "ctt": "ctt"}


def pvalues(statistic: FloatArray, trend: str, n_series: int) -> FloatArray:
    """Asymptotic left-tail p-values of Dickey–Fuller statistics, NaN where the statistic is NaN."""
    suffix = _TABLE_SUFFIX[trend]

    def table(name: str) -> FloatArray:
        return np.asarray(getattr(adfvalues, f"tau_{name.format(suffix)}")[n_series - 1])

    statistic = np.asarray(statistic, dtype=np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        left = np.polyval(table("{}_smallp")[::-1], statistic)
        right = np.polyval(table("{}_largep")[::-1], statistic)
        p = ndtr(np.where(statistic <= table("star_{}"), left, right))
        p = np.where(statistic > table("max_{}"), 1.0, p)
        p = np.where(statistic < table("min_{}"), 0.0, p)
    return np.where(np.isnan(statistic), np.nan, p)


def critical_values(trend: str, n_series: int, n: int) -> dict[str, float]:
    """Finite-sample 1, 5 and 10 % critical values; NaN where none were published.

    MacKinnon (2010) gives none for a cointegrating regression without a constant.
    """
    if trend == "n" and n_series > 1:
        return {"1%": np.nan, "5%": np.nan, "10%": np.nan}
    one, five, ten = adfvalues.mackinnoncrit(N=n_series, regression=trend, nobs=n)
    return {"1%": float(one), "5%": float(five), "10%": float(ten)}
