"""Dagster definitions: assets, sensors and schedules over one lake."""

from __future__ import annotations

import dagster as dg

from quant_pipeline.defs import (
    alerts,
    catalogue,
    checks,
    dbt,
    pairs,
    schedules,
    sensors,
    snapshots,
    ticks,
)
from quant_pipeline.defs.resources import Lake
from quant_pipeline.settings import Settings


def build(settings: Settings) -> dg.Definitions:
    """Everything that the Dagster UI shows, for the lake that `settings` name."""
    dbt_project = dbt.project(settings)
    models = dbt.assets(dbt_project)
    pair_day = pairs.assets(settings)
    taken = snapshots.assets(settings)

    bars_job = dg.define_asset_job(
        "bars",
        selection=dg.AssetSelection.assets(models),
        description="Bring bars and liquidity tables up to date with the ticks, and test them.",
        executor_def=dg.in_process_executor,
    )
    pair_job = dg.define_asset_job(
        "pair_day",
        selection=dg.AssetSelection.assets(pair_day),
        description="Statistics and report of a pair and date; parameters in the Launchpad.",
        executor_def=dg.in_process_executor,
    )
    snapshots_job = dg.define_asset_job(
        "snapshots",
        selection=dg.AssetSelection.assets(taken),
        description="Append stationarity and correlation snapshots of every pair.",
        executor_def=dg.in_process_executor,
    )
    all_checks = checks.definitions(settings)
    checks_job = checks.job(all_checks)
    return dg.Definitions(
        assets=catalogue.described(
            [ticks.ticks, ticks.archived_days, models, pair_day, taken, alerts.alerts], settings
        ),
        asset_checks=all_checks,
        jobs=[bars_job, pair_job, snapshots_job, checks_job],
        sensors=[
            sensors.ticks_landed(bars_job),
            sensors.bars_changed(pair_job),
            alerts.sensor(settings),
        ],
        schedules=[
            schedules.hourly_snapshots(snapshots_job, settings),
            checks.schedule(checks_job, settings),
        ],
        resources={"lake": Lake(settings), "dbt": dbt.resource(dbt_project)},
        executor=dg.in_process_executor,
    )
