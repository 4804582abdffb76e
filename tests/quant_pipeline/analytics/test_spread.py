"""Spreads, z-scores, half-lives and the tests of mean reversion."""

import numpy as np
import pandas as pd
import pytest
from arch.unitroot import VarianceRatio
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.regression.linear_model import OLS

from quant_pipeline import analytics


def ornstein_uhlenbeck(phi: float, n: int, seed: int, mean: float = 0.0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=n)
    path = np.zeros(n)
    for t in range(1, n):
        path[t] = phi * path[t - 1] + noise[t]
    return path + mean


def test_spread_with_a_fixed_and_with_a_moving_hedge() -> None:
    y, x = np.array([10.0, 12.0, 15.0]), np.array([4.0, 5.0, 6.0])
    assert analytics.spread(y, x, alpha=1.0, beta=2.0).tolist() == [1.0, 1.0, 2.0]
    assert analytics.spread(y, x, alpha=0.0, beta=[1.0, 2.0, 3.0]).tolist() == [6.0, 2.0, -3.0]
    with pytest.raises(ValueError, match=r"beta has shape \(2,\); pass one number or 3"):
        analytics.spread(y, x, alpha=0.0, beta=[1.0, 2.0])


@settings(max_examples=40)
@given(
    n=st.integers(5, 200),
    window=st.integers(2, 50),
    seed=st.integers(0, 2**32 - 1),
    level=st.sampled_from([0.0, 60_000.0]),
)
def test_rolling_zscore_is_pandas(n: int, window: int, seed: int, level: float) -> None:
    shocks = np.random.default_rng(seed).normal(size=n)
    ours = analytics.zscore(level + shocks, window)
    rolling = pd.Series(shocks).rolling(window)
    theirs = ((pd.Series(shocks) - rolling.mean()) / rolling.std()).to_numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-8 if level == 0.0 else 1e-6)


def test_zscore_keeps_missing_values_missing_and_constants_undefined() -> None:
    z = analytics.zscore([1.0, np.nan, 3.0, 5.0])
    np.testing.assert_allclose(z, [-1.0, np.nan, 0.0, 1.0])
    assert np.isnan(analytics.zscore([2.0, 2.0, 2.0])).all()
    assert np.isnan(analytics.zscore([0.1] * 10, window=3)).all()
    assert np.isnan(analytics.zscore([1.0, 2.0], window=3)).all()


def test_half_life_is_the_ar1_regression_with_its_interval() -> None:
    s = ornstein_uhlenbeck(0.9, 500, 1, mean=25.0)
    result = analytics.half_life(s)
    fit = OLS(s[1:], np.column_stack([np.ones(499), s[:-1]])).fit()
    phi, (low, high) = fit.params[1], fit.conf_int()[1]
    assert result.ar1 == pytest.approx(phi, abs=1e-10)
    assert result.ar1_stderr == pytest.approx(fit.bse[1], abs=1e-10)
    assert result.half_life == pytest.approx(np.log(0.5) / np.log(phi), rel=1e-9)
    assert result.lower == pytest.approx(np.log(0.5) / np.log(low), rel=1e-8)
    assert result.upper == pytest.approx(np.log(0.5) / np.log(high), rel=1e-8)
    assert result.mean == pytest.approx(25.0, abs=3.0)


def test_half_life_interval_is_open_above_where_a_unit_root_cannot_be_excluded() -> None:
    result = analytics.half_life(ornstein_uhlenbeck(0.999, 60, 0))
    assert result.defined
    assert result.upper == np.inf
    assert 0.0 < result.lower < result.half_life


@pytest.mark.parametrize(
    ("s", "reason"),
    [
        (np.cumsum(np.arange(50.0)), "do not die out"),
        ((-1.0) ** np.arange(50) + np.arange(50) * 1e-3, "within one bar"),
        (np.ones(50), "constant"),
        (np.arange(3.0), "at least 4"),
    ],
)
def test_half_life_is_undefined_with_a_reason(s: np.ndarray, reason: str) -> None:
    result = analytics.half_life(s)
    assert not result.defined
    assert np.isnan(result.half_life)
    assert reason in str(result.reason)


def test_hurst_tells_noise_walk_and_trend_apart() -> None:
    noise = np.random.default_rng(3).normal(size=20_000)
    assert analytics.hurst(noise, max_lag=100).exponent == pytest.approx(0.0, abs=0.05)
    assert analytics.hurst(np.cumsum(noise), max_lag=100).exponent == pytest.approx(0.5, abs=0.05)
    trend = np.cumsum(np.cumsum(noise))
    assert analytics.hurst(trend, max_lag=100).exponent == pytest.approx(1.0, abs=0.05)
    assert not analytics.hurst(np.ones(100)).defined
    assert not analytics.hurst(np.arange(5.0)).defined


@pytest.mark.parametrize("robust", [True, False])
def test_variance_ratio_is_arch(robust: bool) -> None:
    x = ornstein_uhlenbeck(0.95, 400, 4)
    ours = analytics.variance_ratio(x, 4, robust=robust)
    theirs = VarianceRatio(x, lags=4, robust=robust)
    assert (ours.ratio, ours.statistic, ours.pvalue) == (theirs.vr, theirs.stat, theirs.pvalue)
    assert not analytics.variance_ratio(np.arange(50.0)).defined
    assert not analytics.variance_ratio(x[:5], 4).defined


def test_crossings_skip_values_on_the_level_and_count_changes_of_side() -> None:
    result = analytics.crossings([1.0, 0.0, 1.0, -1.0, 0.0, 1.0, -1.0], level=0.0)
    assert result.count == 3
    assert result.per_bar == 0.5
    assert result.mean_bars_between == 1.5
    assert np.isnan(analytics.crossings([1.0, 2.0], level=0.0).mean_bars_between)
    assert not analytics.crossings([1.0]).defined


def test_innovation_zscore_of_a_filter() -> None:
    rng = np.random.default_rng(5)
    x = np.cumsum(rng.normal(size=2_000))
    y = 1.0 + 0.5 * x + rng.normal(size=2_000)
    hedge = analytics.kalman_hedge(y, x, q=1e-10, r=1.0)
    z = analytics.innovation_zscore(hedge.spread, hedge.spread_variance)
    assert np.isnan(z[:2]).all()
    assert z[2:].std() == pytest.approx(1.0, abs=0.05)
    with pytest.raises(ValueError, match="must be positive"):
        analytics.innovation_zscore([1.0], [0.0])
