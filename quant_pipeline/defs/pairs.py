"""Pair statistics and the pair report, for each UTC date and pair, computed from one reading."""

# No `from __future__ import annotations` here: Dagster reads the types of parameters.

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import duckdb
from pydantic import Field

from quant_pipeline.code_version import code_version
from quant_pipeline.defs.metadata import (
    changed_parameters,
    latest,
    numeric,
    report_metadata,
    results,
)
from quant_pipeline.defs.partitions import PairDay, pair_days
from quant_pipeline.defs.resources import Lake
from quant_pipeline.schema import PARAMETERS
from quant_pipeline.settings import Settings, Timeframe

SNAPSHOTS_KEY = dg.AssetKey(["analytics", "pair_snapshots"])
REPORT_KEY = dg.AssetKey(["reports", "pair"])
ANALYTICS_POOL = "analytics"


def assets(settings: Settings) -> dg.AssetsDefinition:
    """Statistics and report as one definition, so that both describe the same lake snapshot."""

    class PairConfig(dg.Config):
        """What a researcher may change for one run in the Launchpad."""

        timeframe: Timeframe = Field(
            settings.pair_timeframe, description="Bars the statistics are computed on."
        )
        rolling_window: int = Field(
            settings.rolling_window,
            ge=3,
            description="Bars in the rolling z-score, correlation, volatility and hedge ratio.",
        )
        lookback_days: int = Field(
            1, ge=1, description="UTC dates in the window, which ends with the partition's."
        )
        liquidity_filter: bool = Field(
            settings.pair_liquidity_filter,
            description="Take bars out that liquidity.liquidity_flags calls thin.",
        )

    @dg.multi_asset(
        name="pair_statistics_and_report",
        specs=_specs(settings),
        partitions_def=pair_days(settings),
        can_subset=True,
        pool=ANALYTICS_POOL,
    )
    def pair_statistics_and_report(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], config: PairConfig
    ) -> Iterator[Any]:
        # heavy, and the webserver and the daemon load this module too
        from quant_pipeline.research.pair import analyse, load
        from reports import pair as pair_report

        partition = PairDay.parse(context.partition_key)
        changed = changed_parameters(config)
        selected = context.selected_asset_keys
        with lake.work() as connection:
            bars = load(
                connection,
                venue=lake.settings.venue,
                pair=partition.pair,
                day=partition.day,
                timeframe=config.timeframe,
                days=config.lookback_days,
                liquidity_filter=config.liquidity_filter,
            )
            statistics = analyse(bars, window=config.rolling_window)
            figures = numeric(statistics.metrics())
            figures |= {f"removed_{name}": count for name, count in bars.liquidity.removed.items()}
            if SNAPSHOTS_KEY in selected:
                append_snapshot(connection, statistics, now=datetime.now(UTC))
        found = {SNAPSHOTS_KEY: figures}
        if REPORT_KEY in selected:
            published = pair_report.publish(statistics, lake.settings, parameters=changed)
            found[REPORT_KEY] = report_metadata(published) | figures
        yield from results(context, found, changed)

    return pair_statistics_and_report


def append_snapshot(
    connection: duckdb.DuckDBPyConnection, statistics: Any, *, now: datetime
) -> bool:
    """Append one row to analytics.pair_snapshots, if it says anything new; tell whether it did.

    A day without aligned bars has nothing to say; nor has a run that gives the numbers of the row
    before it, by the same code with the same parameters.

    Args:
        statistics: `research.pair.PairStatistics`.
        now: an aware UTC time.
    """
    bars = statistics.bars
    if not bars.n:
        return False
    metrics = {
        name: None if value is None else float(value)
        for name, value in statistics.metrics().items()
    }
    of_run = {
        "venue": bars.venue,
        "y": bars.pair.y,
        "x": bars.pair.x,
        "timeframe": bars.timeframe,
        "code_version": code_version(),
        "day": bars.day,
        "rolling_window": statistics.window,
    }
    parameters = [bars.window.start, bars.window.end, *bars.liquidity.provenance(bars.pair)]
    made_by = dict(zip(PARAMETERS, parameters, strict=True))
    of_run |= {name: made_by[name] for name in ("read_from", "read_to", "liquidity_filter")}
    before = connection.execute(
        "SELECT metrics FROM analytics.pair_snapshots WHERE "
        + " AND ".join(f"{name} = ${name}" for name in of_run)
        + " ORDER BY taken_at DESC LIMIT 1",
        of_run,
    ).fetchone()
    if before is not None and _same_numbers(before[0], metrics):
        return False
    row = (
        of_run
        | made_by
        | {
            "taken_at": now.replace(tzinfo=None),
            "window_start": bars.frame["bucket"][0],
            "window_end": bars.frame["bucket"][-1],
            "bars": bars.n,
            "lake_snapshot": bars.snapshot,
            "metrics": metrics,
        }
    )
    names, values = list(metrics), list(metrics.values())
    columns = [name for name in row if name != "metrics"]
    connection.execute(
        f"INSERT INTO analytics.pair_snapshots ({', '.join(columns)}, metrics)"
        f" VALUES ({', '.join('?' * len(columns))}, map(?::VARCHAR[], ?::DOUBLE[]))",
        [*(row[name] for name in columns), names, values],
    )
    return True


def _same_numbers(one: Mapping[str, float | None], other: Mapping[str, float | None]) -> bool:
    """Whether two rows differ in nothing but the lake snapshot."""
    names = (one.keys() | other.keys()) - {"lake_snapshot"}
    return all(one.get(name) == other.get(name) for name in names)


def _specs(settings: Settings) -> list[dg.AssetSpec]:
    return [
        dg.AssetSpec(
            SNAPSHOTS_KEY,
            deps=[
                dg.AssetKey(["bars", f"ohlc_{settings.pair_timeframe}_live"]),
                dg.AssetKey(["liquidity", "liquidity_flags"]),
            ],
            group_name="analytics",
            owners=["team:research"],
            kinds={"python", "numpy", "duckdb"},
            description=(
                "Statistics of a pair over one UTC date: hedge ratio, spread, z-score, "
                "cointegration, half-life, correlation, volatility, VWAP. Each run appends a "
                "row to lake.analytics.pair_snapshots with its parameters and the lake snapshot it "
                "was computed from: `quant recompute` gives the same numbers again. A run with "
                "other parameters than the settings' is an observation here, and its page has an "
                "address of its own."
            ),
            skippable=True,
        ),
        dg.AssetSpec(
            REPORT_KEY,
            deps=[SNAPSHOTS_KEY],
            group_name="reports",
            owners=["team:research"],
            kinds={"html", "altair"},
            description="The pair report: one self-contained page for each pair and date."
            + latest("pair"),
            skippable=True,
        ),
    ]
