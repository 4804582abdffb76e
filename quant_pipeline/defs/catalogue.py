"""What the graph knows of an asset besides how it is made: when it is late, where its code is."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import timedelta

import dagster as dg
from dagster._utils.schedules import get_smallest_cron_interval
from dagster_shared.utils.warnings import BetaWarning

from quant_pipeline.settings import TIMEFRAME_SECONDS, Settings

_MINUTE = timedelta(minutes=1)


def described(
    assets: Sequence[dg.AssetsDefinition | dg.AssetSpec], settings: Settings
) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """The assets with freshness policies, and links to the code that makes them."""
    policies = freshness(settings)

    def add(spec: dg.AssetSpec) -> dg.AssetSpec:
        policy = policies.get(spec.key.to_user_string())
        return spec if policy is None else dg.apply_freshness_policy(spec, policy)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BetaWarning)
        linked = dg.with_source_code_references(list(assets))
    return list(dg.map_asset_specs(add, linked))  # type: ignore[arg-type]


def freshness(settings: Settings) -> dict[str, dg.FreshnessPolicy]:
    """When an asset that should move is late, by key.

    Ticks and bars move with the market, statistics behind them; snapshots by their schedule: at
    each tick of it, the one of the tick before must be there.
    """
    window = dg.FreshnessPolicy.time_window
    live = window(fail_window=15 * _MINUTE, warn_window=5 * _MINUTE)
    behind = window(fail_window=60 * _MINUTE, warn_window=15 * _MINUTE)
    scheduled = dg.FreshnessPolicy.cron(
        deadline_cron=settings.snapshot_cron,
        lower_bound_delta=get_smallest_cron_interval(settings.snapshot_cron),
    )
    return {
        "raw/ticks": live,
        **{f"bars/ohlc_{timeframe}": behind for timeframe in TIMEFRAME_SECONDS},
        "analytics/pair_snapshots": behind,
        "reports/pair": behind,
        "analytics/adf_snapshots": scheduled,
        "analytics/correlation_snapshots": scheduled,
    }
