"""Taking bars that are too thin to use out of what is analysed, by dbt's `liquidity_flags`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import duckdb
import polars as pl

from quant_pipeline.research import reading


@dataclass(frozen=True)
class LiquidityFilter:
    """What the filter did.

    A bar that dbt has not stored yet has no flag and stays; the two snapshots tell which have one.

    Attributes:
        applied: whether bars were looked at at all.
        removed: per symbol, thin bars that were taken out.
        flags_snapshot: newest lake snapshot among the ticks of the bars that were judged.
        spreads_snapshot: the same of the hourly spread proxies they were judged by.
    """

    applied: bool = False
    removed: Mapping[str, int] = field(default_factory=dict)
    flags_snapshot: int | None = None
    spreads_snapshot: int | None = None

    def provenance(self, symbols: Sequence[str]) -> list[bool | int | None]:
        """What the tables of published statistics record, for the legs in order."""
        removed = [self.removed.get(symbol, 0) for symbol in symbols]
        return [self.applied, *removed, self.flags_snapshot, self.spreads_snapshot]


def apply(
    connection: duckdb.DuckDBPyConnection,
    bars: pl.DataFrame,
    where: reading.Window,
    *,
    symbols: Sequence[str],
    timeframe: str,
) -> tuple[pl.DataFrame, LiquidityFilter]:
    """Take the bars out that `liquidity_flags` calls thin, and tell how many.

    Args:
        connection: the lake, in the transaction that read the bars.
        bars: rows with `symbol` and `bucket`, of the window and timeframe.

    Raises:
        reading.NothingToRead: the flags do not exist yet.
    """
    try:
        thin = connection.execute(
            "select symbol, bucket from lake.liquidity.liquidity_flags"
            " where timeframe = ? and venue = ? and symbol in (select unnest(?))"
            " and bucket >= ? and bucket < ? and is_thin",
            [timeframe, where.venue, list(symbols), where.start, where.end],
        ).pl()
        flags = _newest(connection, f"lake.bars.ohlc_{timeframe}")
        spreads = _newest(connection, "lake.liquidity.illiquidity_1h")
    except duckdb.CatalogException as error:
        raise reading.NothingToRead(
            "the lake has no liquidity.liquidity_flags yet; run `dbt run` in dbt_project/ first, or"
            " switch the liquidity filter off"
        ) from error
    taken = bars.join(thin, on=["symbol", "bucket"], how="semi")
    removed = dict(taken.group_by("symbol").len().iter_rows())
    kept = bars.join(thin, on=["symbol", "bucket"], how="anti", maintain_order="left")
    return kept, LiquidityFilter(True, removed, flags, spreads)


def _newest(connection: duckdb.DuckDBPyConnection, table: str) -> int | None:
    row = connection.execute(f"select max(src_snapshot) from {table}").fetchone()
    return None if row is None or row[0] is None else int(row[0])
