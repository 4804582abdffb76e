"""Dagster definitions: assets, sensors and schedules over one lake."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from quant_pipeline.defs import (
    alerts,
    catalogue,
    checks,
    daily,
    dbt,
    housekeeping,
    pairs,
    schedules,
    sensors,
    snapshots,
    ticks,
)
from quant_pipeline.defs.resources import Lake
from quant_pipeline.settings import Settings


def build(settings: Settings, *, reread: Callable[[], Settings] | None = None) -> dg.Definitions:
    """Everything that the Dagster UI shows, for the lake that `settings` name.

    Args:
        settings: as they are now.
        reread: reads them again, so that pairs added later are seen; None: they do not change.
    """
    dbt_project = dbt.project(settings)
    models = dbt.assets(dbt_project)
    pair_day = pairs.assets(settings)
    taken = snapshots.assets(settings)
    pages = daily.assets(settings)

    bars_job = _job(
        "bars", models, description="Bring bars and liquidity tables up to date, and test them."
    )
    pair_job = _job(
        "pair_day",
        pair_day,
        description="Statistics and report of a pair and date; parameters in the Launchpad.",
    )
    snapshots_job = _job(
        "snapshots",
        taken,
        description="Append stationarity and correlation snapshots of every pair.",
    )
    reports_job = _job(
        "daily_reports", *pages, description="Universe scan and every page of a UTC date."
    )
    all_checks = checks.definitions(settings)
    checks_job = checks.job(all_checks)
    return dg.Definitions(
        assets=catalogue.described(
            [ticks.ticks, ticks.archived_days, models, pair_day, taken, *pages, alerts.alerts],
            settings,
        ),
        asset_checks=all_checks,
        jobs=[bars_job, pair_job, snapshots_job, reports_job, checks_job, housekeeping.maintenance],
        sensors=[
            sensors.ticks_landed(bars_job),
            sensors.bars_changed(pair_job),
            alerts.sensor(settings),
        ],
        schedules=[
            schedules.periodic_snapshots(snapshots_job, settings),
            schedules.daily_reports(reports_job, settings),
            schedules.daily_pairs(pair_job, settings),
            schedules.maintenance(housekeeping.maintenance, settings),
            schedules.periodic_checks(checks_job, settings),
        ],
        resources={"lake": Lake(settings, reread), "dbt": dbt.resource(dbt_project)},
        executor=dg.in_process_executor,
    )


def _job(name: str, *assets: dg.AssetsDefinition, description: str) -> UnresolvedAssetJobDefinition:
    """A job that materialises these assets in one process."""
    return dg.define_asset_job(
        name,
        selection=dg.AssetSelection.assets(*assets),
        description=description,
        executor_def=dg.in_process_executor,
    )
