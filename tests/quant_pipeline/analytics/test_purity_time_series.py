"""No function changes its arguments, and read-only input is enough."""

import importlib
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from quant_pipeline import analytics

N = 120
RNG = np.random.default_rng(0)
X = 100.0 + np.cumsum(RNG.normal(size=N))
Y = 5.0 + 0.8 * X + RNG.normal(size=N)
HIGH, LOW = np.maximum(X, Y) + 1.0, np.minimum(X, Y) - 1.0
STAMPS = np.arange(N, dtype=np.int64)

CALLS: dict[str, tuple[Callable[..., object], list[np.ndarray], dict[str, object]]] = {
    "adf": (analytics.adf, [X], {}),
    "benjamini_hochberg": (analytics.benjamini_hochberg, [np.linspace(0.0, 1.0, N)], {}),
    "benjamini_yekutieli": (analytics.benjamini_yekutieli, [np.linspace(0.0, 1.0, N)], {}),
    "bipower_variation": (analytics.bipower_variation, [X], {}),
    "crossings": (analytics.crossings, [X], {}),
    "dfgls": (analytics.dfgls, [X], {}),
    "dynamic_ols": (analytics.dynamic_ols, [Y, X], {"leads": 1, "lags": 1}),
    "engle_granger": (analytics.engle_granger, [Y, X], {}),
    "engle_granger_directions": (analytics.engle_granger_directions, [Y, X], {}),
    "error_correction": (analytics.error_correction, [Y, X], {}),
    "ewma_volatility": (analytics.ewma_volatility, [X], {"periods_per_year": 365}),
    "gregory_hansen": (analytics.gregory_hansen, [Y, X], {"lags": 0}),
    "half_life": (analytics.half_life, [X], {}),
    "hurst": (analytics.hurst, [X], {}),
    "innovation_zscore": (analytics.innovation_zscore, [Y, X], {}),
    "johansen": (analytics.johansen, [np.column_stack([Y, X])], {}),
    "jump_share": (analytics.jump_share, [np.diff(X)], {}),
    "kalman_hedge": (analytics.kalman_hedge, [Y, X], {"q": 1e-4, "r": 1.0, "smooth": True}),
    "kpss": (analytics.kpss, [X], {}),
    "log_returns": (analytics.log_returns, [X], {}),
    "ols": (analytics.ols, [Y, X], {}),
    "phillips_ouliaris": (analytics.phillips_ouliaris, [Y, X], {}),
    "phillips_perron": (analytics.phillips_perron, [X], {}),
    "realised_variance": (analytics.realised_variance, [X], {}),
    "resample": (analytics.resample, [STAMPS, X], {"step": 7}),
    "rolling_adf": (analytics.rolling_adf, [X], {"window": 40, "step": 20}),
    "rolling_bipower_variation": (analytics.rolling_bipower_variation, [X], {"window": 9}),
    "rolling_cointegration": (
        analytics.rolling_cointegration,
        [Y, X],
        {"window": 40, "step": 20},
    ),
    "rolling_ols": (analytics.rolling_ols, [Y, X], {"window": 9}),
    "rolling_realised_variance": (analytics.rolling_realised_variance, [X], {"window": 9}),
    "simple_returns": (analytics.simple_returns, [X], {}),
    "spread": (analytics.spread, [Y, X], {"alpha": 1.0, "beta": X}),
    "stationarity": (analytics.stationarity, [X], {}),
    "total_least_squares": (analytics.total_least_squares, [Y, X], {}),
    "variance_ratio": (analytics.variance_ratio, [X], {}),
    "volatility": (
        analytics.volatility,
        [X, HIGH, LOW, Y],
        {"estimator": "yang_zhang", "window": 9, "periods_per_year": 365},
    ),
    "zivot_andrews": (analytics.zivot_andrews, [X], {"lags": 1}),
    "zscore": (analytics.zscore, [X], {"window": 9}),
}


@pytest.mark.parametrize("name", CALLS)
def test_arguments_are_left_as_they_were(name: str) -> None:
    function, arrays, options = CALLS[name]
    passed = [np.array(array) for array in arrays]
    for array in passed:
        array.flags.writeable = False
    first = function(*passed, **options)
    for array, original in zip(passed, arrays, strict=True):
        np.testing.assert_array_equal(array, original)
    second = function(*passed, **options)
    assert repr(first) == repr(second)


def test_frames_and_mappings_are_left_as_they_were() -> None:
    prices = pl.DataFrame({"A": X, "B": Y, "C": [None, *HIGH[1:]]})
    before = prices.clone()
    analytics.scan(prices)
    assert prices.equals(before)
    ticks = {"A": (STAMPS, X)}
    analytics.align(ticks, STAMPS[::7])
    np.testing.assert_array_equal(ticks["A"][1], 100.0 + np.cumsum(np.diff(X, prepend=100.0)))


def test_every_public_function_of_these_modules_is_covered() -> None:
    modules = ("cointegration", "hedge", "returns", "spread", "stationarity", "volatility")
    public = {
        name
        for module in modules
        for name in importlib.import_module(f"quant_pipeline.analytics.{module}").__all__
        if name[0].islower()
    }
    without_data = {"periods_per_year", "regular_clock"}  # they take numbers, not arrays
    assert public - without_data == set(CALLS) | {"align", "scan"}
