"""What the warehouse's tests do to a lake: land, compact, read, compare."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl
from polars.testing import assert_frame_equal

from quant_pipeline import compaction, copies, lake
from quant_pipeline.settings import Settings
from tests.dbt_project.polars_bars import COLUMNS, bars

TIMEFRAMES = ("1s", "1m", "5m", "1h")
BAR_MODELS = ("staging", "bars")
BAR_TABLES = tuple(f"bars.ohlc_{timeframe}" for timeframe in TIMEFRAMES)
LIQUIDITY_TABLES = (
    "liquidity.vwap_1m",
    "liquidity.volume_profile_1h",
    "liquidity.volume_profile_1d",
    "liquidity.illiquidity_1h",
    "liquidity.illiquidity_1d",
    "liquidity.trade_sizes_1h",
    "liquidity.trade_durations_1h",
)


def land(settings: Settings, *batches: pl.DataFrame) -> None:
    """Commit each batch to raw.ticks by itself."""
    with lake.connect(settings=settings) as connection:
        for batch in batches:
            connection.register("batch", batch)
            connection.execute("insert into raw.ticks select * from batch")


def compact(settings: Settings) -> None:
    """What maintenance does: merge ticks beside everybody, the dbt tables while no dbt runs."""
    with lake.connect(settings=settings) as connection:
        compaction.merge(connection, "raw", "ticks", below_bytes=None)
        copies.search(connection)
        with compaction.no_dbt(lake.ensure(settings), wait_s=600):
            for table in compaction.table_files(connection):
                if table.schema in compaction.DBT_SCHEMAS and table.delete_files:
                    compaction.rewrite(connection, table.schema, table.table, everything=True)
            for todo in compaction.mergeable(connection, below_bytes=None):
                if todo.schema in compaction.DBT_SCHEMAS:
                    compaction.merge(connection, todo.schema, todo.table, below_bytes=None)


def read(settings: Settings, table: str) -> pl.DataFrame:
    """A table's rows, sorted by its key."""
    return read_all(settings, [table])[table]


def read_all(settings: Settings, tables: Iterable[str]) -> dict[str, pl.DataFrame]:
    """The rows of each table, sorted by its key."""
    with lake.connect(read_only=True, settings=settings) as connection:
        frames = {table: connection.sql(f"from {table}").pl() for table in tables}
    keys = ("venue", "symbol", "bucket", "bin_index")
    return {
        table: frame.sort([name for name in keys if name in frame.columns])
        for table, frame in frames.items()
    }


def assert_bars_equal_polars(
    settings: Settings, ticks: pl.DataFrame, suffixes: Iterable[str] = ("",)
) -> None:
    """Every bar of the symbols in `ticks`, in every timeframe and column, to the last bit."""
    symbols = ticks["symbol"].unique().to_list()
    tables = {
        f"bars.ohlc_{timeframe}{suffix}": timeframe
        for timeframe in TIMEFRAMES
        for suffix in suffixes
    }
    expected = {timeframe: bars(ticks, timeframe) for timeframe in TIMEFRAMES}
    for table, frame in read_all(settings, tables).items():
        actual = frame.filter(pl.col("symbol").is_in(symbols))
        assert_frame_equal(actual.select(COLUMNS), expected[tables[table]], check_exact=True)
