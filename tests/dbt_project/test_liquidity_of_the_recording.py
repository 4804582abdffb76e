"""Liquidity models of the recorded session against NumPy and Polars, written from the formulas."""

from __future__ import annotations

import gzip
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from quant_pipeline.resident_dbt import ResidentDbt
from quant_pipeline.settings import Settings
from tests.dbt_project.liquidity_formulas import assert_liquidity_equals_the_formulas, estimates
from tests.dbt_project.polars_bars import bars
from tests.dbt_project.warehouse import land, read

REFERENCE = Path(__file__).parents[1] / "data" / "reference"


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
    assert_liquidity_equals_the_formulas(lake_of_the_recording, recorded_trades)
    _check_views(lake_of_the_recording, recorded_trades)


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
        for name, value in estimates(bars_of_day.with_columns(quote_volume=1.0)).items():
            if name != "amihud_per_million":
                assert row[name] == (None if value is None else pytest.approx(value, rel=1e-12))
