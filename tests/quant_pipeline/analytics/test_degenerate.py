"""Degenerate but valid data: no statistic raises, warns, or returns a number that means nothing."""

from collections.abc import Callable

import numpy as np
import pytest

from quant_pipeline import analytics

Statistic = Callable[[np.ndarray, np.ndarray], object]


def degenerate(kind: str, n: int) -> np.ndarray:
    rng = np.random.default_rng(n)
    time, noise = np.arange(float(n)), rng.normal(size=n)
    return {
        "noise": noise,
        "walk": np.cumsum(noise),
        "one spike": np.where(time == n // 2, 1.0, 0.0),
        "stale": np.cumsum(np.where(rng.uniform(size=n) < 0.1, noise, 0.0)),
        "linear": time,
        "alternating": time % 2,
        "ticks of 1": np.round(np.cumsum(noise) * 0.3),
        "1e8 and moves of 0.001": 1e8 + np.cumsum(noise) * 1e-3,
        "1e-12": 1e-12 * noise,
        "moves once": np.where(time < n - 2, 5.0, 6.0),
        "exponential": np.exp(0.3 * time),
    }[kind]


KINDS = ("noise", "walk", "one spike", "stale", "linear", "alternating", "ticks of 1")
KINDS += ("1e8 and moves of 0.001", "1e-12", "moves once", "exponential")
STATISTICS: dict[str, Statistic] = {
    "adf": lambda y, x: analytics.adf(x),
    "adf ctt": lambda y, x: analytics.adf(x, trend="ctt"),
    "adf n": lambda y, x: analytics.adf(x, trend="n"),
    "adf 3 lags": lambda y, x: analytics.adf(x, lags=3),
    "kpss": lambda y, x: analytics.kpss(x),
    "kpss ct": lambda y, x: analytics.kpss(x, trend="ct"),
    "phillips_perron": lambda y, x: analytics.phillips_perron(x, trend="ct"),
    "dfgls": lambda y, x: analytics.dfgls(x),
    "zivot_andrews": lambda y, x: analytics.zivot_andrews(x),
    "stationarity": lambda y, x: analytics.stationarity(x),
    "half_life": lambda y, x: analytics.half_life(x),
    "hurst": lambda y, x: analytics.hurst(x),
    "variance_ratio": lambda y, x: analytics.variance_ratio(x),
    "crossings": lambda y, x: analytics.crossings(x),
    "zscore": lambda y, x: analytics.zscore(x),
    "jump_share": lambda y, x: analytics.jump_share(x),
    "ols": analytics.ols,
    "total_least_squares": analytics.total_least_squares,
    "dynamic_ols": analytics.dynamic_ols,
    "kalman": lambda y, x: analytics.kalman_hedge(y, x, q=1e-4, r=1.0, smooth=True),
    "engle_granger": analytics.engle_granger,
    "engle_granger ctt": lambda y, x: analytics.engle_granger(y, x, trend="ctt"),
    "phillips_ouliaris": analytics.phillips_ouliaris,
    "error_correction": analytics.error_correction,
    "gregory_hansen": lambda y, x: analytics.gregory_hansen(y, x, lags=0),
    "johansen": lambda y, x: analytics.johansen(np.column_stack([y, x])),
    "johansen restricted": lambda y, x: analytics.johansen(
        np.column_stack([y, x]), restricted_constant=True
    ),
    "rolling_adf": lambda y, x: analytics.rolling_adf(x, 20),
    "rolling_ols": lambda y, x: analytics.rolling_ols(y, x, 5),
    "rolling_cointegration": lambda y, x: analytics.rolling_cointegration(y, x, 20),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_every_statistic_survives_degenerate_data(name: str) -> None:
    for n in (0, 1, 2, 3, 4, 5, 8, 10, 12, 15, 20, 25, 26, 40, 60):
        for at, kind in enumerate(KINDS):
            other = KINDS[(at * 7 + n) % len(KINDS)]
            result = STATISTICS[name](degenerate(other, n), degenerate(kind, n))
            statistic = getattr(result, "statistic", None)
            if isinstance(statistic, float) and not np.isfinite(statistic):
                assert not result.defined, (n, kind, other)  # type: ignore[attr-defined]
            if getattr(result, "defined", True) is False:
                assert result.reason, (n, kind, other)  # type: ignore[attr-defined]
