"""Periodic snapshots: stationarity and correlation of every pair, appended to the lake."""

# No `from __future__ import annotations` here: Dagster reads the types of parameters.

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import duckdb

from quant_pipeline.code_version import code_version
from quant_pipeline.defs.pairs import ANALYTICS_POOL
from quant_pipeline.defs.resources import Lake
from quant_pipeline.research import pair_window
from quant_pipeline.research.pair_window import PairWindow
from quant_pipeline.settings import Pair, Settings

ADF_KEY = dg.AssetKey(["analytics", "adf_snapshots"])
CORRELATION_KEY = dg.AssetKey(["analytics", "correlation_snapshots"])


def assets(settings: Settings) -> dg.AssetsDefinition:
    """Both snapshots as one definition, so that they describe the same lake snapshot."""
    deps = [dg.AssetKey(["bars", f"ohlc_{settings.snapshot_timeframe}"])]
    common: dict[str, Any] = {
        "deps": deps,
        "group_name": "analytics",
        "owners": ["team:research"],
        "kinds": {"python", "statsmodels", "duckdb"},
        "skippable": True,
    }

    @dg.multi_asset(
        name="periodic_snapshots",
        specs=[
            dg.AssetSpec(
                ADF_KEY,
                description=(
                    "Unit-root tests of each leg and the Engle–Granger test of each pair over the "
                    "latest window of bars. Appends to lake.analytics.adf_snapshots."
                ),
                **common,
            ),
            dg.AssetSpec(
                CORRELATION_KEY,
                description=(
                    "Correlation of log returns of each pair over the latest window of bars, with "
                    "its interval. Appends to lake.analytics.correlation_snapshots."
                ),
                **common,
            ),
        ],
        pool=ANALYTICS_POOL,
    )
    def periodic_snapshots(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> Any:
        now = datetime.now(UTC)
        figures: dict[dg.AssetKey, dict[str, Any]] = {ADF_KEY: {}, CORRELATION_KEY: {}}
        with lake.connect() as connection:
            for pair in lake.settings.pairs:
                window = latest_window(connection, lake.settings, pair)
                if window is None:
                    context.log.warning(f"{pair}: no common bars yet, no snapshot taken")
                    continue
                provenance = [now.replace(tzinfo=None), *window.provenance, code_version()]
                figures[ADF_KEY] |= _append_adf(connection, window, provenance)
                figures[CORRELATION_KEY] |= _append_correlation(connection, window, provenance)
        for key, metadata in figures.items():
            if metadata:
                yield dg.MaterializeResult(asset_key=key, metadata=metadata)

    return periodic_snapshots


def latest_window(
    connection: duckdb.DuckDBPyConnection, settings: Settings, pair: Pair
) -> PairWindow | None:
    """The last `snapshot_lookback_h` hours of common bars; None where the legs share none."""
    end = pair_window.newest_common_bar(
        connection, venue=settings.venue, pair=pair, timeframe=settings.snapshot_timeframe
    )
    if end is None:
        return None
    window = pair_window.load(
        connection,
        venue=settings.venue,
        pair=pair,
        timeframe=settings.snapshot_timeframe,
        start=end - timedelta(hours=settings.snapshot_lookback_h),
        end=end,
    )
    return window if window.frame.height else None


def _append_adf(
    connection: duckdb.DuckDBPyConnection, window: PairWindow, provenance: list[Any]
) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    for row in pair_window.stationarity(window):
        connection.execute(
            f"INSERT INTO analytics.adf_snapshots VALUES ({', '.join('?' * 19)})",
            [*provenance, *row],
        )
        metadata |= _numbers(
            f"{window.pair.key}/{row.series}", row._asdict(), "statistic", "pvalue"
        )
    return metadata


def _append_correlation(
    connection: duckdb.DuckDBPyConnection, window: PairWindow, provenance: list[Any]
) -> dict[str, Any]:
    row = pair_window.correlation(window)
    connection.execute(
        f"INSERT INTO analytics.correlation_snapshots VALUES ({', '.join('?' * 14)})",
        [*provenance, *row],
    )
    return _numbers(window.pair.key, row._asdict(), "correlation", "observations")


def _numbers(prefix: str, values: dict[str, Any], *names: str) -> dict[str, Any]:
    """Values that the UI plots across materialisations; undefined ones are left out."""
    return {f"{prefix} {name}": values[name] for name in names if values[name] is not None}
