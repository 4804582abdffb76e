"""The resident dbt's work, told to Dagster as materialisations of the assets that its runs make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg
import duckdb


@dataclass(frozen=True)
class TableState:
    """A table that dbt keeps.

    Attributes:
        schema: `bars` or `liquidity`.
        name: of the table.
        rows: rows in it.
        snapshot: newest lake snapshot among the ticks that it was made from.
        newest_bucket: start of its newest row, UTC without a zone.
    """

    schema: str
    name: str
    rows: int
    snapshot: int
    newest_bucket: datetime


def table_states(
    connection: duckdb.DuckDBPyConnection, *, since: Mapping[str, int]
) -> list[TableState]:
    """The tables of bars and liquidity that have consumed ticks since then.

    Args:
        since: table name -> `TableState.snapshot` as it was last reported.
    """
    tables = connection.execute(
        "SELECT schema_name, table_name FROM duckdb_columns() WHERE database_name = 'lake'"
        " AND schema_name IN ('bars', 'liquidity') AND column_name IN ('src_snapshot', 'bucket')"
        " AND table_name <> 'ohlc_revisions' AND (schema_name, table_name) IN"
        " (SELECT (schema_name, table_name) FROM duckdb_tables() WHERE database_name = 'lake')"
        " GROUP BY ALL HAVING count(*) = 2 ORDER BY ALL"
    ).fetchall()
    found = []
    for schema, name in tables:
        row = connection.execute(
            f'SELECT max(src_snapshot), max(bucket), count(*) FROM lake."{schema}"."{name}"'
        ).fetchone()
        if row is not None and row[0] is not None and row[0] != since.get(name):
            found.append(TableState(schema, name, row[2], row[0], row[1]))
    return found


def materialisation(state: TableState, *, now: datetime) -> dg.AssetMaterialization:
    """The event of a table; `now` is an aware UTC time."""
    newest = state.newest_bucket.replace(tzinfo=UTC)
    return dg.AssetMaterialization(
        dg.AssetKey([state.schema, state.name]),
        description="Kept up to date by the resident dbt (`quant bars --watch`).",
        metadata={
            "dagster/row_count": state.rows,
            "lake_snapshot": state.snapshot,
            "newest_bucket": dg.MetadataValue.timestamp(newest),
            "lag_s": round((now - newest).total_seconds(), 3),
        },
    )
