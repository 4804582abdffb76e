"""Bars of the recorded session, across UTC midnight, and of extreme seconds, against Polars."""

from __future__ import annotations

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quant_pipeline import lake
from quant_pipeline.resident_dbt import ResidentDbt
from quant_pipeline.settings import Settings
from tests.dbt_project.warehouse import (
    BAR_MODELS,
    TIMEFRAMES,
    assert_bars_equal_polars,
    land,
    read,
)


def test_bars_equal_polars_on_every_column_and_a_second_run_changes_nothing(
    settings: Settings, dbt: ResidentDbt, recorded_trades: pl.DataFrame
) -> None:
    land(settings, *recorded_trades.sort("ts").iter_slices(7_000))
    dbt.run()
    first = {timeframe: read(settings, f"bars.ohlc_{timeframe}") for timeframe in TIMEFRAMES}
    assert_bars_equal_polars(settings, recorded_trades, suffixes=("", "_live"))
    days = first["1s"]["bucket"].dt.date().unique()
    assert len(days) == 2, "the recording crosses midnight"

    with lake.connect(read_only=True, settings=settings) as connection:
        before = lake.current_snapshot(connection)
    dbt.run()
    with lake.connect(read_only=True, settings=settings) as connection:
        assert lake.current_snapshot(connection) == before, "nothing new, nothing committed"

    with lake.connect(settings=settings) as connection:
        for timeframe in TIMEFRAMES:
            connection.execute(f"drop table bars.ohlc_{timeframe}")
    dbt.run()
    for timeframe, expected in first.items():
        assert_frame_equal(read(settings, f"bars.ohlc_{timeframe}"), expected, check_exact=True)


def test_vwap_of_the_session_is_the_published_one(recorded_lake: Settings) -> None:
    seconds = (
        read(recorded_lake, "bars.ohlc_1s")
        .group_by("symbol")
        .agg(pl.col("quote_volume").sum(), pl.col("volume").sum())
    )
    vwap = dict(zip(seconds["symbol"], seconds["quote_volume"] / seconds["volume"], strict=True))
    assert vwap == pytest.approx({"BTCUSDT": 61671.551607, "ETHUSDT": 2680.774339}, abs=5e-7)


def test_crowded_seconds_with_copies_and_numbers_beyond_64_bits_are_exact(
    settings: Settings, dbt: ResidentDbt, recorded_trades: pl.DataFrame
) -> None:
    eth = recorded_trades.filter(pl.col("symbol") == "ETHUSDT").sort("ts", "trade_id").head(300)
    crowded = eth.with_columns(
        ts=pl.col("ts").first() + pl.duration(microseconds=pl.row_index() // 3)
    )
    huge = eth.tail(3).with_columns(quantity=pl.Series([2e11, 0.5, 3e-8]))
    dear = huge[1:2].with_columns(
        pl.col("trade_id") + 2_000, pl.col("ts").dt.offset_by("3h"), price=pl.lit(4e11)
    )
    lone = huge.head(1).with_columns(pl.col("trade_id") + 1_000, pl.col("ts").dt.offset_by("1h"))
    far = eth.head(9).with_columns(
        pl.col("ts").dt.offset_by("2h"), trade_id=2**62 - pl.col("trade_id")
    )
    copies = pl.concat([crowded[::7], huge, far.head(2)]).with_columns(
        received_at=pl.col("received_at") + pl.duration(seconds=1)
    )
    ticks = pl.concat([crowded.head(297), huge, lone, dear, far])
    land(settings, ticks, copies.head(20))
    dbt.run(select=BAR_MODELS)
    land(settings, copies)
    dbt.run(select=BAR_MODELS)
    assert_bars_equal_polars(settings, ticks, suffixes=("",))
    assert (read(settings, "bars.ohlc_1s")["trade_count"] > 64).any()
