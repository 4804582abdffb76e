"""Periodic snapshots: stationarity and correlation of every pair, appended to the lake."""

# No `from __future__ import annotations` here: Dagster reads the types of parameters.

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import duckdb
from pydantic import Field

from quant_pipeline.code_version import code_version
from quant_pipeline.defs.metadata import changed_parameters, results
from quant_pipeline.defs.pairs import ANALYTICS_POOL
from quant_pipeline.defs.resources import Lake
from quant_pipeline.schema import PARAMETERS
from quant_pipeline.settings import Pair, Settings, Timeframe, timeframe_seconds

if TYPE_CHECKING:
    from quant_pipeline.research.pair_window import PairWindow

ADF_KEY = dg.AssetKey(["analytics", "adf_snapshots"])
CORRELATION_KEY = dg.AssetKey(["analytics", "correlation_snapshots"])

_PROVENANCE = (
    *("taken_at", "venue", "y", "x", "timeframe", "window_start", "window_end", "bars"),
    *("lake_snapshot", "code_version"),
)


def assets(settings: Settings) -> dg.AssetsDefinition:
    """Both snapshots as one definition, so that they describe the same lake snapshot."""
    deps = [
        dg.AssetKey(["bars", f"ohlc_{settings.snapshot_timeframe}_live"]),
        dg.AssetKey(["liquidity", "liquidity_flags"]),
    ]
    common: dict[str, Any] = {
        "deps": deps,
        "group_name": "analytics",
        "owners": ["team:research"],
        "kinds": {"python", "statsmodels", "duckdb"},
        "skippable": True,
    }

    class SnapshotConfig(dg.Config):
        """What a researcher may change for one run in the Launchpad."""

        timeframe: Timeframe = Field(settings.snapshot_timeframe, description="Bars to use.")
        lookback_h: float = Field(
            settings.snapshot_lookback_h, gt=0, description="Hours of bars, up to the newest."
        )
        liquidity_filter: bool = Field(
            settings.snapshot_liquidity_filter,
            description="Take bars out that liquidity.liquidity_flags calls thin.",
        )

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
    def periodic_snapshots(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], config: SnapshotConfig
    ) -> Any:
        now = datetime.now(UTC)
        changed = changed_parameters(config)
        figures: dict[dg.AssetKey, dict[str, Any]] = {ADF_KEY: {}, CORRELATION_KEY: {}}
        with lake.work() as connection:
            for pair in lake.current_settings().pairs:
                window = latest_window(
                    connection,
                    pair,
                    venue=lake.settings.venue,
                    timeframe=config.timeframe,
                    lookback_h=config.lookback_h,
                    liquidity_filter=config.liquidity_filter,
                )
                if window is None:
                    context.log.warning(f"{pair}: no common bars yet, no snapshot taken")
                    continue
                for key, metadata in append(connection, window, now=now).items():
                    figures[key] |= metadata
        found = {key: metadata for key, metadata in figures.items() if metadata}
        yield from results(context, found, changed)

    return periodic_snapshots


def latest_window(
    connection: duckdb.DuckDBPyConnection,
    pair: Pair,
    *,
    venue: str,
    timeframe: Timeframe,
    lookback_h: float,
    liquidity_filter: bool,
) -> "PairWindow | None":
    """The last `lookback_h` hours of common bars; None where the legs share none."""
    from quant_pipeline.research import pair_window, published, reading

    end = pair_window.newest_common_bar(connection, venue=venue, pair=pair, timeframe=timeframe)
    if end is None:
        return None
    after_last = end + timedelta(seconds=timeframe_seconds(timeframe))
    first = after_last - published.snapshot_span(timeframe, lookback_h)
    window = pair_window.load(
        connection,
        pair=pair,
        timeframe=timeframe,
        where=reading.Window(venue, first, after_last),
        liquidity_filter=liquidity_filter,
    )
    return window if window.frame.height else None


def append(
    connection: duckdb.DuckDBPyConnection, window: "PairWindow", *, now: datetime
) -> dict[dg.AssetKey, dict[str, Any]]:
    """Append a window's rows to both tables; return what the UI plots, by asset.

    Args:
        now: an aware UTC time.
    """
    provenance = [now.replace(tzinfo=None), *window.provenance, code_version()]
    return {
        ADF_KEY: _append_adf(connection, window, provenance),
        CORRELATION_KEY: _append_correlation(connection, window, provenance),
    }


def _append_adf(
    connection: duckdb.DuckDBPyConnection, window: "PairWindow", provenance: list[Any]
) -> dict[str, Any]:
    from quant_pipeline.research import pair_window

    metadata: dict[str, Any] = {}
    for row in pair_window.stationarity(window):
        _insert(connection, "adf_snapshots", row._fields, [*provenance, *row, *window.parameters])
        metadata |= _numbers(
            f"{window.pair.key}/{row.series}", row._asdict(), "statistic", "pvalue"
        )
    return metadata


def _append_correlation(
    connection: duckdb.DuckDBPyConnection, window: "PairWindow", provenance: list[Any]
) -> dict[str, Any]:
    from quant_pipeline.research import pair_window

    row = pair_window.correlation(window)
    values = [*provenance, *row, *window.parameters]
    _insert(connection, "correlation_snapshots", row._fields, values)
    figures = {**row._asdict(), "bars_removed": sum(window.liquidity.removed.values())}
    return _numbers(window.pair.key, figures, "correlation", "observations", "bars_removed")


def _insert(
    connection: duckdb.DuckDBPyConnection, table: str, names: tuple[str, ...], values: list[Any]
) -> None:
    columns = [*_PROVENANCE, *names, *PARAMETERS]
    connection.execute(
        f"INSERT INTO analytics.{table} ({', '.join(columns)})"
        f" VALUES ({', '.join('?' * len(columns))})",
        values,
    )


def _numbers(prefix: str, values: dict[str, Any], *names: str) -> dict[str, Any]:
    """Values that the UI plots across materialisations; undefined ones are left out."""
    return {f"{prefix} {name}": values[name] for name in names if values[name] is not None}
