"""Symbols, universes, capture quality and snapshot histories: figures equal to analytics."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from quant_pipeline import analytics, lake
from quant_pipeline.research import quality, snapshots, symbol, universe
from quant_pipeline.research.outcome import Undefined
from quant_pipeline.settings import Pair, Settings

DAY = dt.date(2024, 8, 8)
START = dt.datetime.combine(DAY, dt.time())


@pytest.fixture(scope="module")
def bitcoin(recorded_lake: Settings) -> symbol.SymbolStatistics:
    with lake.connect(read_only=True, settings=recorded_lake) as connection:
        bars = symbol.load(connection, venue="binance", symbol="BTCUSDT", day=DAY, timeframe="1s")
    return symbol.analyse(bars)


def test_candles_add_up_to_the_bars(bitcoin: symbol.SymbolStatistics) -> None:
    frame, candles = bitcoin.bars.frame, bitcoin.candles
    assert candles.height <= symbol.MAX_CANDLES
    assert candles["high"].max() == frame["high"].max()
    assert candles["low"].min() == frame["low"].min()
    assert candles["quote_volume"].sum() == pytest.approx(frame["quote_volume"].sum())
    assert candles["trade_count"].sum() == frame["trade_count"].sum()
    assert candles["vwap"][-1] == pytest.approx(bitcoin.summary.vwap)


def test_symbol_figures_are_those_of_the_library(bitcoin: symbol.SymbolStatistics) -> None:
    ticks, frame = bitcoin.bars.ticks, bitcoin.bars.frame
    assert not isinstance(ticks, Undefined)
    flow = analytics.trade_imbalance(
        ticks["quantity"].to_numpy(), ticks["is_buyer_maker"].to_numpy()
    )
    assert not isinstance(bitcoin.imbalance, Undefined)
    assert bitcoin.imbalance.imbalance == flow.imbalance
    prices = [frame[name].to_numpy() for name in ("open", "high", "low", "close")]
    assert not isinstance(bitcoin.spreads, Undefined)
    assert bitcoin.spreads.equals(analytics.spread_estimates(*prices))
    returns = np.diff(np.log(bitcoin.clock["close"].to_numpy()))
    year = analytics.periods_per_year(1)
    assert bitcoin.summary.volatility == pytest.approx(returns.std(ddof=1) * np.sqrt(year))


def test_a_symbol_without_bars_is_undefined_throughout(recorded_lake: Settings) -> None:
    with lake.connect(read_only=True, settings=recorded_lake) as connection:
        bars = symbol.load(connection, venue="binance", symbol="NOSUCH", day=DAY, timeframe="1s")
    statistics = symbol.analyse(bars)
    assert statistics.candles.is_empty()
    assert statistics.metrics()["trades"] == 0
    assert all(isinstance(value, Undefined) for value in statistics.volatilities.values())


def walks(symbols: int, n: int) -> pl.DataFrame:
    rng = np.random.default_rng(11)
    buckets = pl.Series(
        [START + dt.timedelta(minutes=i) for i in range(n)], dtype=pl.Datetime("us")
    )
    frames = []
    for i in range(symbols):
        price = np.exp(np.cumsum(rng.normal(0, 1e-3, n)))
        frames.append(
            pl.DataFrame(
                {
                    "symbol": [f"S{i}"] * n,
                    "bucket": buckets,
                    "open": price,
                    "high": price,
                    "low": price,
                    "close": price,
                    "quote_volume": price * (i + 1),
                    "trade_count": [1] * n,
                }
            )
        )
    return pl.concat(frames)


def arranged(bars: pl.DataFrame) -> universe.UniverseBars:
    return universe.arrange(bars, venue="binance", day=DAY, days=1, timeframe="1m", snapshot=4)


def test_the_scan_is_the_librarys_over_log_prices() -> None:
    bars = arranged(walks(4, 400))
    found = universe.analyse(bars)
    expected = analytics.scan(bars.closes.drop("bucket").select(pl.all().log()))
    assert not isinstance(found.scan, Undefined)
    assert found.scan.equals(expected)
    assert found.tested == 12
    assert found.movers["symbol"][0] == "S3"
    assert sorted(found.order) == ["S0", "S1", "S2", "S3"]


def test_missing_minutes_are_carried_forward_but_not_back() -> None:
    bars = walks(2, 5).filter(
        ~((pl.col("symbol") == "S1") & pl.col("bucket").dt.minute().is_in([0, 3]))
    )
    closes = arranged(bars).closes
    assert closes["S1"][0] is None
    assert closes["S1"][3] == closes["S1"][2]


def test_one_symbol_is_no_universe() -> None:
    found = universe.analyse(arranged(walks(1, 400)))
    assert isinstance(found.scan, Undefined)
    assert found.metrics()["tests"] == 0
    assert universe.analyse(arranged(walks(2, 5))).tested == 0


def test_capture_quality_counts_what_is_missing_and_what_landed_twice(
    settings: Settings,
) -> None:
    with lake.connect(settings=settings) as connection:
        for trade_id, second in ((1, 0), (2, 1), (2, 1), (5, 9)):
            moment = START + dt.timedelta(seconds=second)
            connection.execute(
                "insert into raw.ticks values ('binance', 'BTCUSDT', ?, ?, ?, 1.0, 1.0, false)",
                [trade_id, moment, moment + dt.timedelta(milliseconds=40)],
            )
        connection.execute(
            "insert into raw.capture_gaps values"
            " ('binance', 'BTCUSDT', 3, 4, ?, 'disconnect', 'open', null, 0)",
            [START],
        )
        state = quality.load(connection, venue="binance", symbols=["BTCUSDT"], day=DAY)
    row = state.ticks.row(0, named=True)
    assert (row["trades"], row["rows"], row["missing"]) == (3, 4, 2)
    assert row["longest_silence_s"] == 8
    assert row["delay_median_ms"] == 40
    assert state.metrics()["open_gaps"] == 1
    assert state.metrics()["missing_ids"] == 2


def test_what_the_venue_itself_skips_is_not_missing(settings: Settings) -> None:
    with lake.connect(settings=settings) as connection:
        connection.execute(
            "insert into raw.ticks select 'binance', 'BTCUSDT', unnest([1, 2, 6]), ?, ?, 1.0, 1.0,"
            " false",
            [START, START],
        )
        for first, last in ((3, 4), (4, 4), (3, 4), (40, 50)):  # as two workers would record them
            connection.execute(
                "insert into raw.capture_gaps values"
                " ('binance', 'BTCUSDT', ?, ?, ?, 'reconnect', 'venue_hole', null, 0)",
                [first, last, START],
            )
        state = quality.load(connection, venue="binance", symbols=["BTCUSDT"], day=DAY)
    row = state.ticks.row(0, named=True)
    assert (row["trades"], row["missing"], row["venue_holes"]) == (3, 1, 2)


def test_a_session_that_no_one_ended_lasts_as_long_as_its_writer(settings: Settings) -> None:
    hour = dt.timedelta(hours=1)
    with lake.connect(settings=settings) as connection:
        for session, writer, connected, disconnected in (
            ("ended", "new", -9, -1),
            ("running", "new", -1, None),
            ("killed today", "killed", -9, None),
            ("killed before", "dead", -60, None),
            ("of tomorrow", "new", 25, None),
        ):
            connection.execute(
                "insert into raw.capture_sessions"
                " values (?, ?, 'binance', 'wss://venue', [?], ?, ?, null, 0)",
                [
                    session,
                    writer,
                    session,
                    START + connected * hour,
                    None if disconnected is None else START + disconnected * hour,
                ],
            )
        for writer, at in (("killed", -8), ("killed", 3), ("dead", -50), ("new", 30)):
            connection.execute(
                "insert into raw.commits values (?, ?, ?, 0)", [writer, at + 60, START + at * hour]
            )
        state = quality.load(connection, venue="binance", symbols=["BTCUSDT"], day=DAY)
    shown = state.sessions.select("connected_at", "disconnected_at", "is_open").rows()
    assert shown == [(START - 9 * hour, None, False), (START - hour, None, True)]


def test_a_change_of_regime_is_where_snapshots_fall_on_different_sides() -> None:
    times = [START + dt.timedelta(hours=hour) for hour in range(4)]
    tests = pl.DataFrame(
        {
            "taken_at": times,
            "series": ["spread"] * 4,
            "pvalue": [0.2, 0.01, 0.02, 0.3],
        }
    )
    moves = pl.DataFrame(
        {
            "taken_at": times,
            "correlation": [0.9, 0.9, 0.5, 0.55],
            "lower_95": [0.85, 0.85, 0.4, 0.45],
            "upper_95": [0.93, 0.93, 0.6, 0.65],
        }
    )
    history = snapshots.SnapshotHistory("binance", Pair("A1", "B1"), tests, moves, 1)
    changes = history.changes()
    assert changes["taken_at"].dt.hour().to_list() == [1, 2, 3]
    assert changes["after"].to_list() == [0.01, 0.5, 0.3]
    assert history.latest == times[-1]


def test_a_pair_without_snapshots_has_an_empty_history(recorded_lake: Settings) -> None:
    with lake.connect(read_only=True, settings=recorded_lake) as connection:
        history = snapshots.load(connection, recorded_lake, Pair("BTCUSDT", "ETHUSDT"))
    assert history.taken == 0
    assert history.latest is None
    assert history.changes().is_empty()
