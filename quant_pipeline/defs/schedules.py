"""What runs by the clock."""

from __future__ import annotations

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from quant_pipeline.settings import Settings


def hourly_snapshots(
    snapshots_job: UnresolvedAssetJobDefinition, settings: Settings
) -> dg.ScheduleDefinition:
    """Stationarity and correlation snapshots, hourly unless the settings say otherwise."""
    return dg.ScheduleDefinition(
        name="periodic_snapshots",
        job=snapshots_job,
        cron_schedule=settings.snapshot_cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Appends ADF and correlation snapshots of every pair to lake.analytics.",
    )
