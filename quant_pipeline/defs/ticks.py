"""`raw/ticks`: written by the streaming worker, outside Dagster, and observed from its commits."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
import duckdb

from quant_pipeline.defs.freshness import TickCommits

TICKS_KEY = dg.AssetKey(["raw", "ticks"])

ticks = dg.AssetSpec(
    TICKS_KEY,
    group_name="raw",
    description=(
        "Every trade of the exchange, landed by the streaming worker (`quant stream`) about once "
        "a second. One row per trade and delivery; readers drop duplicates by trade id."
    ),
    kinds={"duckdb", "parquet"},
    owners=["team:capture"],
    metadata={"schema": "lake.raw.ticks", "commits": "one a second, each a lake snapshot"},
)

archived_days = dg.AssetSpec(
    dg.AssetKey(["raw", "archived_days"]),
    group_name="raw",
    description=(
        "Days whose ticks retention has exported to Parquet and removed (`quant maintain`); their "
        "bars are final."
    ),
    kinds={"duckdb", "parquet"},
    owners=["team:capture"],
    metadata={"schema": "lake.raw.archived_days"},
)


def observe(
    connection: duckdb.DuckDBPyConnection, commits: TickCommits, *, now: datetime
) -> dg.AssetMaterialization:
    """What the worker landed since the last observation, as metadata the UI can plot.

    It is reported as materialised, by the worker and not by Dagster: freshness counts nothing else.

    Args:
        now: an aware UTC time; the lag is measured from the newest trade to it.
    """
    open_gaps = connection.execute(
        "SELECT count(*) FROM raw.capture_gaps WHERE status = 'open'"
    ).fetchone()
    assert open_gaps is not None
    lag = now - commits.newest_trade.replace(tzinfo=UTC)
    return dg.AssetMaterialization(
        TICKS_KEY,
        metadata={
            "rows": commits.rows,
            "lake_snapshot": commits.snapshot,
            "newest_trade": dg.MetadataValue.timestamp(commits.newest_trade.replace(tzinfo=UTC)),
            "lag_s": round(lag.total_seconds(), 3),
            "open_gaps": open_gaps[0],
            "rows_by_symbol": dg.MetadataValue.json(dict(commits.rows_by_symbol)),
        },
    )
