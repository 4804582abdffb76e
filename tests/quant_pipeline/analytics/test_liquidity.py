"""Spreads from bars and quotes, volume by price and side, and price impact."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import assume, given
from hypothesis import strategies as st

from quant_pipeline.analytics import (
    abdi_ranaldo,
    amihud,
    corwin_schultz,
    discrete_generalized,
    edge,
    impact_curve,
    kyle_lambda,
    order_flow_imbalance,
    quoted_spread,
    roll_spread,
    rolling_vwap,
    spread_estimates,
    trade_imbalance,
    trade_spreads,
    volume_profile,
    vpin,
    vwap,
)

ESTIMATORS = [edge, roll_spread, corwin_schultz, abdi_ranaldo]


def bars_with_spread(spread: float, *, n: int = 2_000, ticks: int = 30, seed: int = 0):
    """Bars of trades at bid or ask around a random walk, and nothing else."""
    rng = np.random.default_rng(seed)
    log_mid = np.cumsum(rng.normal(0, 2e-4, n * ticks)).reshape(n, ticks)
    price = 100 * np.exp(log_mid + rng.choice([-0.5, 0.5], (n, ticks)) * spread)
    return price[:, 0], price.max(axis=1), price.min(axis=1), price[:, -1]


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_estimators_recover_a_known_spread(estimator) -> None:
    estimate = estimator(*bars_with_spread(0.01))
    assert estimate.spread == pytest.approx(0.01, rel=0.1)
    assert estimate.n >= 1_998


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_without_a_spread_the_estimate_is_tiny_or_undefined_but_never_zero(estimator) -> None:
    for seed in range(8):
        estimate = estimator(*bars_with_spread(0.0, n=300, seed=seed))
        assert np.isnan(estimate.spread) == (not estimate.defined)
        assert estimate.spread != 0.0
        if not estimate.defined:
            assert estimate.signed <= 0
            assert "not positive" in str(estimate.reason)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_bars_are_undefined(estimator, n: int) -> None:
    o, h, low, c = (column[:n] for column in bars_with_spread(0.01, n=5))
    estimate = estimator(o, h, low, c)
    if n < 2 or estimator in (edge, roll_spread):
        assert not estimate.defined
        assert np.isnan(estimate.signed)
        assert estimate.reason == "too few bars in which the price moves"


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_price_that_never_moves_has_no_measurable_spread(estimator) -> None:
    flat = np.full(50, 5.0)
    estimate = estimator(flat, flat, flat, flat)
    assert not estimate.defined
    assert np.isnan(estimate.spread)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("column", [0, 1, 2, 3])
def test_missing_prices_leave_out_their_bars_only(estimator, column: int) -> None:
    bars = [values.copy() for values in bars_with_spread(0.01)]
    bars[column][::50] = np.nan
    assert estimator(*bars).spread == pytest.approx(0.01, rel=0.1)


def test_undefined_spreads_sort_last_and_stay_null_in_the_comparison() -> None:
    flat = np.full(50, 5.0)
    frame = spread_estimates(flat, flat, flat, flat)
    assert frame["spread"].null_count() == 4
    assert frame["reason"].null_count() == 0
    defined = spread_estimates(*bars_with_spread(0.01))
    assert defined["reason"].null_count() == 4
    ranked = sorted([edge(flat, flat, flat, flat), edge(*bars_with_spread(0.01))], key=_cost)
    assert ranked[0].defined


def _cost(estimate) -> float:
    return float(np.nan_to_num(estimate.spread, nan=np.inf))


@pytest.mark.parametrize("moment", ["OHL", "OHLC", "CHL", "CHLO"])
def test_every_moment_recovers_a_known_spread(moment: str) -> None:
    estimate = discrete_generalized(*bars_with_spread(0.01), moment)
    assert estimate.spread == pytest.approx(0.01, rel=0.1)
    assert estimate.estimator == moment


def test_impossible_bars_and_unknown_moments_are_refused() -> None:
    with pytest.raises(ValueError, match="bar 1 is impossible"):
        edge([1, 1, 1], [1, 1, 1], [1, 2, 1], [1, 1, 1])
    with pytest.raises(ValueError, match=r"close is 0\.0 at position 2"):
        roll_spread([1, 1, 1], [1, 1, 1], [1, 1, 1], [1, 1, 0])
    with pytest.raises(ValueError, match="moment is 'HLC'"):
        discrete_generalized([1], [1], [1], [1], "HLC")


trades = st.lists(
    st.tuples(st.integers(100, 400), st.integers(0, 50), st.booleans()), min_size=0, max_size=60
).map(
    lambda rows: (
        np.array([r[0] / 10 for r in rows]),
        np.array([float(r[1]) for r in rows]),
        np.array([r[2] for r in rows], dtype=bool),
    )
)


@given(trades, st.sampled_from([0.1, 0.25, 1.0, 7.0]), st.floats(0.05, 0.95))
def test_volume_profile_conserves_volume_and_covers_its_value_area(
    rows, bin_size: float, value_area: float
) -> None:
    price, quantity, maker = rows
    profile = volume_profile(price, quantity, maker, bin_size, value_area=value_area)
    assert profile.n == len(price)
    if quantity.sum() == 0:
        assert (profile.defined, profile.bins.height) == (False, 0)
        return
    bins = profile.bins
    assert bins["volume"].sum() == pytest.approx(quantity.sum())
    assert bins["buy_volume"].sum() == pytest.approx(quantity[~maker].sum())
    np.testing.assert_allclose(bins["buy_volume"] + bins["sell_volume"], bins["volume"])
    assert bins["trades"].sum() == len(price)
    np.testing.assert_allclose(bins["price_low"][1:], bins["price_high"][:-1])
    # Every trade's volume lies in the bin that holds its price.
    for row in bins.iter_rows(named=True):
        inside = (price >= row["price_low"] - 1e-9) & (price < row["price_high"] - 1e-9)
        assert row["volume"] == pytest.approx(quantity[inside].sum())
    control = bins.filter(bins["volume"] == bins["volume"].max())
    middle = (control["price_low"] + control["price_high"]) / 2
    assert min(abs(middle - profile.point_of_control)) < 1e-9
    inside = (bins["price_low"] >= profile.value_area_low - 1e-9) & (
        bins["price_high"] <= profile.value_area_high + 1e-9
    )
    held = bins.filter(inside)["volume"]
    assert held.sum() / quantity.sum() == pytest.approx(profile.value_area_share)
    assert profile.value_area_share >= value_area - 1e-9
    # It is no wider than needed: without one of its end bins it would hold too little.
    if len(held) > 1:
        assert held.sum() - max(held[0], held[-1]) < value_area * quantity.sum() + 1e-9


def test_value_area_grows_towards_the_larger_neighbour() -> None:
    price, volume = [1.5, 2.5, 3.5, 4.5, 5.5], [30.0, 5.0, 50.0, 10.0, 5.0]
    profile = volume_profile(price, volume, [False] * 5, 1.0)
    # From 50 at 3 up to 10 at 4, then 5 at 5 (its tie with 5 at 2 goes up), then 2: 70 of 100.
    assert (profile.value_area_low, profile.value_area_high) == (2.0, 6.0)
    assert profile.point_of_control == 3.5
    assert volume_profile(price, volume, [False] * 5, 1.0, value_area=0.6).value_area_share == 0.6


def test_prices_on_a_bin_edge_belong_to_the_bin_they_begin_whatever_the_rounding() -> None:
    price = np.arange(1, 1001) * 0.01
    profile = volume_profile(price, np.ones(1000), np.zeros(1000, dtype=bool), 0.01)
    assert profile.bins["trades"].to_list() == [1] * 1000


def test_volume_profile_refuses_bins_without_sense() -> None:
    for bin_size, message in ((0.0, "bin_size is 0.0"), (1e-9, "choose a larger one")):
        with pytest.raises(ValueError, match=message):
            volume_profile([1.0, 100.0], [1, 1], [True, False], bin_size)
    with pytest.raises(ValueError, match="value_area is 1"):
        volume_profile([1.0], [1.0], [True], 1.0, value_area=1)
    with pytest.raises(ValueError, match="one boolean per trade"):
        volume_profile([1.0], [1.0], [1], 1.0)


@given(trades)
def test_vwap_lies_within_the_prices_and_ignores_missing_rows(rows) -> None:
    price, quantity, _ = rows
    result = vwap(price, quantity)
    assert result.volume == pytest.approx(quantity.sum())
    if quantity.sum() == 0:
        assert (result.reason, np.isnan(result.vwap)) == ("no volume", True)
        return
    assert price.min() - 1e-9 <= result.vwap <= price.max() + 1e-9
    assert result.vwap * result.volume == pytest.approx(result.quote_volume)
    holed = vwap(np.append(price, np.nan), np.append(quantity, 5.0))
    assert (holed.vwap, holed.n_missing) == (result.vwap, 1)


@given(trades, st.integers(1, 8))
def test_rolling_vwap_is_the_vwap_of_each_window(rows, window: int) -> None:
    price, quantity, _ = rows
    frame = rolling_vwap(price, quantity, window)
    for end, row in enumerate(frame.iter_rows(named=True)):
        if end + 1 < window:
            assert (row["vwap"], row["reason"]) == (None, "window not full yet")
            continue
        expected = vwap(price[end + 1 - window : end + 1], quantity[end + 1 - window : end + 1])
        assert row["reason"] == expected.reason
        if expected.defined:
            assert row["vwap"] == pytest.approx(expected.vwap)


def test_trade_imbalance_of_nothing_is_undefined() -> None:
    assert trade_imbalance([], []).reason == "no volume"
    assert trade_imbalance([2.0, 2.0], [True, True]).imbalance == -1.0


@given(trades, st.sampled_from([1.0, 3.5, 20.0]), st.integers(1, 4))
def test_vpin_buckets_are_full_and_split_trades_exactly(rows, bucket: float, window: int) -> None:
    _, quantity, maker = rows
    frame = vpin(quantity, maker, bucket_volume=bucket, window=window)
    assert frame.height == int(quantity.sum() / bucket * (1 + 1e-12))
    # One unit of volume after another, as it traded.
    units = np.repeat(maker, (quantity * 2).astype(int))
    for k, row in enumerate(frame.iter_rows(named=True)):
        part = units[int(2 * k * bucket) : int(2 * (k + 1) * bucket)]
        assert row["buy_volume"] == pytest.approx((~part).sum() / 2, abs=1e-9)
        assert row["buy_volume"] + row["sell_volume"] == pytest.approx(bucket)
        assert row["first_trade"] <= row["last_trade"]
        if k + 1 < window:
            assert (row["vpin"], row["reason"]) == (None, "window not full yet")
        else:
            recent = frame["imbalance"][k + 1 - window : k + 1]
            assert row["vpin"] == pytest.approx(recent.mean() / bucket)
            assert -1e-12 <= row["vpin"] <= 1 + 1e-12


def test_quoted_spread_leaves_out_what_is_no_market() -> None:
    bid = [100.0, 100.0, 101.0, np.nan, 100.0]
    ask = [100.2, 100.0, 100.0, 100.1, 100.4]
    spread = quoted_spread(bid, ask, [0, 1, 2, 3, 5])
    assert (spread.n, spread.n_locked, spread.n_crossed, spread.n_missing) == (3, 1, 1, 1)
    each = [1e4 * 0.2 / 100.1, 0.0, 1e4 * 0.4 / 100.2]
    assert spread.mean_bps == pytest.approx(np.mean(each))
    assert spread.median_bps == pytest.approx(each[0])
    assert spread.time_weighted_bps == pytest.approx(np.average(each, weights=[1, 1, 0]))
    assert not quoted_spread([2.0], [1.0]).defined
    assert np.isnan(quoted_spread([1.0], [2.0]).time_weighted_bps)


def test_trade_spreads_split_into_what_the_maker_keeps_and_impact() -> None:
    # One buy at the ask, after which the mid rises by half of what was paid.
    paid = trade_spreads(
        [10, 20],
        [100.1, 99.9],
        [2.0, 2.0],
        [False, True],
        [0, 10, 20, 30],
        [100.0, 100.05, 99.95, 99.95],
        horizon=5,
    )
    assert paid.n == 2
    assert paid.effective_bps == pytest.approx((20 + 2e4 * 0.15 / 100.05) / 2, rel=1e-3)
    assert paid.impact_bps == pytest.approx(paid.effective_bps - paid.realised_bps)
    assert paid.impact_bps > 0
    late = trade_spreads([40], [100.0], [1.0], [True], [0, 30], [100.0, 100.0], horizon=5)
    assert (late.defined, late.n_unmatched) == (False, 1)
    early = trade_spreads([0], [100.0], [1.0], [True], [0, 30], [100.0, 100.0], horizon=5)
    assert (early.defined, early.n_unmatched) == (False, 1)
    assert not trade_spreads([1], [1.0], [1.0], [True], [], [], horizon=1).defined


def test_order_flow_imbalance_by_case() -> None:
    def step(bid0, bs0, ask0, as0, bid1, bs1, ask1, as1) -> float:
        return float(order_flow_imbalance([bid0, bid1], [bs0, bs1], [ask0, ask1], [as0, as1])[1])

    assert step(10, 5, 11, 5, 10, 7, 11, 5) == 2  # bid size added
    assert step(10, 5, 11, 5, 10, 5, 11, 8) == -3  # ask size added
    assert step(10, 5, 11, 5, 10.5, 2, 11, 5) == 2  # bid improved
    assert step(10, 5, 11, 5, 9, 9, 11, 5) == -5  # bid gone
    assert step(10, 5, 11, 5, 10, 5, 12, 1) == 5  # ask gone
    assert np.isnan(step(10, 5, 11, 5, np.nan, 5, 11, 5))
    assert order_flow_imbalance([], [], [], []).size == 0


def test_amihud_leaves_out_bars_without_volume() -> None:
    result = amihud([0.01, 0.5, np.nan, -0.03], [100.0, 0.0, 50.0, 100.0])
    assert (result.n, result.n_without_volume) == (2, 1)
    assert result.illiquidity == pytest.approx(2e-4)
    assert not amihud([0.1], [0.0]).defined
    with pytest.raises(ValueError, match="quote_volume is -1"):
        amihud([0.1], [-1.0])


def test_kyle_lambda_recovers_impact_whatever_the_units() -> None:
    rng = np.random.default_rng(1)
    volume = rng.normal(size=2_000)
    change = 0.3 * volume + rng.normal(size=2_000)
    fit = kyle_lambda(change, volume)
    assert fit.price_impact == pytest.approx(0.3, abs=3 * fit.stderr)
    assert fit.r_squared == pytest.approx(np.corrcoef(change, volume)[0, 1] ** 2)
    reference = sm.OLS(change, sm.add_constant(volume)).fit(
        cov_type="HAC", cov_kwds={"maxlags": fit.lags}
    )
    assert (fit.intercept, fit.price_impact) == pytest.approx(tuple(reference.params), abs=1e-12)
    assert fit.stderr == pytest.approx(reference.bse[1], rel=1e-10)
    assert fit.pvalue == pytest.approx(reference.pvalues[1], rel=1e-8)
    scaled = kyle_lambda(change, 1e9 * volume)
    assert scaled.price_impact * 1e9 == pytest.approx(fit.price_impact)
    assert scaled.pvalue == pytest.approx(fit.pvalue)
    with pytest.raises(ValueError, match="lags is 2000"):
        kyle_lambda(change, volume, lags=2_000)
    assert not kyle_lambda(change[:5], volume[:5]).defined
    assert kyle_lambda(change, np.ones(2_000)).reason == "signed_volume does not vary"


@given(trades, st.integers(1, 6))
def test_impact_curve_counts_every_matched_trade_once(rows, bins: int) -> None:
    _, quantity, maker = rows
    keep = quantity > 0
    assume(keep.any())
    ts = np.arange(1, keep.sum() + 1) * 10
    mids = 100 + np.arange(len(ts) + 2) * 0.01
    frame = impact_curve(
        ts, quantity[keep], maker[keep], np.arange(len(ts) + 2) * 10, mids, horizon=5, bins=bins
    )
    assert frame["n"].sum() == keep.sum()
    assert frame.height <= bins
    assert (frame["size_low"] <= frame["size_high"]).all()
    assert frame["mean_size"].is_sorted()
    assert (frame["size_high"][:-1] < frame["size_low"][1:]).all()


def test_impact_grows_with_size_where_it_does() -> None:
    rng = np.random.default_rng(2)
    size, sell = rng.lognormal(size=4_000), rng.random(4_000) < 0.5
    ts = np.arange(1, 4_001) * 10
    moves = np.where(sell, -1, 1) * np.sqrt(size) * 1e-4 + rng.normal(0, 1e-5, 4_000)
    mids = 100 * np.exp(np.concatenate([[0], np.cumsum(moves)]))
    quotes = np.concatenate([[0], ts + 1])
    frame = impact_curve(ts[:-1], size[:-1], sell[:-1], quotes, mids, horizon=5, bins=5)
    assert frame["impact_bps"].is_sorted()
    np.testing.assert_allclose(frame["impact_bps"], np.sqrt(frame["mean_size"]), rtol=0.1)


def test_quantities_that_are_negative_or_infinite_are_refused_everywhere() -> None:
    for wrong in (-1.0, np.inf):
        calls = (
            lambda q=wrong: vwap([1.0], [q]),
            lambda q=wrong: rolling_vwap([1.0], [q], 1),
            lambda q=wrong: trade_imbalance([q], [True]),
            lambda q=wrong: vpin([q], [True], bucket_volume=1.0),
            lambda q=wrong: volume_profile([1.0], [q], [True], 1.0),
            lambda q=wrong: trade_spreads([1], [1.0], [q], [True], [0, 2], [1.0, 1.0], horizon=1),
            lambda q=wrong: amihud([0.1], [q]),
        )
        for call in calls:
            with pytest.raises(ValueError, match=f"is {wrong} at position 0"):
                call()
