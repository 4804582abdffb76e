"""Liquidity models of the recorded session against NumPy and Polars, written from the formulas."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from quant_pipeline import analytics
from quant_pipeline.resident_dbt import ResidentDbt
from quant_pipeline.settings import Settings
from tests.dbt_project.polars_bars import bars
from tests.dbt_project.warehouse import land, read

REFERENCE = Path(__file__).parents[1] / "data" / "reference"
BIN_WIDTHS = {"BTCUSDT": 10.0, "ETHUSDT": 1.0}


@pytest.fixture
def lake_of_the_recording(
    settings: Settings, dbt: ResidentDbt, recorded_trades: pl.DataFrame
) -> Settings:
    """The session landed in three commits, one of them late and with copies, dbt after each."""
    late = recorded_trades.sample(fraction=0.2, seed=3)
    on_time = recorded_trades.join(late, on=["symbol", "trade_id"], how="anti").sort("ts")
    copies = on_time.head(500)
    half = on_time.height // 2
    for batch in (on_time[:half], on_time[half:], pl.concat([late, copies])):
        land(settings, batch)
        dbt.run()
    return settings


def test_liquidity_equals_the_references(
    lake_of_the_recording: Settings, recorded_trades: pl.DataFrame
) -> None:
    _check_vwap(lake_of_the_recording, recorded_trades)
    _check_profiles(lake_of_the_recording, recorded_trades)
    _check_illiquidity(lake_of_the_recording, recorded_trades)
    _check_sizes_and_durations(lake_of_the_recording, recorded_trades)
    _check_views(lake_of_the_recording, recorded_trades)


def _check_vwap(settings: Settings, trades: pl.DataFrame) -> None:
    actual = read(settings, "liquidity.vwap_1m")
    assert actual.height == bars(trades, "1m").height
    for row in actual.iter_rows(named=True):
        end = row["bucket"] + pl.select(pl.duration(minutes=1)).item()
        own = trades.filter(pl.col("symbol") == row["symbol"], pl.col("ts") < end)
        session = own.filter(pl.col("ts").dt.date() == row["bucket"].date())
        recent = own.filter(pl.col("ts") >= end - pl.select(pl.duration(minutes=60)).item())
        assert row["session_vwap"] == pytest.approx(_vwap(session), rel=1e-12)
        assert row["rolling_vwap"] == pytest.approx(_vwap(recent), rel=1e-12)


def _vwap(trades: pl.DataFrame) -> float:
    price, quantity = trades["price"].to_numpy(), trades["quantity"].to_numpy()
    return float((price * quantity).sum() / quantity.sum())


def _check_profiles(settings: Settings, trades: pl.DataFrame) -> None:
    for timeframe, length in (("1h", "1h"), ("1d", "1d")):
        actual = read(settings, f"liquidity.volume_profile_{timeframe}")
        areas = read(settings, "liquidity.value_areas").filter(pl.col("timeframe") == timeframe)
        profiles = 0
        for symbol, bucket, group in _groups(trades, length):
            profiles += 1
            width = BIN_WIDTHS[symbol]
            volume: Counter[int] = Counter()
            bought: Counter[int] = Counter()
            for price, quantity, maker in group.select(
                "price", "quantity", "is_buyer_maker"
            ).iter_rows():
                place = int(round(price * 100) // round(width * 100))
                volume[place] += round(quantity * 10**8)
                bought[place] += 0 if maker else round(quantity * 10**8)
            control, area = _value_area(volume, 0.7)
            rows = actual.filter(pl.col("symbol") == symbol, pl.col("bucket") == bucket)
            assert rows["bin_index"].to_list() == sorted(volume)
            for row in rows.iter_rows(named=True):
                place = row["bin_index"]
                assert row["volume"] == volume[place] / 10**8
                assert row["buy_volume"] == bought[place] / 10**8
                assert row["is_point_of_control"] == (place == control)
                assert row["in_value_area"] == (place in area), (symbol, bucket, place)
            [area_row] = areas.filter(
                pl.col("symbol") == symbol, pl.col("bucket") == bucket
            ).to_dicts()
            traded = [place for place in area if volume[place]]
            assert area_row["point_of_control_low"] == control * width
            assert area_row["value_area_low"] == min(traded) * width
            assert area_row["value_area_high"] == (max(traded) + 1) * width
        assert actual.select("symbol", "bucket").n_unique() == profiles


def _value_area(volume: Counter[int], share: float) -> tuple[int, set[int]]:
    """The walk as a market-profile manual tells it, one price row at a time."""
    control = min(place for place in volume if volume[place] == max(volume.values()))
    low = high = control
    held, total = volume[control], sum(volume.values())
    while held < share * total:
        above, below = volume[high + 1], volume[low - 1]
        if high < max(volume) and (above >= below or low <= min(volume)):
            high += 1
            held += above
        else:
            low -= 1
            held += below
    return control, set(range(low, high + 1))


def _check_illiquidity(settings: Settings, trades: pl.DataFrame) -> None:
    minutes = bars(trades, "1m")
    for timeframe, length in (("1h", "1h"), ("1d", "1d")):
        actual = read(settings, f"liquidity.illiquidity_{timeframe}")
        expected = [
            (symbol, bucket, _estimates(group))
            for symbol, bucket, group in _groups(minutes, length, time="bucket")
        ]
        assert actual.height == len(expected)
        for symbol, bucket, estimates in expected:
            [row] = actual.filter(pl.col("symbol") == symbol, pl.col("bucket") == bucket).to_dicts()
            for name, value in estimates.items():
                assert row[name] == (None if value is None else pytest.approx(value, rel=1e-9)), (
                    symbol,
                    bucket,
                    name,
                )


def _estimates(minutes: pl.DataFrame) -> dict[str, float | None]:
    """By the estimators that equal R's bidask to thirteen digits on its own data."""
    ohlc = [minutes[name].to_numpy() for name in ("open", "high", "low", "close")]
    returns = np.diff(np.log(ohlc[3]))
    spreads = {
        "roll_spread": analytics.roll_spread(*ohlc).spread,
        "corwin_schultz_spread": analytics.corwin_schultz(*ohlc).spread,
        "abdi_ranaldo_spread": analytics.abdi_ranaldo(*ohlc).spread,
    }
    return {
        **{name: None if np.isnan(spread) else spread for name, spread in spreads.items()},
        "amihud_per_million": 1e6 * _amihud(returns, minutes["quote_volume"].to_numpy()[1:]),
    }


def _amihud(returns: NDArray[np.float64], quote_volume: NDArray[np.float64]) -> float:
    return float((np.abs(returns) / quote_volume).mean())


def _check_sizes_and_durations(settings: Settings, trades: pl.DataFrame) -> None:
    sizes = read(settings, "liquidity.trade_sizes_1h")
    durations = read(settings, "liquidity.trade_durations_1h")
    for symbol, bucket, group in _groups(trades, "1h"):
        same = (pl.col("symbol") == symbol) & (pl.col("bucket") == bucket)
        [size] = sizes.filter(same).to_dicts()
        quantity = group["quantity"].to_numpy()
        worth = quantity * group["price"].to_numpy()
        for percent in (10, 25, 50, 75, 90, 99):
            assert size[f"quantity_p{percent}"] == pytest.approx(np.percentile(quantity, percent))
        assert size["trade_count"] == group.height
        assert size["mean_quantity"] == pytest.approx(quantity.mean())
        assert size["large_trade_count"] == (worth >= 100_000).sum()
        assert size["large_trade_share"] == pytest.approx(
            worth[worth >= 100_000].sum() / worth.sum()
        )
        [duration] = durations.filter(same).to_dicts()
        gaps = np.diff(group.sort("ts", "trade_id")["ts"].to_numpy()).astype("int64") / 1e6
        assert duration["duration_count"] == len(gaps)
        assert duration["mean_s"] == pytest.approx(gaps.mean())
        assert duration["median_s"] == pytest.approx(np.median(gaps))
        assert duration["p90_s"] == pytest.approx(np.percentile(gaps, 90))
        assert duration["p99_s"] == pytest.approx(np.percentile(gaps, 99))
        assert duration["max_s"] == pytest.approx(gaps.max())
        assert duration["simultaneous_share"] == pytest.approx((gaps == 0).mean())


def _check_views(settings: Settings, trades: pl.DataFrame) -> None:
    flow = read(settings, "liquidity.order_flow").filter(pl.col("timeframe") == "5m")
    five = bars(trades, "5m").with_columns(
        imbalance=(2 * pl.col("buy_volume") - pl.col("volume")) / pl.col("volume")
    )
    assert flow.height == five.height
    both = flow.join(five, on=["symbol", "bucket"])
    np.testing.assert_allclose(both["order_flow_imbalance"], both["imbalance"], rtol=1e-12)

    slots = read(settings, "liquidity.volume_seasonality")
    share = slots.group_by("symbol").agg(pl.col("volume_share").sum())["volume_share"]
    assert share.to_list() == pytest.approx([1.0, 1.0])
    assert set(slots["day_count"]) == {1}, "the session is a quarter of an hour around midnight"

    flags = read(settings, "liquidity.liquidity_flags").filter(pl.col("timeframe") == "1m")
    thin = flags.filter("has_few_trades").select("symbol", "bucket").sort("symbol", "bucket")
    few = bars(trades, "1m").filter(pl.col("trade_count") < 5).select("symbol", "bucket")
    assert thin.equals(few.sort("symbol", "bucket"))


def _groups(
    frame: pl.DataFrame, length: str, time: str = "ts"
) -> Iterator[tuple[str, Any, pl.DataFrame]]:
    """Each symbol's rows of each span, with the span's start."""
    spans = frame.with_columns(span=pl.col(time).dt.truncate(length))
    for (symbol, span), group in spans.group_by("symbol", "span", maintain_order=True):
        yield str(symbol), span, group


def test_spreads_of_published_bars_equal_those_that_equal_r(
    settings: Settings, dbt: ResidentDbt
) -> None:
    """R bidask's simulated bars, a day of minutes at a time; by SQL and by Python alike."""
    packed = (REFERENCE / "bidask_sim_seed123_prob0.01.csv.gz").read_bytes()
    simulated = pl.read_csv(gzip.decompress(packed)).head(3 * 1440).with_row_index("minute")
    start = pl.lit(datetime.fromisoformat("2024-01-01"))
    ticks = pl.concat(
        simulated.select(
            venue=pl.lit("binance"),
            symbol=pl.lit("SIMULATED"),
            trade_id=pl.col("minute").cast(pl.Int64) * 4 + place,
            ts=start + pl.duration(minutes=pl.col("minute"), seconds=place),
            received_at=start,
            price=pl.col(name),
            quantity=1.0,
            is_buyer_maker=False,
        )
        for place, name in enumerate(("Open", "High", "Low", "Close"))
    )
    land(settings, ticks)
    dbt.run(select=["+illiquidity_1d"])
    days = read(settings, "liquidity.illiquidity_1d")
    assert days["bar_count"].to_list() == [1440] * 3
    for day, row in enumerate(days.iter_rows(named=True)):
        frame = simulated[day * 1440 : (day + 1) * 1440]
        bars_of_day = frame.select(pl.col("Open", "High", "Low", "Close").name.to_lowercase())
        for name, value in _estimates(bars_of_day.with_columns(quote_volume=1.0)).items():
            if name != "amihud_per_million":
                assert row[name] == (None if value is None else pytest.approx(value, rel=1e-12))
