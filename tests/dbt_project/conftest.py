"""Fixtures of the warehouse's tests: the parsed project, and the recorded session's trades."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import polars as pl
import pytest
from dbt.contracts.graph.manifest import Manifest

import streaming.exchange
from quant_pipeline.resident_dbt import ResidentDbt
from quant_pipeline.settings import Settings

RECORDING = Path(streaming.exchange.__file__).parent / "recordings" / "binance_spot_20240808"


@pytest.fixture
def dbt(settings: Settings, dbt_manifest: Manifest) -> ResidentDbt:
    """dbt on the test's own lake."""
    return ResidentDbt(settings, manifest=dbt_manifest)


@pytest.fixture(scope="session")
def recorded_trades() -> pl.DataFrame:
    """Every trade frame of the recorded session, read from its JSON: the columns of raw.ticks."""
    rows = []
    for file in sorted(RECORDING.glob("*.gz")):
        for line in gzip.decompress(file.read_bytes()).splitlines():
            received_ns, frame = line.split(b" ", 1)
            message = json.loads(frame)
            if message["stream"].endswith("@trade"):
                trade = message["data"]
                rows.append(
                    (
                        "binance",
                        trade["s"],
                        trade["t"],
                        trade["T"] * 1000,
                        int(received_ns) // 1000,
                        float(trade["p"]),
                        float(trade["q"]),
                        trade["m"],
                    )
                )
    schema = {
        "venue": pl.String,
        "symbol": pl.String,
        "trade_id": pl.Int64,
        "ts": pl.Int64,
        "received_at": pl.Int64,
        "price": pl.Float64,
        "quantity": pl.Float64,
        "is_buyer_maker": pl.Boolean,
    }
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        pl.from_epoch("ts", "us"), pl.from_epoch("received_at", "us")
    )
