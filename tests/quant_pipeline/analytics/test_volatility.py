"""Volatility estimators recover a known volatility, and see what they are meant to see."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline import analytics

Bars = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
ESTIMATORS = (
    "close_to_close",
    "parkinson",
    "garman_klass",
    "garman_klass_yang_zhang",
    "rogers_satchell",
    "yang_zhang",
)


def simulated_bars(bars: int, steps: int, sigma: float, drift: float = 0.0) -> Bars:
    """Bars of a continuously sampled log price with volatility ``sigma`` a bar and no gaps."""
    rng = np.random.default_rng(0)
    moves = rng.normal(drift / steps, sigma / np.sqrt(steps), size=(bars, steps))
    path = np.cumsum(moves).reshape(bars, steps)
    opening = np.concatenate([[0.0], path[:-1, -1]])
    inside = np.column_stack([opening, path])
    price = np.exp(inside) * 100.0
    return price[:, 0], price.max(axis=1), price.min(axis=1), price[:, -1]


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_estimator_recovers_a_known_volatility(estimator: str) -> None:
    bars = simulated_bars(2_000, 1_000, 0.01)
    annual = 0.01 * np.sqrt(365)
    found = analytics.volatility(*bars, estimator=estimator, window=1_999, periods_per_year=365)
    # Discrete sampling misses the extremes: ranges read a few percent low at 1,000 steps a bar.
    assert found[-1] == pytest.approx(annual, rel=0.05)
    assert np.isnan(found[:1_998]).all()


def test_a_drift_deceives_parkinson_but_not_rogers_satchell() -> None:
    bars = simulated_bars(200, 10_000, 0.01, drift=0.02)
    options = {"window": 200, "periods_per_year": 1}
    parkinson = analytics.volatility(*bars, estimator="parkinson", **options)[-1]
    rogers_satchell = analytics.volatility(*bars, estimator="rogers_satchell", **options)[-1]
    assert rogers_satchell == pytest.approx(0.01, rel=0.08)
    assert parkinson > 0.0125


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_missing_bar_reaches_only_the_windows_that_need_it(estimator: str) -> None:
    bars = tuple(np.copy(column) for column in simulated_bars(60, 50, 0.01))
    options = {"estimator": estimator, "window": 10, "periods_per_year": 365}
    whole = analytics.volatility(*bars, **options)
    for column in bars:
        column[30] = np.nan
    holed = analytics.volatility(*bars, **options)
    needs_previous_close = estimator in ("garman_klass_yang_zhang", "yang_zhang")
    last = 40 if needs_previous_close else 39
    np.testing.assert_array_equal(holed[:30], whole[:30])
    assert np.isnan(holed[30 : last + 1]).all()
    np.testing.assert_allclose(holed[last + 1 :], whole[last + 1 :], rtol=1e-12)


def test_volatility_refuses_what_is_no_bar() -> None:
    o, h, low, c = simulated_bars(20, 10, 0.01)
    options = {"window": 5, "periods_per_year": 365}
    with pytest.raises(ValueError, match="check the order of the arguments"):
        analytics.volatility(o, low, h, c, estimator="parkinson", **options)
    with pytest.raises(ValueError, match="estimator is 'atr'; choose one of close_to_close"):
        analytics.volatility(o, h, low, c, estimator="atr", **options)
    with pytest.raises(ValueError, match="window is 2"):
        analytics.volatility(o, h, low, c, estimator="parkinson", window=2, periods_per_year=365)
    with pytest.raises(ValueError, match="open has 19 observations and close has 20"):
        analytics.volatility(o[1:], h, low, c, estimator="parkinson", **options)


def test_ewma_is_pandas_ewm() -> None:
    close = simulated_bars(100, 10, 0.01)[3]
    ours = analytics.ewma_volatility(close, decay=0.9, periods_per_year=365)
    squares = pd.Series(np.diff(np.log(close)) ** 2)
    theirs = np.sqrt(365 * squares.ewm(alpha=0.1, adjust=False).mean())
    np.testing.assert_allclose(ours[1:], theirs, rtol=1e-12)


def test_a_year_of_a_market_that_never_closes() -> None:
    assert analytics.periods_per_year(86_400) == 365.0
    with pytest.raises(ValueError, match="bar_seconds is 0"):
        analytics.periods_per_year(0)


def test_rolling_forms_are_the_statistic_of_each_window() -> None:
    r = np.random.default_rng(1).normal(size=80)
    realised = analytics.rolling_realised_variance(r, 20)
    bipower = analytics.rolling_bipower_variation(r, 20)
    for end in range(19, 80):
        window = r[end - 19 : end + 1]
        assert realised[end] == pytest.approx(analytics.realised_variance(window), rel=1e-12)
        assert bipower[end] == pytest.approx(analytics.bipower_variation(window), rel=1e-12)
    assert np.isnan(realised[:19]).all()
    assert np.isnan(bipower[:19]).all()


def test_jump_test_has_its_size_without_jumps_and_sees_one() -> None:
    rng = np.random.default_rng(2)
    days = rng.normal(scale=0.001, size=(400, 288))
    rejected = np.mean([analytics.jump_share(day).pvalue < 0.05 for day in days])
    assert 0.02 < rejected < 0.09
    days[:, 100] += 0.015
    found = [analytics.jump_share(day) for day in days]
    assert np.mean([jump.pvalue < 0.05 for jump in found]) > 0.99
    total = 0.015**2 + 288 * 0.001**2
    # The jump also enters bipower variation, through the products with its two neighbours.
    leaked = np.pi / 2 * 2 * 0.015 * 0.001 * np.sqrt(2 / np.pi)
    share = np.mean([jump.share for jump in found])
    assert share == pytest.approx((0.015**2 - leaked) / total, abs=0.01)
    assert not analytics.jump_share(np.zeros(50)).defined
    assert not analytics.jump_share([0.1, 0.2]).defined
