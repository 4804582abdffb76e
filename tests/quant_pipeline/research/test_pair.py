"""Pairs from the lake: alignment, what is carried forward, and statistics equal to analytics."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from quant_pipeline import analytics, lake
from quant_pipeline.research import pair
from quant_pipeline.research.outcome import Undefined
from quant_pipeline.research.pair import PairBars, PairStatistics
from quant_pipeline.research.pair_bars import align
from quant_pipeline.research.reading import NothingToRead
from quant_pipeline.research.verdict import Finding
from quant_pipeline.settings import Pair, Settings

PAIR = Pair("BTCUSDT", "ETHUSDT")
DAY = dt.date(2024, 8, 8)


@pytest.fixture(scope="module")
def bars(recorded_lake: Settings) -> PairBars:
    with lake.connect(read_only=True, settings=recorded_lake) as connection:
        return pair.load(connection, venue="binance", pair=PAIR, day=DAY, timeframe="1s")


@pytest.fixture(scope="module")
def statistics(bars: PairBars) -> PairStatistics:
    return pair.analyse(bars, window=60)


def closes(*rows: tuple[int, float]) -> pl.DataFrame:
    start = dt.datetime.combine(DAY, dt.time())
    return pl.DataFrame(
        {
            "bucket": [start + dt.timedelta(seconds=second) for second, _ in rows],
            "close": [price for _, price in rows],
        },
        schema={"bucket": pl.Datetime("us"), "close": pl.Float64},
    )


def test_the_clock_starts_where_both_legs_have_traded_and_ends_where_both_still_do() -> None:
    frame = align({"y": closes((0, 1.0), (2, 3.0), (5, 4.0)), "x": closes((1, 9.0), (4, 8.0))}, 1)
    assert frame["bucket"].dt.second().to_list() == [1, 2, 3, 4]
    assert frame["y"].to_list() == [1.0, 3.0, 3.0, 3.0]
    assert frame["x"].to_list() == [9.0, 9.0, 9.0, 8.0]
    assert frame["y_filled"].to_list() == [True, False, True, True]
    assert frame["x_filled"].to_list() == [False, True, True, False]


def test_legs_without_overlap_give_no_rows() -> None:
    assert align({"y": closes((0, 1.0)), "x": closes((1, 1.0))}, 1).is_empty()
    assert align({"y": closes(), "x": closes((1, 1.0))}, 1).is_empty()


def test_a_close_that_is_no_price_counts_as_no_trade() -> None:
    legs = {"y": closes((0, 1.0), (1, float("nan")), (2, 2.0)), "x": closes((0, 1.0), (2, 1.0))}
    frame = align(legs, 1)
    assert frame["y"].to_list() == [1.0, 1.0, 2.0]
    assert frame["y_filled"].to_list() == [False, True, False]


def test_a_recorded_date_is_read_at_one_snapshot(bars: PairBars) -> None:
    assert bars.n == (bars.frame["bucket"][-1] - bars.frame["bucket"][0]).seconds + 1
    assert bars.frame["bucket"][-1] == dt.datetime.combine(DAY, dt.time(23, 59, 59))
    assert bars.snapshot > 0
    assert not isinstance(bars.ticks, Undefined)
    assert bars.ticks["y"].height == bars.legs["y"]["trade_count"].sum()
    assert bars.frame.filter(~pl.col("y_filled"))["y"].to_list() == (
        bars.legs["y"].filter(pl.col("bucket") >= bars.frame["bucket"][0])["close"].to_list()
    )


def test_reading_before_dbt_has_run_says_what_to_run(settings: Settings) -> None:
    with (
        lake.connect(settings=settings) as connection,
        pytest.raises(NothingToRead, match=r"bars\.ohlc_1s.*dbt run"),
    ):
        pair.load(connection, venue="binance", pair=PAIR, day=DAY, timeframe="1s")


def test_metrics_are_those_of_the_library(bars: PairBars, statistics: PairStatistics) -> None:
    y, x = np.log(bars.frame["y"].to_numpy()), np.log(bars.frame["x"].to_numpy())
    fit = analytics.ols(y, x)
    both = analytics.engle_granger_directions(y, x)
    adf = analytics.adf(fit.residuals)
    half_life = analytics.half_life(fit.residuals)
    metrics = statistics.metrics()
    assert metrics["bars"] == bars.n
    assert metrics["hedge_ratio"] == fit.beta
    assert metrics["hedge_ratio_stderr"] == fit.beta_stderr
    assert metrics["adf_statistic"] == adf.statistic
    assert metrics["engle_granger_pvalue"] == both.y_on_x.pvalue
    assert metrics["engle_granger_reverse_pvalue"] == both.x_on_y.pvalue
    assert metrics["half_life_s"] == half_life.half_life
    assert metrics["correlation"] == pytest.approx(np.corrcoef(np.diff(y), np.diff(x))[0, 1])
    assert metrics["rolling_correlation"] == pytest.approx(
        np.corrcoef(np.diff(y)[-60:], np.diff(x)[-60:])[0, 1]
    )
    assert metrics["zscore"] == pytest.approx(analytics.zscore(fit.residuals)[-1])
    leg = bars.legs["x"]
    assert metrics["vwap_x"] == pytest.approx(leg["quote_volume"].sum() / leg["volume"].sum())


def test_the_recorded_session_shows_no_cointegration(statistics: PairStatistics) -> None:
    assert statistics.verdict.finding is Finding.NOT_SHOWN
    assert statistics.verdict.rejecting == ()
    assert [leg.order for leg in statistics.legs] == [1, 1]


def test_a_planted_relation_is_found() -> None:
    rng = np.random.default_rng(7)
    x = np.cumsum(rng.normal(0, 1e-3, 2_000)) + 3.0
    noise = np.zeros(2_000)
    for t in range(1, 2_000):
        noise[t] = 0.7 * noise[t - 1] + rng.normal(0, 1e-3)
    found = pair.analyse(pair_bars(np.exp(1.0 + 0.8 * x + noise), np.exp(x)), window=60)
    assert found.verdict.finding is Finding.COINTEGRATED
    assert found.metrics()["hedge_ratio"] == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize(
    ("y", "x"),
    [
        pytest.param([], [], id="no overlap"),
        pytest.param([100.0], [10.0], id="one bar"),
        pytest.param([100.0] * 500, [10.0] * 500, id="constant prices"),
        pytest.param([100.0] * 500, list(np.linspace(10, 11, 500)), id="one constant leg"),
        pytest.param(list(np.linspace(10, 11, 500)), list(np.linspace(10, 11, 500)), id="same"),
        pytest.param([100.0, 101.0, 102.0], [10.0, 11.0, 10.5], id="three bars"),
    ],
)
def test_degenerate_input_is_undefined_with_a_reason(y: list[float], x: list[float]) -> None:
    statistics = pair.analyse(pair_bars(np.array(y), np.array(x)), window=60)
    assert statistics.verdict.finding is Finding.UNDEFINED
    assert statistics.verdict.reason.endswith(".")
    metrics = statistics.metrics()
    assert metrics["bars"] == len(y)
    assert metrics["engle_granger_pvalue"] is None
    for value in metrics.values():
        assert value is None or np.isfinite(value)


def test_a_window_too_short_to_roll_is_refused() -> None:
    with pytest.raises(ValueError, match="window is 2"):
        pair.analyse(pair_bars(np.ones(10), np.ones(10)), window=2)


def pair_bars(y: np.ndarray, x: np.ndarray) -> PairBars:
    """Bars of one second with these closes."""
    start = dt.datetime.combine(DAY, dt.time())
    buckets = [start + dt.timedelta(seconds=i) for i in range(len(y))]
    legs = {}
    for name, symbol, close in (("y", PAIR.y, y), ("x", PAIR.x, x)):
        legs[name] = pl.DataFrame(
            {
                "symbol": [symbol] * len(close),
                "bucket": pl.Series(buckets, dtype=pl.Datetime("us")),
                "close": pl.Series(close, dtype=pl.Float64),
                "volume": [1.0] * len(close),
                "quote_volume": pl.Series(close, dtype=pl.Float64),
                "buy_volume": [0.5] * len(close),
                "trade_count": [1] * len(close),
            }
        )
    return PairBars(
        venue="binance",
        pair=PAIR,
        day=DAY,
        timeframe="1s",
        frame=align(legs, 1),
        legs=legs,
        snapshot=1,
    )
