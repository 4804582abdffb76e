"""Sensors: new ticks are observed and turned into bars, changed bars into statistics."""

# No `from __future__ import annotations` here: Dagster reads the types of parameters.

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from quant_pipeline.defs import freshness
from quant_pipeline.defs.freshness import NEVER, Backlog
from quant_pipeline.defs.resources import Lake
from quant_pipeline.defs.ticks import observe

_INTERVAL_S = 5  # Dagster's floor in practice: faster ticks only fill the event log
_OBSERVE_EVERY_S = 60
_RUNS_PER_TICK = 5
_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def ticks_landed(bars_job: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    """Observe `raw/ticks` once a minute; run the bars when they fall behind.

    Where a resident dbt keeps the bars (`quant up`), this sensor starts no run.
    """

    @dg.sensor(
        name="ticks_landed",
        job=bars_job,
        minimum_interval_seconds=_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Observes new ticks; runs dbt when bars fall behind and nothing else does.",
    )
    def sensor(
        context: dg.SensorEvaluationContext, lake: dg.ResourceParam[Lake]
    ) -> dg.SensorResult | dg.SkipReason:
        seen = json.loads(context.cursor) if context.cursor else {"snapshot": NEVER, "at": 0.0}
        now = datetime.now(UTC)
        events: list[dg.AssetObservation | dg.AssetMaterialization] = []
        with lake.connect(read_only=True) as connection:
            commits = freshness.tick_commits(connection, since=seen["snapshot"])
            if commits is None:
                return dg.SkipReason("no new ticks")
            if now.timestamp() - seen["at"] >= _OBSERVE_EVERY_S:
                events = [observe(connection, commits, now=now)]
                seen = {"snapshot": commits.snapshot, "at": now.timestamp()}
            watermark = freshness.bars_watermark(connection)
        runs = []
        behind = commits.snapshot > watermark
        if behind and not lake.bars_are_kept() and not _unfinished(context.instance, bars_job.name):
            runs = [dg.RunRequest(run_key=f"bars@{commits.snapshot}")]
        return dg.SensorResult(run_requests=runs, asset_events=events, cursor=json.dumps(seen))

    return sensor


def bars_changed(pair_job: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    """Run a pair's statistics and report for exactly the dates whose bars changed."""

    @dg.sensor(
        name="bars_changed",
        job=pair_job,
        minimum_interval_seconds=_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Finds the dates and pairs whose bars changed; runs those, a few at a time.",
    )
    def sensor(
        context: dg.SensorEvaluationContext, lake: dg.ResourceParam[Lake]
    ) -> dg.SensorResult | dg.SkipReason:
        backlog = Backlog.loads(context.cursor)
        settings = lake.settings
        with lake.connect(read_only=True) as connection:
            changes = freshness.changed_days(
                connection, settings.pair_timeframe, since=backlog.snapshot
            )
            done = freshness.published(connection)
        found = freshness.changed_pairs(changes, settings.pairs, first_day=settings.first_day)
        fresh = {key: at for key, at in found.items() if done.get(key, NEVER) < at}
        backlog = backlog.add(fresh, max(changes.values(), default=NEVER))
        chosen, backlog = backlog.take(
            now=datetime.now(UTC).timestamp(),
            interval_s=settings.statistics_interval_s,
            limit=_RUNS_PER_TICK,
            running=_unfinished(context.instance, pair_job.name),
        )
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(run_key=f"{key}@{snapshot}", partition_key=key)
                for key, snapshot in chosen.items()
            ],
            skip_reason=None if chosen else f"{len(backlog.waiting)} partitions wait, none is due",
            cursor=backlog.dumps(),
        )

    return sensor


def _unfinished(instance: dg.DagsterInstance, job_name: str) -> Sequence[str]:
    """Partition keys of the job's runs that have not ended ('' for a run without one)."""
    runs = instance.get_runs(dg.RunsFilter(job_name=job_name, statuses=_UNFINISHED))
    return [run.tags.get("dagster/partition", "") for run in runs]
