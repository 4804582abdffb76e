"""Rolling, lagged, clock-sampled and shrunk correlation, and the tests of whether it changed."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from quant_pipeline.analytics import (
    correlation_breakdown,
    cross_correlation,
    epps_curve,
    jennrich,
    rolling_correlation,
    shrunk_correlation,
    timeframe_correlations,
)

values = st.one_of(
    st.integers(-3, 3).map(float), st.floats(-1e3, 1e3, width=32), st.just(float("nan"))
)


def series_pair(size: int = 40):
    return st.integers(0, size).flatmap(
        lambda n: st.tuples(
            arrays(np.float64, n, elements=values), arrays(np.float64, n, elements=values)
        )
    )


@given(series_pair(), st.integers(3, 12), st.sampled_from(["pearson", "spearman"]))
def test_rolling_equals_scipy_in_every_window(pair, window: int, method: str) -> None:
    x, y = pair
    frame = rolling_correlation(x, y, window, method=method)
    reference = stats.pearsonr if method == "pearson" else stats.spearmanr
    assert frame.height == len(x)
    for end, row in enumerate(frame.iter_rows(named=True)):
        a, b = x[max(0, end + 1 - window) : end + 1], y[max(0, end + 1 - window) : end + 1]
        finite = np.isfinite(a) & np.isfinite(b)
        assert row["n"] == finite.sum()
        if end + 1 < window:
            assert row["reason"] == "window not full yet"
        elif not finite.all():
            assert row["reason"] == "missing values in the window"
        elif np.ptp(a) == 0 or np.ptp(b) == 0:
            assert row["reason"] == "no variation in the window"
        else:
            assert row["reason"] is None
            if min(np.ptp(a), np.ptp(b)) > 1e-3:  # below it scipy loses digits before we do
                assert row["correlation"] == pytest.approx(reference(a, b)[0], abs=1e-8)
        assert (row["correlation"] is None) == (row["reason"] is not None)


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_rolling_ignores_scale_and_sign_and_sees_no_future(method: str) -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 300)).cumsum(axis=1)
    first = rolling_correlation(x, y, 30, method=method)["correlation"]
    scaled = rolling_correlation(5 - 3 * x, 1e4 * y, 30, method=method)["correlation"]
    np.testing.assert_allclose(scaled[29:], -first[29:], atol=1e-9)
    cut = rolling_correlation(x[:200], y[:200], 30, method=method)["correlation"]
    assert cut.to_list() == pytest.approx(first[:200].to_list(), abs=1e-12)


def test_rolling_keeps_its_digits_at_a_high_level() -> None:
    rng = np.random.default_rng(3)
    x = 60_000 + rng.normal(size=2_000).cumsum() * 0.01
    y = 2_600 + rng.normal(size=2_000).cumsum() * 0.001
    got = rolling_correlation(x, y, 50)["correlation"].to_numpy()[49:]
    expected = [np.corrcoef(x[i - 49 : i + 1], y[i - 49 : i + 1])[0, 1] for i in range(49, 2_000)]
    np.testing.assert_allclose(got, expected, atol=1e-8)


def test_rolling_refuses_what_has_no_meaning() -> None:
    with pytest.raises(ValueError, match="window"):
        rolling_correlation([1.0, 2.0], [1.0, 2.0], 2)
    with pytest.raises(ValueError, match="method"):
        rolling_correlation([1.0, 2.0], [1.0, 2.0], 3, method="kendall")


def test_cross_correlation_from_its_definition() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(2, 60))
    result = cross_correlation(a, b, 10)
    da, db = a - a.mean(), b - b.mean()
    scale = len(a) * a.std() * b.std()
    for lag, value in zip(result.lags, result.correlation, strict=True):
        pairs = [(da[t + lag], db[t]) for t in range(60) if 0 <= t + lag < 60]
        assert value == pytest.approx(sum(x * y for x, y in pairs) / scale, abs=1e-12)
    assert result.band == pytest.approx(1.959964 / np.sqrt(60), abs=1e-6)


def test_cross_correlation_peaks_where_b_moves_first() -> None:
    rng = np.random.default_rng(5)
    b = rng.normal(size=500)
    a = np.concatenate([rng.normal(size=4), b[:-4]])
    assert cross_correlation(a, b, 20).peak_lag == 4
    assert cross_correlation(b, a, 20).peak_lag == -4


def test_cross_correlation_bands_hold_their_level() -> None:
    rng = np.random.default_rng(6)
    white, smooth = [], []
    for _ in range(400):
        e = rng.normal(size=(4, 400))
        result = cross_correlation(e[0], e[1], 0)
        white.append(abs(result.correlation[0]) > result.band)
        u, v = (np.convolve(x, np.ones(5) / 5, mode="valid") for x in e[2:])
        result = cross_correlation(u, v, 0)
        smooth.append(
            (
                abs(result.correlation[0]) > result.band,
                abs(result.correlation[0]) > result.band_autocorrelated,
            )
        )
    naive, bartlett = np.mean(smooth, axis=0)
    assert 0.02 <= np.mean(white) <= 0.08
    assert naive > 0.2
    assert 0.02 <= bartlett <= 0.10


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_correlations_do_not_depend_on_extreme_units(scale: float) -> None:
    x, y = np.random.default_rng(16).normal(size=(2, 100))
    same = cross_correlation(x, y, 3).correlation
    np.testing.assert_allclose(cross_correlation(scale * x, y, 3).correlation, same, atol=1e-12)
    breakdown = correlation_breakdown(scale * x, y)
    assert breakdown.statistic == pytest.approx(correlation_breakdown(x, y).statistic)
    pair = np.column_stack([x, y])
    scaled = pair * [scale, 1.0]
    assert jennrich(scaled[:50], scaled[50:]).statistic == pytest.approx(
        jennrich(pair[:50], pair[50:]).statistic
    )


def test_cross_correlation_of_a_constant_is_undefined_and_gaps_are_refused() -> None:
    result = cross_correlation([1.0, 1.0, 1.0], [1.0, 2.0, 1.0], 1)
    assert (result.defined, result.reason, result.peak_lag) == (False, "a does not move", None)
    with pytest.raises(ValueError, match="b holds 1 missing"):
        cross_correlation([1.0, 2.0, 1.0], [1.0, np.nan, 1.0], 1)
    with pytest.raises(ValueError, match="max_lag is 3"):
        cross_correlation([1.0, 2.0, 1.0], [1.0, 2.0, 1.0], 3)


def test_timeframes_repeat_the_previous_close_and_report_how_often() -> None:
    a = ([0, 10, 20, 30, 40], [100, 101, 100, 102, 101])
    b = ([0, 9, 35, 41], [50, 51, 50, 52])
    [row] = timeframe_correlations({"A": a, "B": b}, [10]).iter_rows(named=True)
    closes_a = np.log([100, 101, 100, 102, 101])
    closes_b = np.log([51, 51, 51, 50, 52])
    expected = np.corrcoef(np.diff(closes_a), np.diff(closes_b))[0, 1]
    assert row["correlation"] == pytest.approx(expected, abs=1e-12)
    assert (row["n"], row["stale_share_x"], row["stale_share_y"]) == (4, 0.0, 0.4)
    assert row["lower"] < row["correlation"] < row["upper"]


def test_timeframes_give_every_pair_and_interval_and_undefined_ones_say_why() -> None:
    t = np.arange(0, 100, 10)
    rng = np.random.default_rng(7)
    moving = {s: (t, 100 + rng.normal(size=10)) for s in "AB"}
    frame = timeframe_correlations(moving | {"FLAT": (t, np.full(10, 5.0))}, [10, 50])
    assert frame.select("x", "y").unique().height == 3
    assert frame.height == 6
    flat = frame.filter((pl.col("y") == "FLAT") & (pl.col("interval") == 10))
    assert flat["reason"].unique().to_list() == ["a series does not move"]
    assert flat["correlation"].null_count() == 2
    assert frame.filter(pl.col("interval") == 50)["reason"].unique().to_list() == [
        "fewer than three returns"
    ]
    apart = timeframe_correlations({"A": ([0, 1], [1, 2]), "B": ([90, 91], [1, 2])}, [1])
    assert apart["n"].to_list() == [0]
    empty = timeframe_correlations({"A": ([0, 1], [1, 2]), "B": ([], [])}, [1])
    assert empty["reason"].to_list() == ["fewer than three returns"]


def test_epps_curve_fades_with_speed() -> None:
    rng = np.random.default_rng(8)
    price = 100 * np.exp(np.cumsum(rng.normal(0, 1e-4, 50_000)))
    a, b = (np.sort(rng.choice(50_000, 5_000, replace=False)) for _ in range(2))
    curve = epps_curve(a, price[a], b, price[b], [2, 10, 50, 500])
    assert curve["correlation"].is_sorted()
    assert curve["correlation"][0] < 0.2
    assert curve["correlation"][3] > 0.9
    with pytest.raises(ValueError, match="interval is 0"):
        epps_curve(a, price[a], b, price[b], [0])


def fat_tailed(rng: np.random.Generator, n: int, rho: float) -> np.ndarray:
    """Two t(5)-like series with clustered volatility and correlation ``rho``."""
    z = rng.normal(size=(2, n))
    volatility = np.exp(0.5 * np.convolve(rng.normal(size=n + 19), np.ones(20) / 20**0.5, "valid"))
    return np.stack([z[0], rho * z[0] + np.sqrt(1 - rho**2) * z[1]]) * volatility


@pytest.mark.parametrize("at", [None, 500])
def test_breakdown_test_holds_its_size_and_finds_a_break(at: int | None) -> None:
    rng = np.random.default_rng(9)
    rejected = [
        correlation_breakdown(*fat_tailed(rng, 1_000, 0.5), at=at).pvalue < 0.05 for _ in range(400)
    ]
    assert 0.01 <= np.mean(rejected) <= 0.09
    broken = [
        correlation_breakdown(
            *np.hstack([fat_tailed(rng, 500, 0.8), fat_tailed(rng, 500, 0.2)]), at=at
        )
        for _ in range(40)
    ]
    assert np.mean([test.pvalue < 0.05 for test in broken]) > 0.9
    assert np.median([test.break_index for test in broken]) == pytest.approx(500, abs=60)
    assert np.median([test.correlation_before for test in broken]) == pytest.approx(0.8, abs=0.1)


def test_breakdown_reports_its_critical_values_and_parts() -> None:
    x, y = np.random.default_rng(10).normal(size=(2, 200))
    unknown, known = correlation_breakdown(x, y), correlation_breakdown(x, y, at=80)
    assert unknown.critical_values["5%"] == pytest.approx(1.358, abs=1e-3)
    assert known.critical_values["5%"] == pytest.approx(1.960, abs=1e-3)
    assert (known.n_before, known.n_after, known.break_index) == (80, 120, 80)
    assert known.correlation_after == pytest.approx(np.corrcoef(x[80:], y[80:])[0, 1])


def test_breakdown_is_undefined_on_too_little_and_refuses_a_break_outside() -> None:
    x, y = np.random.default_rng(11).normal(size=(2, 50))
    assert "at least 30" in str(correlation_breakdown(x, y, at=25).reason)
    assert correlation_breakdown(x, np.ones(50)).reason == "a series does not move"
    assert correlation_breakdown(x, 2 * x).reason == "the series are perfectly correlated"
    with pytest.raises(ValueError, match="at is 50"):
        correlation_breakdown(x, y, at=50)
    with pytest.raises(ValueError, match="lags is 50"):
        correlation_breakdown(x, y, lags=50)


def test_jennrich_holds_its_size_and_finds_a_change() -> None:
    rng = np.random.default_rng(12)
    same, other = np.full((3, 3), 0.4), np.full((3, 3), 0.7)
    np.fill_diagonal(same, 1.0)
    np.fill_diagonal(other, 1.0)
    draw = rng.multivariate_normal
    tests = [
        jennrich(draw(np.zeros(3), same, 200), draw(np.zeros(3), same, 300)) for _ in range(400)
    ]
    assert 0.02 <= np.mean([test.pvalue < 0.05 for test in tests]) <= 0.09
    assert tests[0].degrees_of_freedom == 3
    assert jennrich(draw(np.zeros(3), same, 400), draw(np.zeros(3), other, 400)).pvalue < 1e-4


def test_jennrich_of_two_series_is_close_to_fishers_z() -> None:
    rng = np.random.default_rng(13)
    a = rng.multivariate_normal([0, 0], [[1, 0.3], [0.3, 1]], 2_000)
    b = rng.multivariate_normal([0, 0], [[1, 0.4], [0.4, 1]], 2_000)
    z = np.arctanh(np.corrcoef(a.T)[0, 1]) - np.arctanh(np.corrcoef(b.T)[0, 1])
    assert jennrich(a, b).statistic == pytest.approx(z**2 / (2 / 2_000), rel=0.02)


def test_jennrich_of_too_few_rows_or_copies_is_undefined() -> None:
    x = np.random.default_rng(14).normal(size=(10, 2))
    assert "each sample needs more" in str(jennrich(x[:2], x).reason)
    assert "singular" in str(jennrich(x[:, [0, 0]], x[:, [0, 0]]).reason)
    with pytest.raises(ValueError, match="shape"):
        jennrich(x, x[:, :1])


def test_shrinkage_makes_more_assets_than_returns_invertible() -> None:
    rng = np.random.default_rng(15)
    market = rng.normal(size=(60, 1))
    returns = 0.6 * market + rng.normal(size=(60, 100)) * np.geomspace(1e-4, 1e2, 100)
    frame = pl.DataFrame(returns, schema=[f"S{i}" for i in range(100)])
    estimate = shrunk_correlation(frame)
    assert estimate.condition < 1e4 < estimate.sample_condition
    assert 0 < estimate.shrinkage < 1
    np.testing.assert_allclose(np.diag(estimate.correlation), 1.0, atol=1e-12)
    np.testing.assert_allclose(estimate.sample, np.corrcoef(returns.T), atol=1e-12)
    scaled = shrunk_correlation(frame.select(pl.all() * 1e6))
    np.testing.assert_allclose(scaled.correlation, estimate.correlation, atol=1e-9)
    np.testing.assert_allclose(np.diag(estimate.covariance), returns.var(axis=0, ddof=1))


def test_shrinkage_marks_columns_that_do_not_move_and_counts_dropped_rows() -> None:
    frame = pl.DataFrame(
        {
            "A": [0.1, -0.2, 0.3, None, 0.1],
            "B": [0.2, -0.1, 0.2, 0.1, -0.3],
            "HALTED": [0.0, 0.0, 0.0, 0.0, 0.0],
        }
    )
    estimate = shrunk_correlation(frame)
    assert (estimate.n, estimate.n_dropped, estimate.undefined) == (4, 1, ("HALTED",))
    assert np.isnan(estimate.correlation[2]).all()
    assert np.isfinite(estimate.correlation[:2, :2]).all()
    nothing = shrunk_correlation(frame.select("A", "HALTED"))
    assert nothing.reason == "fewer than two columns move"
    with pytest.raises(ValueError, match="two or more"):
        shrunk_correlation(frame.select("A"))
