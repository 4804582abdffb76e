"""Hayashi–Yoshida covariance and the lead–lag contrast: exact against their definitions."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipeline.analytics import hayashi_yoshida, lead_lag


def double_loop(ts_a, price_a, ts_b, price_b) -> tuple[float, float, int]:
    """Correlation, covariance and overlaps straight from the definition."""
    a, b = (
        dict(zip(ts_a, np.log(price_a), strict=True)),
        dict(zip(ts_b, np.log(price_b), strict=True)),
    )
    covariance, overlaps = 0.0, 0
    for (s0, x0), (s1, x1) in pairwise(a.items()):
        for (t0, y0), (t1, y1) in pairwise(b.items()):
            if max(s0, t0) < min(s1, t1):
                covariance += (x1 - x0) * (y1 - y0)
                overlaps += 1
    scale = np.sqrt(sum(np.diff(list(a.values())) ** 2) * sum(np.diff(list(b.values())) ** 2))
    return covariance / scale if scale > 0 else np.nan, covariance, overlaps


prices = st.floats(1.0, 1000.0)
ticks = st.lists(st.tuples(st.integers(0, 60), prices), min_size=1, max_size=40).map(
    lambda rows: tuple(zip(*sorted(rows, key=lambda row: row[0]), strict=True))
)


@given(ticks, ticks)
def test_equals_the_double_loop_over_all_pairs_of_returns(a, b) -> None:
    correlation, covariance, overlaps = double_loop(*a, *b)
    result = hayashi_yoshida(*a, *b)
    assert result.covariance == pytest.approx(covariance, abs=1e-10)
    assert result.n_overlaps == overlaps
    if result.defined:
        assert result.correlation == pytest.approx(correlation, abs=1e-10)
    else:
        assert np.isnan(result.correlation)


@given(ticks, ticks)
def test_does_not_depend_on_order_scale_or_origin(a, b) -> None:
    (ts_a, price_a), (ts_b, price_b) = a, b
    one = hayashi_yoshida(ts_a, price_a, ts_b, price_b)
    other = hayashi_yoshida(
        np.array(ts_b) + 1_000, price_b, np.array(ts_a) + 1_000, 7 * np.array(price_a)
    )
    assert other.covariance == pytest.approx(one.covariance, abs=1e-9)
    assert (other.n_a, other.n_b, other.n_overlaps) == (one.n_b, one.n_a, one.n_overlaps)


@given(ticks)
def test_a_series_correlates_perfectly_with_itself(a) -> None:
    result = hayashi_yoshida(*a, *a)
    if result.defined:
        assert result.correlation == pytest.approx(1.0, abs=1e-9)


def test_on_a_common_clock_it_is_the_correlation_about_zero() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(0, 1e-3, (2, 400))
    t = np.arange(401)
    pa, pb = (100 * np.exp(np.concatenate([[0], np.cumsum(r)])) for r in (x, y))
    expected = (x @ y) / np.sqrt((x @ x) * (y @ y))
    assert hayashi_yoshida(t, pa, t, pb).correlation == pytest.approx(expected, abs=1e-10)


def test_of_ticks_with_one_stamp_the_last_counts_and_missing_prices_are_no_ticks() -> None:
    clean = hayashi_yoshida([0, 2, 4], [10, 11, 12], [0, 3, 4], [5, 6, 5])
    messy = hayashi_yoshida([0, 2, 2, 3, 4], [10, 99, 11, np.nan, 12], [0, 3, 4], [5, 6, 5])
    assert messy == clean


def test_undefined_results_say_why() -> None:
    flat = hayashi_yoshida([0, 1, 2], [5, 5, 5], [0, 1, 2], [1, 2, 1])
    assert (flat.reason, flat.defined) == ("price_a does not move", False)
    assert np.isnan(flat.correlation)
    single = hayashi_yoshida([0, 1], [5, 6], [3], [1])
    assert single.reason == "price_b has fewer than two distinct stamps"
    assert hayashi_yoshida([], [], [], []).reason == "price_a has fewer than two distinct stamps"
    apart = hayashi_yoshida([0, 1], [5, 6], [3, 4], [1, 2])
    assert (apart.reason, apart.n_overlaps) == ("no returns overlap in time", 0)
    assert np.isnan(apart.correlation)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 0], [1, 1], [0], [1]), "ts_a goes back in time at position 1"),
        (([0, 1], [1, -1], [0], [1]), "price_a is -1.0 at position 1"),
        (([0, 1], [1], [0], [1]), "ts_a 2, price_a 1"),
        ((np.array(["2024-08-08", "NaT"], "M8[s]"), [1, 1], [0], [1]), "ts_a holds a missing"),
        (([0.0, np.nan], [1, 1], [0], [1]), "ts_a holds a missing stamp"),
    ],
)
def test_misuse_is_refused_by_name(arguments, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hayashi_yoshida(*arguments)


def test_datetime_stamps_are_nanoseconds() -> None:
    at = np.array(["2024-08-08T00:00:00", "2024-08-08T00:00:01", "2024-08-08T00:00:03"], "M8[us]")
    price = [10.0, 11.0, 10.5]
    as_numbers = hayashi_yoshida(at.astype("M8[ns]").astype(int), price, [1, 2], [1.0, 2.0])
    assert hayashi_yoshida(at, price, [1, 2], [1.0, 2.0]) == as_numbers


def latent_ticks(seed: int, *, n: int, rho: float, delay: int = 0):
    """Two correlated random walks seen at independent random times; ``a`` lags by ``delay``."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(2, n)) * 1e-4
    x = np.cumsum(z[0])
    y = np.cumsum(rho * z[0] + np.sqrt(1 - rho**2) * z[1])
    seen_a, seen_b = (np.sort(rng.choice(n, n // 10, replace=False)) for _ in range(2))
    return seen_a + delay, 100 * np.exp(x[seen_a]), seen_b, 50 * np.exp(y[seen_b])


def test_recovers_the_correlation_and_its_standard_error_covers_it() -> None:
    results = [hayashi_yoshida(*latent_ticks(seed, n=20_000, rho=0.8)) for seed in range(60)]
    estimates = np.array([r.correlation for r in results])
    stderr = np.array([r.stderr for r in results])
    assert estimates.mean() == pytest.approx(0.80, abs=0.02)
    assert np.median(stderr) == pytest.approx(estimates.std(ddof=1), rel=0.35)
    covered = np.mean(np.abs(estimates - 0.80) < 1.96 * stderr)
    assert 0.85 <= covered <= 1.0


@pytest.mark.parametrize("delay", [-40, 0, 25])
def test_lead_lag_finds_the_delay_and_who_leads(delay: int) -> None:
    ticks = latent_ticks(3, n=20_000, rho=0.9, delay=delay)
    found = lead_lag(*ticks, np.arange(-80, 81, 5))
    assert found.lag == pytest.approx(delay, abs=5)
    assert found.correlation == pytest.approx(0.9, abs=0.1)
    if delay:
        assert found.leader == ("b" if delay > 0 else "a")
        assert (found.lead_lag_ratio < 1) == (delay > 0)
    mirrored = lead_lag(*ticks[2:], *ticks[:2], np.arange(-80, 81, 5))
    assert mirrored.lag == -found.lag
    np.testing.assert_allclose(mirrored.contrast[::-1], found.contrast, atol=1e-10)


def test_lead_lag_contrast_is_hayashi_yoshida_of_shifted_stamps() -> None:
    ts_a, price_a, ts_b, price_b = latent_ticks(4, n=3_000, rho=0.7)
    lags = np.array([-30, -1, 0, 12])
    found = lead_lag(ts_a, price_a, ts_b, price_b, lags)
    expected = [hayashi_yoshida(ts_a - lag, price_a, ts_b, price_b).correlation for lag in lags]
    np.testing.assert_allclose(found.contrast, expected, atol=1e-12)
    assert np.isnan(found.lead_lag_ratio)


def test_float_durations_are_exact_beside_nanosecond_stamps() -> None:
    ts_a, price_a, ts_b, price_b = latent_ticks(5, n=4_000, rho=0.7)
    origin = 1_723_161_255_342_000_001
    at = origin + ts_a * 100, price_a, origin + ts_b * 100, price_b
    exact, floats = (
        lead_lag(*at, np.arange(-500, 501, 50).astype(kind)) for kind in (np.int64, np.float64)
    )
    np.testing.assert_array_equal(exact.contrast, floats.contrast)
    relative = lead_lag(ts_a, price_a, ts_b, price_b, np.arange(-5, 6) * 0.5)
    np.testing.assert_allclose(exact.contrast[5:16], relative.contrast, atol=1e-12)
    assert hayashi_yoshida(*at, thin_interval=1e3) == hayashi_yoshida(*at, thin_interval=1_000)


def test_lead_lag_without_overlap_is_undefined_and_bad_grids_are_refused() -> None:
    apart = lead_lag([0, 1], [5, 6], [300, 400], [1, 2], [-1, 0, 1])
    assert apart.reason == "no returns overlap at any lag"
    assert (apart.leader, np.isnan(apart.lag)) == ("undefined", True)
    for grid in ([], [1, 0], [0, 0], [np.nan]):
        with pytest.raises(ValueError, match="lags"):
            lead_lag([0, 1], [5, 6], [0, 1], [1, 2], grid)
