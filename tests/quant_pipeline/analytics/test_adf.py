"""ADF agrees with statsmodels and arch to 1e-8, and says so when no test exists."""

import re

import numpy as np
import pytest
from arch.unitroot import ADF
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.regression.linear_model import OLS
from statsmodels.tsa.stattools import adfuller

from quant_pipeline import analytics
from quant_pipeline.analytics._adf_regression import adf_by_qr, default_max_lags
from quant_pipeline.analytics._batched_adf import adf_batch

TRENDS = ("n", "c", "ct", "ctt")
CRITERIA = ("aic", "bic", "t-stat")


def autoregression(noise: np.ndarray, coefficient: float) -> np.ndarray:
    path = np.zeros(len(noise))
    for t in range(1, len(noise)):
        path[t] = coefficient * path[t - 1] + noise[t]
    return path


def make_series(kind: str, n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=n)
    match kind:
        case "noise":
            return noise
        case "random walk":
            return np.cumsum(noise)
        case "near unit root":
            return autoregression(noise, 0.999)
        case "mean-reverting":
            return autoregression(noise, 0.8)
        case "price far from zero":
            return 60_000.0 + np.cumsum(noise)
        case "tiny":
            return 1e-6 * np.cumsum(noise)
        case "heavy tails":
            return np.cumsum(rng.standard_t(2, size=n))
        case "smooth":  # neighbouring lags are nearly collinear
            return autoregression(autoregression(noise, 0.98), 0.98)
        case "stale":  # most bars repeat the price before them
            return np.cumsum(np.where(rng.uniform(size=n) < 0.2, noise, 0.0)) + noise[0]
        case _:
            raise AssertionError(kind)


KINDS = (
    "noise",
    "random walk",
    "near unit root",
    "mean-reverting",
    "price far from zero",
    "tiny",
    "heavy tails",
    "smooth",
    "stale",
)


def on_a_common_scale(x: np.ndarray, trend: str) -> np.ndarray:
    """The same test in units in which statsmodels and arch keep their digits.

    The statistic depends neither on the unit of x nor, with a constant, on its level. Their
    pseudo-inverse does: beside columns 1, t, t² a price of 1e-6 or 60,000 costs it several digits.
    """
    shifted = x if trend == "n" else x - x.mean()
    return shifted / np.abs(np.diff(x)).mean()


@settings(max_examples=150)
@given(
    kind=st.sampled_from(KINDS),
    n=st.integers(30, 250),
    seed=st.integers(0, 2**32 - 1),
    trend=st.sampled_from(TRENDS),
    method=st.sampled_from(CRITERIA),
)
def test_adf_is_statsmodels(kind: str, n: int, seed: int, trend: str, method: str) -> None:
    x = make_series(kind, n, seed)
    ours = analytics.adf(x, trend=trend, method=method)
    most = default_max_lags(n, trend)
    scaled = on_a_common_scale(x, trend)
    theirs = adfuller(scaled, regression=trend, maxlag=most, autolag=method, result_object=True)
    assert ours.defined
    assert (ours.lags, ours.n) == (theirs.lags, theirs.nobs)
    # Absolute, or relative where a nearly perfect fit makes the statistic huge.
    assert ours.statistic == pytest.approx(theirs.statistic, abs=1e-8, rel=1e-10)
    assert ours.pvalue == pytest.approx(theirs.pvalue, abs=1e-8)
    assert ours.critical_values == pytest.approx(theirs.critical_values, abs=1e-12)


@settings(max_examples=60)
@given(
    kind=st.sampled_from(KINDS),
    n=st.integers(30, 250),
    seed=st.integers(0, 2**32 - 1),
    trend=st.sampled_from(TRENDS),
    lags=st.integers(0, 6),
)
def test_adf_with_fixed_lags_is_statsmodels_and_arch(
    kind: str, n: int, seed: int, trend: str, lags: int
) -> None:
    x = make_series(kind, n, seed)
    ours = analytics.adf(x, trend=trend, lags=lags)
    scaled = on_a_common_scale(x, trend)
    theirs = adfuller(scaled, regression=trend, maxlag=lags, autolag=None, result_object=True)
    archs = ADF(scaled, lags=lags, trend=trend)
    assert ours.statistic == pytest.approx(theirs.statistic, abs=1e-8)
    assert ours.statistic == pytest.approx(archs.stat, abs=1e-8)
    assert ours.n == theirs.nobs == archs.nobs


@pytest.mark.parametrize("n", [2_000, 10_000])
@pytest.mark.parametrize("trend", ["n", "c", "ct"])
def test_adf_of_a_long_series_is_statsmodels(n: int, trend: str) -> None:
    x = 100.0 + np.cumsum(np.random.default_rng(n).normal(size=n))
    ours = analytics.adf(x, trend=trend, lags=20)
    theirs = adfuller(x, regression=trend, maxlag=20, autolag=None, result_object=True)
    assert ours.statistic == pytest.approx(theirs.statistic, abs=1e-8)
    chosen = analytics.adf(x, trend=trend, max_lags=12)
    picked = adfuller(x, regression=trend, maxlag=12, autolag="aic", result_object=True)
    assert (chosen.lags, chosen.n) == (picked.lags, picked.nobs)
    assert chosen.statistic == pytest.approx(picked.statistic, abs=1e-8)


def test_adf_keeps_its_digits_where_a_raw_quadratic_trend_loses_them() -> None:
    """statsmodels' columns 1, t, t² are so unequal at n = 1,000 that its ADF loses half its digits.

    The same regression by the same statsmodels with time scaled to [-1, 1] decides.
    """
    n, lags = 1_000, 19
    x = 100.0 + np.cumsum(np.random.default_rng(3).normal(size=n))
    difference, time = np.diff(x), np.linspace(-1.0, 1.0, n - 1 - lags)
    columns = [x[lags:-1], *(difference[lags - j : n - 1 - j] for j in range(1, lags + 1))]
    design = np.stack([*columns, np.ones_like(time), time, time**2], axis=1)
    well_conditioned = OLS(difference[lags:], design).fit().tvalues[0]
    assert analytics.adf(x, trend="ctt", lags=lags).statistic == pytest.approx(
        well_conditioned, abs=1e-10
    )


@settings(max_examples=60)
@given(
    kind=st.sampled_from(KINDS),
    n=st.integers(12, 120),
    seed=st.integers(0, 2**32 - 1),
    trend=st.sampled_from(TRENDS),
    method=st.sampled_from(CRITERIA),
)
def test_batched_and_accurate_paths_agree(
    kind: str, n: int, seed: int, trend: str, method: str
) -> None:
    x = make_series(kind, n, seed)
    most = default_max_lags(n, trend)
    if np.ptp(x) == 0.0 or most < 0:
        return
    batch = adf_batch(x[None, :], trend, lags=None, max_lags=most, criterion=method)
    single = adf_by_qr(x, trend, lags=None, max_lags=most, criterion=method)
    assert (batch.lags[0], batch.n[0]) == (single.lags, single.n)
    assert batch.statistic[0] == pytest.approx(single.statistic, abs=1e-8, nan_ok=True)


def test_a_series_in_a_batch_gets_the_result_it_gets_alone() -> None:
    series = np.stack([make_series(kind, 150, 7) for kind in KINDS] * 10)
    together = adf_batch(series, "c", lags=None, max_lags=12, criterion="aic")
    alone = [adf_batch(row[None], "c", lags=None, max_lags=12, criterion="aic") for row in series]
    np.testing.assert_allclose(
        together.statistic, [result.statistic[0] for result in alone], rtol=0, atol=1e-9
    )
    assert together.lags.tolist() == [int(result.lags[0]) for result in alone]


@pytest.mark.parametrize("trend", TRENDS)
@pytest.mark.parametrize("method", CRITERIA)
def test_rolling_adf_is_adf_of_each_window(trend: str, method: str) -> None:
    x = make_series("near unit root", 200, 5)
    frame = analytics.rolling_adf(x, 60, step=7, trend=trend, method=method)
    assert frame["end"].to_list() == list(range(59, 200, 7))
    for end, statistic, pvalue, lags, n in frame.iter_rows():
        window = analytics.adf(x[end - 59 : end + 1], trend=trend, method=method)
        assert (lags, n) == (window.lags, window.n)
        assert statistic == pytest.approx(window.statistic, abs=1e-9)
        assert pvalue == pytest.approx(window.pvalue, abs=1e-9)


def test_rolling_adf_leaves_a_constant_window_null() -> None:
    x = make_series("random walk", 120, 1)
    x[40:80] = x[40]
    frame = analytics.rolling_adf(x, 40, step=1)
    constant = frame.filter(frame["end"] == 79)
    assert constant.select("statistic", "pvalue", "lags", "n").row(0) == (None,) * 4
    assert frame.filter(frame["end"] == 39)["statistic"].null_count() == 0


def test_rolling_adf_of_a_series_shorter_than_its_window_is_empty() -> None:
    assert analytics.rolling_adf(make_series("noise", 30, 1), 40).is_empty()


def test_rolling_adf_refuses_a_window_in_which_nothing_can_be_tested() -> None:
    with pytest.raises(ValueError, match="window is 3: 3 observations are too few"):
        analytics.rolling_adf(make_series("noise", 30, 1), 3)


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (np.full(100, 3.0), "constant"),
        (np.arange(3.0), "too few"),
        (np.empty(0), "too few"),
        (np.arange(100.0), "without error|collinear"),
        (2.0 ** np.arange(40), "without error|collinear"),
    ],
)
def test_adf_is_undefined_with_a_reason(x: np.ndarray, reason: str) -> None:
    result = analytics.adf(x)
    assert not result.defined
    assert result.reason is not None
    assert np.isnan(result.statistic)
    assert np.isnan(result.pvalue)
    assert not result.rejects()
    assert re.search(reason, result.reason)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"trend": "cc"}, "trend is 'cc'; choose one of c, ct, ctt, n"),
        ({"method": "hqic"}, "method is 'hqic'"),
        ({"lags": -1}, "lags is -1; it must be at least 0"),
        ({"max_lags": -2}, "max_lags is -2"),
    ],
)
def test_adf_refuses_unknown_options(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        analytics.adf(np.arange(50.0) ** 2, **arguments)


def test_adf_refuses_missing_values_and_says_where() -> None:
    x = make_series("noise", 50, 0)
    x[[7, 9]] = np.nan, np.inf
    with pytest.raises(
        ValueError, match="x holds 2 missing or infinite values, the first at index 7"
    ):
        analytics.adf(x)


def test_a_saturated_regression_is_never_a_candidate() -> None:
    """With 12 observations and no trend statsmodels' largest model leaves no degree of freedom."""
    x = make_series("random walk", 12, 3)
    result = analytics.adf(x, trend="n")
    assert result.defined
    assert result.lags <= 4
