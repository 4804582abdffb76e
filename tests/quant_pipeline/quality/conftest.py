"""A lake with the recorded session, and bars of it that Polars made."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import duckdb
import polars as pl
import pytest

from quant_pipeline import lake
from quant_pipeline.settings import Settings
from tests.dbt_project.polars_bars import bars


@pytest.fixture(scope="package")
def quality_lake(make_lake: Callable[[str], Settings], recorded_trades: pl.DataFrame) -> Settings:
    """Ticks and bars that share no SQL with the checks nor with the models."""
    settings = make_lake("quality")
    with lake.connect(settings=settings) as connection:
        connection.register("recorded", recorded_trades.to_arrow())
        connection.execute("insert into raw.ticks by name select * from recorded")
        landed = lake.current_snapshot(connection)
        for timeframe in ("1s", "1m", "5m", "1h"):
            made = bars(recorded_trades, timeframe).with_columns(src_snapshot=pl.lit(landed))
            connection.register("made", made.to_arrow())
            connection.execute(f"create table bars.ohlc_{timeframe} as select * from made")
    return settings


@pytest.fixture(scope="module")
def connection(quality_lake: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """That lake, open."""
    with lake.connect(settings=quality_lake) as opened:
        yield opened


@pytest.fixture
def venue(request: pytest.FixtureRequest) -> str:
    """A venue of the test's own, where nothing has happened yet."""
    return str(request.node.name)
