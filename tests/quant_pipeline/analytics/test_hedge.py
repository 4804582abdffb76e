"""Hedge ratios agree with statsmodels and arch; the filter with statsmodels' state space."""

import numpy as np
import polars as pl
import pytest
from arch.unitroot.cointegration import DynamicOLS
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.regression.linear_model import OLS
from statsmodels.regression.rolling import RollingOLS
from statsmodels.tsa.statespace.kalman_smoother import KalmanSmoother

from quant_pipeline import analytics

Pair = tuple[np.ndarray, np.ndarray]


def make_pair(n: int, seed: int, level: float = 0.0) -> Pair:
    rng = np.random.default_rng(seed)
    x = level + np.cumsum(rng.normal(size=n))
    return 3.0 + 0.7 * x + rng.normal(size=n), x


@settings(max_examples=60)
@given(
    n=st.integers(3, 300),
    seed=st.integers(0, 2**32 - 1),
    level=st.sampled_from([0.0, 100.0, 60_000.0]),
)
def test_ols_is_statsmodels(n: int, seed: int, level: float) -> None:
    y, x = make_pair(n, seed, level)
    ours = analytics.ols(y, x)
    theirs = OLS(y, np.column_stack([np.ones(n), x - level])).fit()  # its own level costs it digits
    assert ours.beta == pytest.approx(theirs.params[1], abs=1e-9)
    assert ours.alpha + ours.beta * level == pytest.approx(theirs.params[0], abs=1e-8)
    assert ours.beta_stderr == pytest.approx(theirs.bse[1], abs=1e-9)
    assert ours.r_squared == pytest.approx(theirs.rsquared, abs=1e-9)
    np.testing.assert_allclose(ours.residuals, theirs.resid, atol=1e-8)
    assert ours.n == n


@settings(max_examples=40)
@given(
    n=st.integers(10, 300),
    window=st.integers(3, 60),
    seed=st.integers(0, 2**32 - 1),
    level=st.sampled_from([0.0, 60_000.0]),
)
def test_rolling_ols_is_statsmodels(n: int, window: int, seed: int, level: float) -> None:
    y, x = make_pair(n, seed, level)
    ours = analytics.rolling_ols(y, x, window)
    assert ours.columns == ["alpha", "beta"]
    assert ours.height == n
    if window > n:
        assert ours["beta"].null_count() == n
        return
    # RollingOLS adds and drops squares of the levels, so a price level costs it digits: remove it.
    theirs = RollingOLS(y - 0.7 * level, np.column_stack([np.ones(n), x - level]), window).fit()
    theirs = theirs.params
    beta = ours["beta"].to_numpy()
    np.testing.assert_allclose(beta, theirs[:, 1], atol=1e-8, rtol=1e-8)
    intercept = ours["alpha"].to_numpy() + (beta - 0.7) * level
    np.testing.assert_allclose(intercept, theirs[:, 0], atol=1e-6, rtol=1e-8)


def test_rolling_ols_is_ols_of_each_window_of_a_price() -> None:
    y, x = make_pair(500, 3, 60_000.0)
    frame = analytics.rolling_ols(y, x, 120)
    for end in range(119, 500, 13):
        fit = analytics.ols(y[end - 119 : end + 1], x[end - 119 : end + 1])
        assert frame["beta"][end] == pytest.approx(fit.beta, abs=1e-11)
        # At x = 60,000 alpha carries 60,000 times beta's rounding; the line at x itself does not.
        at_level = frame["alpha"][end] + frame["beta"][end] * 60_000.0
        assert at_level == pytest.approx(fit.alpha + fit.beta * 60_000.0, abs=1e-9)


def test_a_missing_value_reaches_exactly_the_windows_that_hold_it() -> None:
    y, x = make_pair(100, 4)
    whole = analytics.rolling_ols(y, x, 10)
    y[37] = np.nan
    holed = analytics.rolling_ols(y, x, 10)
    touched = np.arange(100)
    touched = (touched < 9) | ((touched >= 37) & (touched < 47))
    assert holed["beta"].is_null().to_list() == touched.tolist()
    kept = pl.Series(~touched)
    assert holed.filter(kept)["beta"].to_list() == whole.filter(kept)["beta"].to_list()


def test_a_constant_window_has_no_slope() -> None:
    y, x = make_pair(60, 5)
    x[20:40] = 60_000.1
    frame = analytics.rolling_ols(y, x, 10)
    assert frame["beta"][29:40].null_count() == 11
    assert frame["beta"][9:28].null_count() == 0


def test_ols_is_undefined_with_a_reason() -> None:
    y, x = make_pair(20, 6)
    for fit, reason in (
        (analytics.ols(y, np.ones(20)), "x is constant"),
        (analytics.ols(y[:2], x[:2]), "needs 3"),
    ):
        assert not fit.defined
        assert reason in str(fit.reason)
        assert np.isnan([fit.alpha, fit.beta, fit.beta_stderr, fit.r_squared]).all()
    flat = analytics.ols(np.ones(20), x)
    assert (flat.beta, flat.defined) == (0.0, True)
    assert np.isnan(flat.r_squared)


def test_total_least_squares_is_the_first_principal_axis() -> None:
    y, x = make_pair(200, 7)
    fit = analytics.total_least_squares(y, x)
    axis = np.linalg.svd(np.column_stack([x - x.mean(), y - y.mean()]))[2][0]
    assert fit.beta == pytest.approx(axis[1] / axis[0], rel=1e-12)
    reverse = analytics.total_least_squares(x, y)
    assert reverse.beta == pytest.approx(1.0 / fit.beta, rel=1e-12)
    falling = analytics.total_least_squares(-y, x)
    assert falling.beta == pytest.approx(-fit.beta, rel=1e-12)
    assert not analytics.total_least_squares(y, np.ones(200)).defined


@pytest.mark.parametrize(("leads", "lags"), [(1, 2), (None, None)])
def test_dynamic_ols_is_arch(leads: int | None, lags: int | None) -> None:
    y, x = make_pair(200, 8)
    ours = analytics.dynamic_ols(y, x, leads=leads, lags=lags)
    theirs = DynamicOLS(y, x, leads=leads, lags=lags).fit()
    assert [ours.beta, ours.alpha] == theirs.params.tolist()
    assert (ours.leads, ours.lags) == (theirs.leads, theirs.lags)
    assert ours.beta_stderr == theirs.std_errors.iloc[0]
    assert not analytics.dynamic_ols(y[:10], x[:10]).defined


def state_space(y: np.ndarray, x: np.ndarray, q: np.ndarray, r: float) -> KalmanSmoother:
    model = KalmanSmoother(
        k_endog=1, k_states=2, nobs=len(y),
        design=np.stack([np.ones(len(x)), x])[None], transition=np.eye(2),
        selection=np.eye(2), state_cov=q, obs_cov=[[r]],
    )  # fmt: skip
    model.bind(y)
    return model


@settings(max_examples=25)
@given(
    n=st.integers(5, 200),
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([1e-6, 1e-3, 0.1]),
    level=st.sampled_from([0.0, 50.0]),
)
def test_filter_and_smoother_are_statsmodels(n: int, seed: int, scale: float, level: float) -> None:
    y, x = make_pair(n, seed, level)
    q = scale * np.array([[1.0, 0.2], [0.2, 0.5]])
    mean, cov = np.array([1.0, 0.5]), np.array([[2.0, 0.1], [0.1, 1.0]])
    ours = analytics.kalman_hedge(
        y, x, q=q, r=0.8, initial_state=mean, initial_cov=cov, smooth=True
    )
    model = state_space(y, x, q, 0.8)
    model.initialize_known(mean, cov)
    theirs = model.smooth()
    np.testing.assert_allclose(ours.alpha, theirs.filtered_state[0], atol=1e-8)
    np.testing.assert_allclose(ours.beta, theirs.filtered_state[1], atol=1e-8)
    np.testing.assert_allclose(ours.spread, theirs.forecasts_error[0], atol=1e-8)
    np.testing.assert_allclose(ours.spread_variance, theirs.forecasts_error_cov[0, 0], rtol=1e-8)
    np.testing.assert_allclose(
        ours.beta_stderr**2, theirs.filtered_state_cov[1, 1], rtol=1e-6, atol=1e-9
    )
    assert ours.log_likelihood == pytest.approx(theirs.llf, rel=1e-9)
    np.testing.assert_allclose(ours.alpha_smoothed, theirs.smoothed_state[0], atol=1e-7)
    np.testing.assert_allclose(ours.beta_smoothed, theirs.smoothed_state[1], atol=1e-8)


def test_a_diffuse_start_is_statsmodels_exact_diffuse_start() -> None:
    y, x = make_pair(150, 9, 20.0)
    ours = analytics.kalman_hedge(y, x, q=[1e-3, 1e-4], r=0.5)
    model = state_space(y, x, np.diag([1e-3, 1e-4]), 0.5)
    model.initialize_diffuse()
    theirs = model.filter()
    assert theirs.nobs_diffuse == 2
    assert np.isnan(ours.spread[:2]).all()
    assert np.isnan(ours.beta[:2]).all()
    np.testing.assert_allclose(ours.beta[2:], theirs.filtered_state[1, 2:], atol=1e-8)
    np.testing.assert_allclose(ours.spread[2:], theirs.forecasts_error[0, 2:], atol=1e-8)
    np.testing.assert_allclose(
        ours.spread_variance[2:], theirs.forecasts_error_cov[0, 0, 2:], rtol=1e-8
    )
    assert ours.log_likelihood == pytest.approx(theirs.llf_obs[2:].sum(), rel=1e-9)


def test_without_drift_the_filter_ends_at_ordinary_least_squares() -> None:
    y, x = make_pair(300, 10, 60_000.0)
    hedge = analytics.kalman_hedge(y, x, q=0.0, r=1.0, smooth=True)
    fit = analytics.ols(y, x)
    assert hedge.beta[-1] == pytest.approx(fit.beta, abs=1e-9)
    assert hedge.alpha[-1] == pytest.approx(fit.alpha, rel=1e-8)
    assert hedge.beta_smoothed is not None
    np.testing.assert_allclose(hedge.beta_smoothed[2:], fit.beta, atol=1e-8)


def test_the_filter_does_not_look_ahead() -> None:
    y, x = make_pair(120, 11, 60_000.0)
    whole = analytics.kalman_hedge(y, x, q=[1e-4, 1e-8], r=1.0)
    part = analytics.kalman_hedge(y[:80], x[:80], q=[1e-4, 1e-8], r=1.0)
    for field in ("alpha", "beta", "spread", "spread_variance"):
        np.testing.assert_array_equal(getattr(whole, field)[:80], getattr(part, field))


def test_maximum_likelihood_recovers_the_variances_of_a_drifting_hedge() -> None:
    rng = np.random.default_rng(12)
    n = 3_000
    x = 10.0 + np.cumsum(rng.normal(scale=0.5, size=n))
    beta = 1.0 + np.cumsum(rng.normal(scale=0.02, size=n))
    alpha = np.cumsum(rng.normal(scale=0.05, size=n))
    y = alpha + beta * x + rng.normal(scale=0.5, size=n)
    hedge = analytics.kalman_hedge(y, x)
    assert hedge.r == pytest.approx(0.25, rel=0.2)
    assert hedge.q[1, 1] == pytest.approx(0.02**2, rel=0.3)
    truth = analytics.kalman_hedge(y, x, q=[0.05**2, 0.02**2], r=0.25)
    assert hedge.log_likelihood >= truth.log_likelihood
    partly = analytics.kalman_hedge(y, x, q=[0.05**2, 0.02**2])
    assert partly.r == pytest.approx(0.25, rel=0.2)
    assert partly.q.tolist() == np.diag([0.05**2, 0.02**2]).tolist()


def test_a_repeated_x_delays_the_first_line() -> None:
    y, x = make_pair(50, 13)
    x[:5] = x[0]
    hedge = analytics.kalman_hedge(y, x, q=1e-4, r=1.0)
    assert np.isnan(hedge.beta[:6]).all()
    assert np.isfinite(hedge.beta[6:]).all()


def test_the_filter_is_undefined_or_refuses() -> None:
    y, x = make_pair(50, 14)
    constant = analytics.kalman_hedge(y, np.ones(50), q=1e-4, r=1.0)
    assert not constant.defined
    assert "constant" in str(constant.reason)
    assert np.isnan(constant.beta).all()
    with pytest.raises(ValueError, match=r"r is 0\.0"):
        analytics.kalman_hedge(y, x, q=1e-4, r=0.0)
    with pytest.raises(ValueError, match="symmetric without negative variance"):
        analytics.kalman_hedge(y, x, q=[[1.0, 2.0], [2.0, 1.0]], r=1.0)
    with pytest.raises(ValueError, match="together"):
        analytics.kalman_hedge(y, x, q=1.0, r=1.0, initial_state=[0.0, 0.0])
    with pytest.raises(ValueError, match="q has shape"):
        analytics.kalman_hedge(y, x, q=np.ones((3, 3)), r=1.0)
