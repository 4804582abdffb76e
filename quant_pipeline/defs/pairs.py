"""Pair statistics and the pair report, for each UTC date and pair, computed from one reading."""

# No `from __future__ import annotations` here: Dagster reads the types of parameters.

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import duckdb

from quant_pipeline import settings as settings_module
from quant_pipeline.code_version import code_version
from quant_pipeline.defs.partitions import PairDay, pair_days
from quant_pipeline.defs.resources import Lake
from quant_pipeline.research.pair import PairStatistics, analyse, load
from quant_pipeline.settings import Settings, Timeframe
from reports import pair as pair_report
from reports.publishing import Published

SNAPSHOTS_KEY = dg.AssetKey(["analytics", "pair_snapshots"])
REPORT_KEY = dg.AssetKey(["reports", "pair"])
ANALYTICS_POOL = "analytics"


class PairConfig(dg.Config):
    """What a researcher may change for one run in the Launchpad."""

    timeframe: Timeframe = settings_module.get().pair_timeframe
    """Bars the statistics are computed on: 1s, 1m, 5m or 1h."""
    rolling_window: int = settings_module.get().rolling_window
    """Bars in the rolling z-score, correlation and volatility."""


def assets(settings: Settings) -> dg.AssetsDefinition:
    """Statistics and report as one definition, so that both describe the same lake snapshot."""
    legs = [dg.AssetKey(["bars", f"ohlc_{settings.pair_timeframe}"])]

    @dg.multi_asset(
        name="pair_statistics_and_report",
        specs=[
            dg.AssetSpec(
                SNAPSHOTS_KEY,
                deps=legs,
                group_name="analytics",
                owners=["team:research"],
                kinds={"python", "numpy", "duckdb"},
                description=(
                    "Statistics of a pair over one UTC date: hedge ratio, spread, z-score, "
                    "cointegration, half-life, correlation, volatility, VWAP. Each run appends a "
                    "row to lake.analytics.pair_snapshots with the lake snapshot it was computed "
                    "from."
                ),
                skippable=True,
            ),
            dg.AssetSpec(
                REPORT_KEY,
                deps=[SNAPSHOTS_KEY],
                group_name="reports",
                owners=["team:research"],
                kinds={"html", "altair"},
                description="The pair report: one self-contained page for each pair and date.",
                skippable=True,
            ),
        ],
        partitions_def=pair_days(settings),
        can_subset=True,
        pool=ANALYTICS_POOL,
    )
    def pair_statistics_and_report(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], config: PairConfig
    ) -> Iterator[dg.MaterializeResult[Any]]:
        partition = PairDay.parse(context.partition_key)
        with lake.connect() as connection:
            bars = load(
                connection,
                venue=lake.settings.venue,
                pair=partition.pair,
                day=partition.day,
                timeframe=config.timeframe,
            )
            statistics = analyse(bars, window=config.rolling_window)
            if SNAPSHOTS_KEY in context.selected_asset_keys:
                append_snapshot(connection, statistics, config, now=datetime.now(UTC))
                yield dg.MaterializeResult(
                    asset_key=SNAPSHOTS_KEY, metadata=numeric(statistics.metrics())
                )
        if REPORT_KEY in context.selected_asset_keys:
            published = pair_report.publish(statistics, lake.settings)
            yield dg.MaterializeResult(
                asset_key=REPORT_KEY,
                metadata=report_metadata(published) | numeric(statistics.metrics()),
            )

    return pair_statistics_and_report


def append_snapshot(
    connection: duckdb.DuckDBPyConnection,
    statistics: PairStatistics,
    config: PairConfig,
    *,
    now: datetime,
) -> None:
    """Append one row to analytics.pair_snapshots; a day without aligned bars has nothing to say."""
    bars = statistics.bars
    if not bars.n:
        return
    metrics = statistics.metrics()
    connection.execute(
        "INSERT INTO analytics.pair_snapshots VALUES"
        " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, map(?::VARCHAR[], ?::DOUBLE[]))",
        [
            now.replace(tzinfo=None),
            bars.venue,
            bars.pair.y,
            bars.pair.x,
            bars.timeframe,
            bars.frame["bucket"][0],
            bars.frame["bucket"][-1],
            bars.n,
            bars.snapshot,
            code_version(),
            bars.day,
            config.rolling_window,
            list(metrics),
            [None if value is None else float(value) for value in metrics.values()],
        ],
    )


def numeric(metrics: Mapping[str, float | int | None]) -> dict[str, Any]:
    """Metadata that the UI plots across materialisations; undefined values are left out."""
    return {name: value for name, value in metrics.items() if value is not None}


def report_metadata(published: Published) -> dict[str, Any]:
    """One click to the page, a dialog with it, and a preview in the asset page."""
    metadata: dict[str, Any] = {
        "report": dg.MetadataValue.url(published.url),
        "report_dialog": dg.MetadataValue.notebook(str(published.html)),
        "headline": published.summary.headline,
    }
    if published.preview_url is not None:
        metadata["preview"] = dg.MetadataValue.md(f"![preview]({published.preview_url})")
    return metadata
