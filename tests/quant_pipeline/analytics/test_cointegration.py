"""Cointegration tests agree with statsmodels and arch, and say so when no test exists."""

import warnings

import numpy as np
import pytest
from arch.unitroot.cointegration import engle_granger as arch_engle_granger
from arch.unitroot.cointegration import phillips_ouliaris as arch_phillips_ouliaris
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.regression.linear_model import OLS
from statsmodels.tools.sm_exceptions import CollinearityWarning
from statsmodels.tsa.stattools import coint
from statsmodels.tsa.vector_ar.vecm import coint_johansen

from quant_pipeline import analytics
from quant_pipeline.analytics._adf_regression import default_max_lags

Pair = tuple[np.ndarray, np.ndarray]


def make_pair(kind: str, n: int, seed: int) -> Pair:
    rng = np.random.default_rng(seed)
    walk, noise = np.cumsum(rng.normal(size=n)), rng.normal(size=n)
    match kind:
        case "independent":
            return np.cumsum(noise), walk
        case "cointegrated":
            return 1.0 + 0.8 * walk + noise, walk
        case "slowly reverting":
            error = np.zeros(n)
            for t in range(1, n):
                error[t] = 0.99 * error[t - 1] + noise[t]
            return 2.0 * walk + error, walk
        case "near-collinear":
            return 3.0 + 2.0 * walk + 0.02 * noise, walk
        case "prices":
            return 60_000.0 + 25.0 * walk + 10.0 * np.cumsum(noise), 2_700.0 + walk
        case _:
            raise AssertionError(kind)


def on_a_common_scale(values: np.ndarray, trend: str) -> np.ndarray:
    """The test depends on no unit and, with a constant, on no level; its peers' digits do."""
    shifted = values if trend == "n" else values - values.mean()
    return shifted / np.abs(shifted).max()


KINDS = ("independent", "cointegrated", "slowly reverting", "near-collinear", "prices")


@settings(max_examples=100)
@given(
    kind=st.sampled_from(KINDS),
    n=st.integers(30, 400),
    seed=st.integers(0, 2**32 - 1),
    trend=st.sampled_from(["n", "c", "ct", "ctt"]),
    method=st.sampled_from(["aic", "bic", "t-stat"]),
)
def test_engle_granger_is_statsmodels(
    kind: str, n: int, seed: int, trend: str, method: str
) -> None:
    y, x = make_pair(kind, n, seed)
    ours = analytics.engle_granger(y, x, trend=trend, method=method)
    if not ours.defined:
        assert ours.r_squared > 1.0 - 2e-6  # the collinear path, tested below
        return
    most = default_max_lags(n, "n")
    # The test does not depend on units; statsmodels' pseudo-inverse loses digits to them.
    unit_y, unit_x = (on_a_common_scale(values, trend) for values in (y, x))
    theirs = coint(unit_y, unit_x, trend=trend, maxlag=most, autolag=method)
    assert ours.statistic == pytest.approx(theirs[0], abs=1e-8)
    assert ours.pvalue == pytest.approx(theirs[1], abs=1e-8)
    np.testing.assert_allclose(list(ours.critical_values.values()), theirs[2], rtol=1e-12)


@settings(max_examples=50)
@given(
    kind=st.sampled_from(KINDS),
    n=st.integers(40, 300),
    seed=st.integers(0, 2**32 - 1),
    trend=st.sampled_from(["n", "c", "ct"]),
    lags=st.integers(0, 5),
)
def test_engle_granger_is_arch(kind: str, n: int, seed: int, trend: str, lags: int) -> None:
    y, x = make_pair(kind, n, seed)
    ours = analytics.engle_granger(y, x, trend=trend, lags=lags, table="arch")
    if not ours.defined:
        return
    unit_y, unit_x = (on_a_common_scale(values, trend) for values in (y, x))
    theirs = arch_engle_granger(unit_y, unit_x, trend=trend, lags=lags)
    assert ours.statistic == pytest.approx(theirs.stat, abs=1e-8)
    assert ours.pvalue == pytest.approx(theirs.pvalue, abs=1e-8)
    assert ours.critical_values["5%"] == pytest.approx(theirs.critical_values[5], abs=1e-10)


def test_engle_granger_reports_the_regression() -> None:
    y, x = make_pair("cointegrated", 200, 1)
    both = np.column_stack([x, np.random.default_rng(2).normal(size=200).cumsum()])
    result = analytics.engle_granger(y, both, trend="ct")
    fit = OLS(y, np.column_stack([both, np.ones(200), np.arange(1, 201)])).fit()
    assert [*result.coefficients, result.alpha] == pytest.approx(fit.params[:3].tolist(), abs=1e-10)
    assert result.r_squared == pytest.approx(fit.rsquared, abs=1e-12)
    assert result.beta == result.coefficients[0]


def test_a_collinear_pair_is_marked_and_not_trusted() -> None:
    y, x = make_pair("cointegrated", 200, 3)
    twin = 2.0 * x + 1e-5 * y
    result = analytics.engle_granger(twin, x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollinearityWarning)
        theirs = coint(twin, x)
    assert (result.statistic, result.pvalue) == (theirs[0], theirs[1]) == (-np.inf, 0.0)
    assert not result.defined
    assert not result.rejects()
    assert "collinear" in str(result.reason)
    assert result.beta == pytest.approx(2.0, abs=1e-4)


@pytest.mark.parametrize(
    ("y", "x", "reason"),
    [
        (np.arange(50.0) ** 2, np.ones(50), "constant"),
        (np.ones(50), np.arange(50.0), "constant"),
        (np.arange(3.0) ** 2, np.arange(3.0), "too few"),
    ],
)
def test_engle_granger_is_undefined_with_a_reason(
    y: np.ndarray, x: np.ndarray, reason: str
) -> None:
    result = analytics.engle_granger(y, x)
    assert not result.defined
    assert np.isnan(result.statistic)
    assert reason in str(result.reason)


def test_engle_granger_refuses_what_it_cannot_test() -> None:
    y, x = make_pair("cointegrated", 50, 0)
    with pytest.raises(ValueError, match="y has 50 observations and x has 40"):
        analytics.engle_granger(y, x[:40])
    with pytest.raises(ValueError, match="x holds 1 missing"):
        analytics.engle_granger(y, np.where(np.arange(50) == 4, np.nan, x))
    with pytest.raises(ValueError, match="x has 6 columns; the mackinnon table ends at 5"):
        analytics.engle_granger(y, np.random.default_rng(0).normal(size=(50, 6)))


def test_directions_are_both_tests_and_name_the_stronger() -> None:
    y, x = make_pair("cointegrated", 300, 5)
    both = analytics.engle_granger_directions(y, x)
    assert both.y_on_x == analytics.engle_granger(y, x)
    assert both.x_on_y == analytics.engle_granger(x, y)
    assert both.stronger.pvalue == min(both.y_on_x.pvalue, both.x_on_y.pvalue)


@pytest.mark.parametrize("statistic", ["Zt", "Za", "Pu", "Pz"])
def test_phillips_ouliaris_is_arch(statistic: str) -> None:
    y, x = make_pair("slowly reverting", 250, 4)
    ours = analytics.phillips_ouliaris(y, x, statistic=statistic)
    theirs = arch_phillips_ouliaris(y, x, test_type=statistic)
    assert (ours.statistic, ours.pvalue) == (theirs.stat, theirs.pvalue)
    assert ours.critical_values["1%"] == theirs.critical_values[1]
    assert not analytics.phillips_ouliaris(y[:20], x[:20]).defined


@pytest.mark.parametrize("det_order", [-1, 0, 1])
def test_johansen_is_statsmodels(det_order: int) -> None:
    y, x = make_pair("cointegrated", 300, 6)
    system = np.column_stack([y, x, np.random.default_rng(1).normal(size=300).cumsum()])
    ours = analytics.johansen(system, det_order=det_order, lags=2)
    theirs = coint_johansen(system, det_order, 2)
    np.testing.assert_allclose(ours.trace, theirs.trace_stat, atol=1e-10)
    np.testing.assert_allclose(ours.max_eigen, theirs.max_eig_stat, atol=1e-10)
    np.testing.assert_array_equal(ours.trace_critical_values, theirs.trace_stat_crit_vals)
    assert ours.rank == 1
    np.testing.assert_allclose(ours.vectors[:2, 0], [1.0, -0.8], atol=0.05)


def test_johansen_is_undefined_on_a_degenerate_system() -> None:
    y, x = make_pair("cointegrated", 100, 6)
    for system, reason in (
        (np.column_stack([y, np.ones(100)]), "constant"),
        (np.column_stack([y, 2.0 * y]), "collinear"),
        (np.column_stack([y, x])[:6], "need at least"),
    ):
        result = analytics.johansen(system)
        assert not result.defined
        assert reason in str(result.reason)
    with pytest.raises(ValueError, match="prices has 1 columns"):
        analytics.johansen(y)


def test_error_correction_is_the_two_step_regression_and_names_the_leader() -> None:
    y, x = make_pair("slowly reverting", 800, 8)
    result = analytics.error_correction(y, x, lags=2)
    fit = analytics.ols(y, x)
    dy, dx, u = np.diff(y), np.diff(x), fit.residuals
    design = [np.ones(797), u[2:-1], dy[1:-1], dx[1:-1], dy[:-2], dx[:-2]]
    reference = OLS(dy[2:], np.column_stack(design)).fit()
    assert result.speed_y == pytest.approx(reference.params[1], abs=1e-10)
    assert result.pvalue_y == pytest.approx(reference.pvalues[1], abs=1e-10)
    assert result.total == pytest.approx(result.speed_y - fit.beta * result.speed_x)
    assert not analytics.error_correction(y, np.ones(800)).defined


def test_rolling_cointegration_is_engle_granger_of_each_window() -> None:
    y, x = make_pair("slowly reverting", 400, 9)
    result = analytics.rolling_cointegration(y, x, 150, step=25)
    passed = []
    for end, alpha, beta, statistic, pvalue, lags in result.frame.iter_rows():
        window = slice(end - 149, end + 1)
        single = analytics.engle_granger(y[window], x[window])
        assert (alpha, beta) == pytest.approx((single.alpha, single.beta), abs=1e-9)
        assert (statistic, pvalue) == pytest.approx((single.statistic, single.pvalue), abs=1e-8)
        assert lags == single.lags
        passed.append(single.pvalue < 0.05)
    assert result.n_windows == len(passed) == 11
    assert result.share == pytest.approx(np.mean(passed))


def test_rolling_cointegration_marks_windows_that_cannot_be_tested() -> None:
    y, x = make_pair("cointegrated", 200, 9)
    x[50:100] = x[50]
    result = analytics.rolling_cointegration(y, x, 50, step=1)
    row = result.frame.filter(result.frame["end"] == 99)
    assert row.select("beta", "statistic", "pvalue", "lags").row(0) == (None,) * 4
    assert result.n_windows < result.frame.height
    assert not analytics.rolling_cointegration(y[:40], x[:40], 50).defined


def test_gregory_hansen_finds_the_break_that_hides_cointegration() -> None:
    y, x = make_pair("cointegrated", 300, 10)
    broken = y + 15.0 * (np.arange(300) >= 180)
    assert not analytics.engle_granger(broken, x).rejects(0.05)
    result = analytics.gregory_hansen(broken, x)
    assert result.rejects("1%")
    assert result.break_index == 179


def test_gregory_hansen_is_the_least_adf_over_break_dates() -> None:
    y, x = make_pair("independent", 80, 11)
    result = analytics.gregory_hansen(y, x, model="regime", lags=1)
    least = np.inf
    for at in range(12, 68):
        after = (np.arange(80) > at).astype(float)
        residuals = OLS(y, np.column_stack([np.ones(80), after, x, after * x])).fit().resid
        least = min(least, analytics.adf(residuals, trend="n", lags=1).statistic)
    assert result.statistic == pytest.approx(least, abs=1e-9)
    assert not analytics.gregory_hansen(y[:30], x[:30]).defined
