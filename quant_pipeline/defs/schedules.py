"""What runs by the clock, in UTC; on by default."""

# No `from __future__ import annotations` here: Dagster reads the types of parameters.

from datetime import UTC, date, timedelta
from typing import Any

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from quant_pipeline.defs.partitions import PairDay, add_pairs
from quant_pipeline.defs.resources import Lake
from quant_pipeline.settings import Settings

_UTC: dict[str, Any] = {
    "execution_timezone": "UTC",
    "default_status": dg.DefaultScheduleStatus.RUNNING,
}


def periodic_snapshots(
    snapshots_job: UnresolvedAssetJobDefinition, settings: Settings
) -> dg.ScheduleDefinition:
    """Stationarity and correlation snapshots, hourly unless the settings say otherwise."""
    said = "Appends ADF and correlation snapshots of every pair to lake.analytics."
    return _by_clock("periodic_snapshots", snapshots_job, settings.snapshot_cron, said)


def periodic_checks(
    checks_job: UnresolvedAssetJobDefinition, settings: Settings
) -> dg.ScheduleDefinition:
    """Every check, every five minutes unless the settings say otherwise."""
    said = "Makes the checks of what changes outside Dagster's runs: ticks, live bars."
    return _by_clock("periodic_checks", checks_job, settings.checks_cron, said)


def daily_reports(
    reports_job: UnresolvedAssetJobDefinition, settings: Settings
) -> dg.ScheduleDefinition:
    """Just after midnight: the universe scan and every page of the date that has ended."""

    @dg.schedule(
        name="daily_reports",
        job=reports_job,
        cron_schedule=settings.daily_cron,
        description="Scans the universe and makes the pages of the UTC date that has just ended.",
        **_UTC,
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        key = yesterday(context).isoformat()
        return dg.RunRequest(run_key=key, partition_key=key)

    return schedule


def daily_pairs(
    pair_job: UnresolvedAssetJobDefinition, settings: Settings
) -> dg.ScheduleDefinition:
    """Just after midnight: each pair's statistics and report of the date that has ended."""

    @dg.schedule(
        name="daily_pairs",
        job=pair_job,
        cron_schedule=settings.daily_cron,
        description="Makes the pair reports of the UTC date that has just ended, whole.",
        **_UTC,
    )
    def schedule(
        context: dg.ScheduleEvaluationContext, lake: dg.ResourceParam[Lake]
    ) -> list[dg.RunRequest]:
        pairs = lake.current_settings().pairs
        add_pairs(context.instance, pairs)
        keys = [PairDay(yesterday(context), pair).key for pair in pairs]
        return [dg.RunRequest(run_key=f"{key}@end-of-day", partition_key=key) for key in keys]

    return schedule


def maintenance(job: dg.JobDefinition, settings: Settings) -> dg.ScheduleDefinition:
    """Housekeeping of the lake and of Dagster's own history."""
    said = "Merges small files, expires old snapshots, removes Dagster's replaced runs."
    return _by_clock("maintenance", job, settings.maintenance_cron, said)


def _by_clock(
    name: str,
    job: dg.JobDefinition | UnresolvedAssetJobDefinition,
    cron: str,
    description: str,
) -> dg.ScheduleDefinition:
    """A schedule of one run at each tick of the cron."""
    return dg.ScheduleDefinition(
        name=name, job=job, cron_schedule=cron, description=description, **_UTC
    )


def yesterday(context: dg.ScheduleEvaluationContext) -> date:
    """The UTC date that ended before the scheduled time."""
    return context.scheduled_execution_time.astimezone(UTC).date() - timedelta(days=1)
