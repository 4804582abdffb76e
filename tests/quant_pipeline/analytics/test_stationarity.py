"""The wrapped tests are arch's and statsmodels', and opposite nulls are read together in words."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from arch.unitroot import DFGLS, KPSS, PhillipsPerron, ZivotAndrews
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.tools.sm_exceptions import InterpolationWarning
from statsmodels.tsa.stattools import kpss as statsmodels_kpss

from quant_pipeline import analytics

TESTS: list[Callable[..., analytics.UnitRoot]] = [
    analytics.adf,
    analytics.phillips_perron,
    analytics.kpss,
    analytics.dfgls,
    analytics.zivot_andrews,
]


def walk(n: int, seed: int) -> np.ndarray:
    return 50.0 + np.cumsum(np.random.default_rng(seed).normal(size=n))


@settings(max_examples=40)
@given(
    n=st.integers(20, 400),
    seed=st.integers(0, 2**32 - 1),
    trend=st.sampled_from(["c", "ct"]),
    lags=st.sampled_from([None, 0, 4]),
)
def test_kpss_is_statsmodels(n: int, seed: int, trend: str, lags: int | None) -> None:
    x = walk(n, seed)
    ours = analytics.kpss(x, trend=trend, lags=lags)
    with warnings.catch_warnings():  # its p-values end at 1 and 10 %
        warnings.simplefilter("ignore", InterpolationWarning)
        theirs = statsmodels_kpss(
            x, regression=trend, nlags="auto" if lags is None else lags, result_object=True
        )
    assert ours.lags == theirs.lags
    assert ours.statistic == pytest.approx(theirs.statistic, abs=1e-8)
    assert "stationary" in ours.null_hypothesis


def test_the_other_tests_are_arch() -> None:
    x = walk(200, 1)
    for ours, theirs in (
        (analytics.phillips_perron(x, lags=5), PhillipsPerron(x, lags=5)),
        (
            analytics.phillips_perron(x, trend="ct", statistic="rho"),
            PhillipsPerron(x, trend="ct", test_type="rho"),
        ),
        (analytics.kpss(x, lags=5), KPSS(x, lags=5)),
        (analytics.dfgls(x, trend="ct"), DFGLS(x, trend="ct")),
        (analytics.zivot_andrews(x, trend="ct"), ZivotAndrews(x, trend="ct")),
    ):
        assert (ours.statistic, ours.pvalue) == (theirs.stat, theirs.pvalue)
        assert (ours.lags, ours.n) == (theirs.lags, theirs.nobs)
        assert ours.critical_values == theirs.critical_values
        assert ours.null_hypothesis


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize("x", [np.full(50, 2.0), np.arange(2.0), np.empty(0)])
def test_constant_and_short_series_are_undefined(
    test: Callable[..., analytics.UnitRoot], x: np.ndarray
) -> None:
    result = test(x)
    assert not result.defined
    assert result.reason
    assert np.isnan(result.statistic)
    assert not result.rejects()


@pytest.mark.parametrize("test", TESTS)
def test_missing_values_and_unknown_trends_are_refused(
    test: Callable[..., analytics.UnitRoot],
) -> None:
    with pytest.raises(ValueError, match="x holds 1 missing"):
        test([1.0, np.nan, 2.0] * 1 + [3.0] * 20)
    with pytest.raises(ValueError, match="trend is 'cttt'"):
        test(walk(50, 2), trend="cttt")


def test_a_series_that_is_its_own_trend_is_undefined() -> None:
    assert not analytics.kpss(np.arange(100.0), trend="ct").defined


def test_the_four_verdicts() -> None:
    rng = np.random.default_rng(3)
    noise = rng.normal(size=500)
    assert analytics.stationarity(noise).verdict == "stationary"
    unit_root = analytics.stationarity(np.cumsum(noise))
    assert unit_root.verdict == "unit root"
    assert "both tests agree on a unit root" in unit_root.explanation
    assert "null: unit root" in unit_root.explanation

    broken = noise + 3.0 * (np.arange(500) >= 250)  # a level shift: neither null describes it
    assert analytics.stationarity(broken, level=0.10).verdict in ("conflict", "unit root")
    conflict = analytics.stationarity(noise + 0.8 * (np.arange(500) >= 250))
    assert conflict.verdict == "conflict"
    assert "Look for a break" in conflict.explanation

    assert analytics.stationarity(walk(15, 5)).verdict == "inconclusive"
    assert analytics.stationarity(np.ones(50)).verdict == "undefined"
