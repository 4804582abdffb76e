"""dbt's liquidity tables as the pages read them, against the trades of the recorded session."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from quant_pipeline import lake
from quant_pipeline.research import reading, warehouse
from quant_pipeline.research.outcome import Undefined
from quant_pipeline.settings import Settings

DAY = dt.date(2024, 8, 8)


def test_the_tables_agree_with_the_trades(
    recorded_lake: Settings, recorded_trades: pl.DataFrame
) -> None:
    where = reading.utc_day("binance", DAY)
    with lake.connect(read_only=True, settings=recorded_lake) as connection:
        found = warehouse.read(connection, where, symbol="BTCUSDT")
        none = warehouse.read(connection, where, symbol="NOSUCH")
    assert none == Undefined("The liquidity tables hold no trade of this date.")
    assert isinstance(found, warehouse.LiquidityTables)
    trades = recorded_trades.filter(
        (pl.col("symbol") == "BTCUSDT") & (pl.col("ts").dt.date() == DAY)
    ).sort("ts", "trade_id")

    hour = found.hours.row(0, named=True)
    assert found.hours.height == 1
    assert hour["trades"] == trades.height
    assert hour["median_quantity"] == pytest.approx(trades["quantity"].median())
    assert hour["largest_quantity"] == trades["quantity"].max()
    waits = trades["ts"].diff().dt.total_microseconds().drop_nulls() / 1e6
    assert hour["longest_s"] == pytest.approx(waits.max())
    bought = trades.filter(~pl.col("is_buyer_maker"))["quantity"].sum()
    volume = trades["quantity"].sum()
    assert found.imbalance == pytest.approx((2 * bought - volume) / volume)

    area = found.value_area
    assert isinstance(area, warehouse.ValueArea)
    inside = trades.filter(pl.col("price").is_between(area.low, area.high, closed="left"))
    assert inside["quantity"].sum() / volume == pytest.approx(area.share)
    assert area.low <= area.control_low < area.control_high <= area.high

    assert isinstance(found.proxies, warehouse.Proxies)
    assert found.proxies.corwin_schultz is None  # undefined stays undefined
    traded = (trades["price"] * trades["quantity"]).sum()
    assert found.season_days == 1
    assert found.season.filter(hour=23)["today"].item() == pytest.approx(traded)
    assert found.season["mean"].sum() == pytest.approx(traded)


def test_before_dbt_ran_the_reason_says_so(settings: Settings) -> None:
    with lake.connect(read_only=True, settings=settings) as connection:
        found = warehouse.read(connection, reading.utc_day("binance", DAY), symbol="BTCUSDT")
    assert isinstance(found, Undefined)
    assert "dbt run" in found.reason
