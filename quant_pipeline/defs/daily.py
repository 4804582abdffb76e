"""What is made once a UTC date: the universe scan, and the pages about that date."""

# No `from __future__ import annotations` here: Dagster reads the types of parameters.

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from quant_pipeline.defs.metadata import (
    changed_parameters,
    latest,
    numeric,
    preview,
    report_metadata,
    results,
)
from quant_pipeline.defs.pairs import ANALYTICS_POOL, REPORT_KEY
from quant_pipeline.defs.partitions import days
from quant_pipeline.defs.resources import Lake
from quant_pipeline.defs.snapshots import ADF_KEY, CORRELATION_KEY
from quant_pipeline.settings import Settings, Timeframe

if TYPE_CHECKING:
    from quant_pipeline.research.universe import UniverseStatistics

SCAN_KEY = dg.AssetKey(["analytics", "universe_scans"])
UNIVERSE_KEY = dg.AssetKey(["reports", "universe"])
SYMBOL_KEY = dg.AssetKey(["reports", "symbol"])
QUALITY_KEY = dg.AssetKey(["reports", "quality"])
SNAPSHOTS_REPORT_KEY = dg.AssetKey(["reports", "snapshots"])
INDEX_KEY = dg.AssetKey(["reports", "index"])

_OWNERS = ["team:research"]
_KINDS = {"html", "altair"}


def assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """The scan and every page of a UTC date."""
    return [_universe(settings), _symbols(settings), _quality(settings), _snapshots(), _index()]


def _universe(settings: Settings) -> dg.AssetsDefinition:
    class UniverseConfig(dg.Config):
        """What a researcher may change for one run in the Launchpad."""

        timeframe: Timeframe = Field(settings.snapshot_timeframe, description="Bars to use.")
        lookback_days: int = Field(
            1, ge=1, description="UTC dates in the window, which ends with the partition's."
        )
        liquidity_filter: bool = Field(
            settings.snapshot_liquidity_filter,
            description="Take bars out that liquidity.liquidity_flags calls thin.",
        )

    @dg.multi_asset(
        name="universe_scan_and_report",
        specs=[
            dg.AssetSpec(
                SCAN_KEY,
                deps=[
                    dg.AssetKey(["bars", f"ohlc_{settings.snapshot_timeframe}_live"]),
                    dg.AssetKey(["liquidity", "liquidity_flags"]),
                ],
                group_name="analytics",
                owners=["team:research"],
                kinds={"python", "numpy", "duckdb"},
                description=(
                    "Every ordered pair of the captured symbols tested for cointegration over a "
                    "UTC date, with q-values over the whole family of tests. A run replaces the "
                    "rows of its window in lake.analytics.universe_scans."
                ),
                skippable=True,
            ),
            dg.AssetSpec(
                UNIVERSE_KEY,
                deps=[SCAN_KEY],
                description="The universe report: the scan, the correlations and the movers."
                + latest("universe"),
                group_name="reports",
                owners=_OWNERS,
                kinds=_KINDS,
                skippable=True,
            ),
        ],
        partitions_def=days(settings),
        can_subset=True,
        pool=ANALYTICS_POOL,
    )
    def universe_scan_and_report(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], config: UniverseConfig
    ) -> Iterator[Any]:
        from quant_pipeline.research import scans, universe
        from reports import universe as page

        day = date.fromisoformat(context.partition_key)
        selected = context.selected_asset_keys
        changed = changed_parameters(config)
        with lake.work() as connection:
            bars = universe.load(
                connection,
                venue=lake.settings.venue,
                symbols=list(lake.settings.symbols),
                day=day,
                days=config.lookback_days,
                timeframe=config.timeframe,
                liquidity_filter=config.liquidity_filter,
            )
            statistics = universe.analyse(bars)
            figures = numeric(statistics.metrics())
            figures["bars_removed"] = sum(bars.liquidity.removed.values())
            if SCAN_KEY in selected and not changed:
                now = datetime.now(UTC).replace(tzinfo=None)
                scans.replace(connection, statistics, taken_at=now)
        found = {SCAN_KEY: {**figures, "best": _best(statistics)}}
        if UNIVERSE_KEY in selected:
            published = page.publish(statistics, lake.settings, parameters=changed)
            found[UNIVERSE_KEY] = report_metadata(published) | figures
        yield from results(context, found, changed)

    return universe_scan_and_report


def _best(statistics: "UniverseStatistics") -> dg.MetadataValue:
    """The ten strongest pairs as a table in the asset page."""
    from quant_pipeline.research.outcome import Undefined

    if isinstance(statistics.scan, Undefined):
        return dg.MetadataValue.text(statistics.scan.reason)
    columns = ["y", "x", "statistic", "pvalue", "qvalue_by", "beta", "half_life", "correlation"]
    rows = statistics.scan.head(10).select(columns).to_dicts()
    text = "\n".join(
        " | ".join(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row)
        for row in (each.values() for each in rows)
    )
    head = " | ".join(columns) + "\n" + " | ".join("---" for _ in columns) + "\n"
    return dg.MetadataValue.md(head + text)


def _symbols(settings: Settings) -> dg.AssetsDefinition:
    @dg.asset(
        key=SYMBOL_KEY,
        deps=[dg.AssetKey(["bars", f"ohlc_{settings.pair_timeframe}_live"])],
        partitions_def=days(settings),
        pool=ANALYTICS_POOL,
        description="The symbol reports: one page for each captured symbol and date."
        + latest("symbol"),
        group_name="reports",
        owners=_OWNERS,
        kinds=_KINDS,
    )
    def symbol_reports(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]
    ) -> dg.MaterializeResult[Any]:
        from quant_pipeline.research import symbol
        from reports import symbol as page

        day = date.fromisoformat(context.partition_key)
        metadata: dict[str, Any] = {}
        for name in lake.settings.symbols:
            with lake.work() as connection:
                bars = symbol.load(
                    connection,
                    venue=lake.settings.venue,
                    symbol=name,
                    day=day,
                    timeframe=lake.settings.pair_timeframe,
                )
            published = page.publish(symbol.analyse(bars), lake.settings)
            metadata[name] = dg.MetadataValue.url(published.url)
            metadata[f"{name} headline"] = published.summary.headline
        metadata |= preview(published)
        return dg.MaterializeResult(metadata=metadata)

    return symbol_reports


def _quality(settings: Settings) -> dg.AssetsDefinition:
    @dg.asset(
        key=QUALITY_KEY,
        deps=[dg.AssetKey(["raw", "ticks"])],
        partitions_def=days(settings),
        pool=ANALYTICS_POOL,
        description="The data-quality report of a date's capture.",
        group_name="reports",
        owners=_OWNERS,
        kinds=_KINDS,
    )
    def quality_report(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]
    ) -> dg.MaterializeResult[Any]:
        from quant_pipeline.research import quality
        from reports import quality as page

        with lake.work() as connection:
            state = quality.load(
                connection,
                venue=lake.settings.venue,
                symbols=list(lake.settings.symbols),
                day=date.fromisoformat(context.partition_key),
            )
        published = page.publish(state, lake.settings)
        return dg.MaterializeResult(metadata=report_metadata(published) | numeric(state.metrics()))

    return quality_report


def _snapshots() -> dg.AssetsDefinition:
    @dg.asset(
        key=SNAPSHOTS_REPORT_KEY,
        deps=[ADF_KEY, CORRELATION_KEY],
        pool=ANALYTICS_POOL,
        description="The history of each pair's scheduled snapshots.",
        group_name="reports",
        owners=_OWNERS,
        kinds=_KINDS,
    )
    def snapshots_report(lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult[Any]:
        from quant_pipeline.research import snapshots
        from reports import snapshots as page

        metadata: dict[str, Any] = {}
        for pair in lake.current_settings().pairs:
            with lake.work() as connection:
                history = snapshots.load(connection, lake.settings, pair)
            if not history.taken:
                continue
            published = page.publish(history, lake.settings)
            metadata[pair.key] = dg.MetadataValue.url(published.url)
            metadata[f"{pair.key} headline"] = published.summary.headline
            metadata |= preview(published)
        return dg.MaterializeResult(metadata=metadata)

    return snapshots_report


def _index() -> dg.AssetsDefinition:
    @dg.asset(
        key=INDEX_KEY,
        deps=[REPORT_KEY, UNIVERSE_KEY, SYMBOL_KEY, QUALITY_KEY, SNAPSHOTS_REPORT_KEY],
        description="The list of all pages: the latest of each, and the archive.",
        group_name="reports",
        owners=_OWNERS,
        kinds=_KINDS,
    )
    def reports_index(lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult[Any]:
        from reports import publishing

        path = publishing.rebuild_index(lake.settings)
        pages = sum(1 for _ in publishing.published(lake.settings))
        return dg.MaterializeResult(
            metadata={
                "report": dg.MetadataValue.url(f"/reports/{publishing.INDEX}"),
                "report_dialog": dg.MetadataValue.notebook(str(path)),
                "pages": pages,
            }
        )

    return reports_index
