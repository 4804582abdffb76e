"""The dbt test of trade ids: a hole is told, unless capture knows it."""

from __future__ import annotations

import polars as pl

from quant_pipeline import lake
from quant_pipeline.resident_dbt import ResidentDbt
from quant_pipeline.settings import Settings
from tests.dbt_project.warehouse import BAR_MODELS, land


def _status(dbt: ResidentDbt) -> str:
    *_, node = dbt.invoke("test", "--select", "trades_are_contiguous").nodes
    return node.status


def test_a_hole_that_capture_does_not_know_is_told(
    settings: Settings, dbt: ResidentDbt, recorded_trades: pl.DataFrame
) -> None:
    btc = recorded_trades.filter(pl.col("symbol") == "BTCUSDT").sort("trade_id").head(3_000)
    missing = btc["trade_id"].slice(1_000, 800)
    land(settings, btc.filter(~pl.col("trade_id").is_in(missing.implode())))
    dbt.run(select=BAR_MODELS)
    assert _status(dbt) == "warn"
    with lake.connect(settings=settings) as connection:
        connection.execute(
            "insert into raw.capture_gaps values ('binance', 'BTCUSDT', ?, ?, now()::timestamp,"
            " 'reconnect', 'venue_hole', now()::timestamp, 0)",
            [missing[0], missing[-1]],
        )
    assert _status(dbt) == "pass"
