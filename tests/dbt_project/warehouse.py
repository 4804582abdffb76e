"""What the warehouse's tests do to a lake: land, compact, read, compare."""

from __future__ import annotations

from collections.abc import Iterable

import duckdb
import polars as pl
from polars.testing import assert_frame_equal

from quant_pipeline import lake
from quant_pipeline.settings import Settings
from tests.dbt_project.polars_bars import COLUMNS, bars

TIMEFRAMES = ("1s", "1m", "5m", "1h")
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


def compact(connection: duckdb.DuckDBPyConnection) -> None:
    """What maintenance does: merge small files everywhere, rewrite deleted rows away in bars."""
    for table in BAR_TABLES:
        schema, name = table.split(".")
        known = connection.execute(
            "select count(*) from duckdb_tables() where schema_name = ? and table_name = ?",
            (schema, name),
        ).fetchone()
        if known == (1,):
            connection.execute(
                f"call ducklake_rewrite_data_files('lake', '{name}', schema => '{schema}',"
                " delete_threshold => 0.1)"
            )
    connection.execute("call ducklake_merge_adjacent_files('lake')")


def read(settings: Settings, table: str) -> pl.DataFrame:
    """A table's rows, sorted by its key."""
    with lake.connect(read_only=True, settings=settings) as connection:
        frame = connection.sql(f"from {table}").pl()
    keys = [name for name in ("venue", "symbol", "bucket", "bin_index") if name in frame.columns]
    return frame.sort(keys)


def assert_bars_equal_polars(
    settings: Settings, ticks: pl.DataFrame, suffixes: Iterable[str] = ("",)
) -> None:
    """Every bar of the symbols in `ticks`, in every timeframe and column, to the last bit."""
    symbols = ticks["symbol"].unique().to_list()
    for timeframe in TIMEFRAMES:
        expected = bars(ticks, timeframe)
        for suffix in suffixes:
            actual = read(settings, f"bars.ohlc_{timeframe}{suffix}")
            actual = actual.filter(pl.col("symbol").is_in(symbols))
            assert_frame_equal(actual.select(COLUMNS), expected, check_exact=True)
