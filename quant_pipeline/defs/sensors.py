"""Sensors: new ticks are observed and turned into bars, changed bars into statistics."""

# No `from __future__ import annotations` here: Dagster reads the types of parameters.

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.storage.tags import PARTITION_NAME_TAG

from quant_pipeline.defs import freshness, resident
from quant_pipeline.defs.freshness import NEVER, Backlog, Outcome
from quant_pipeline.defs.partitions import PAIRS
from quant_pipeline.defs.resources import Lake
from quant_pipeline.defs.ticks import observe
from quant_pipeline.settings import Pair

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

    Where a resident dbt keeps the bars (`quant up`), this sensor starts no run; once a minute it
    reports the tables that dbt has changed since, one event each.
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
        seen: dict[str, Any] = {"snapshot": NEVER, "at": 0.0, "tables": {}}
        seen |= json.loads(context.cursor) if context.cursor else {}
        now = datetime.now(UTC)
        kept = lake.bars_are_kept()
        events: list[dg.AssetObservation | dg.AssetMaterialization] = []
        with lake.connect(read_only=True) as connection:
            commits = freshness.tick_commits(connection, since=seen["snapshot"])
            watermark = freshness.bars_watermark(connection)
            newest = commits.snapshot if commits else seen["snapshot"]
            # Ticks that landed while a run was in progress may have been observed already.
            behind = newest > watermark and not kept
            if commits is None and not behind:
                return dg.SkipReason("no new ticks")
            if commits and now.timestamp() - seen["at"] >= _OBSERVE_EVERY_S:
                events = [observe(connection, commits, now=now)]
                if kept:  # the resident dbt's work, as its runs would have reported it
                    states = resident.table_states(connection, since=seen["tables"])
                    events += [resident.materialisation(state, now=now) for state in states]
                    seen["tables"] |= {state.name: state.snapshot for state in states}
                seen |= {"snapshot": commits.snapshot, "at": now.timestamp()}
        runs = []
        if behind and not _unfinished(context.instance, bars_job.name):
            runs = [dg.RunRequest(run_key=f"bars@{newest}")]
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
        settings = lake.current_settings()
        instance = context.instance
        unfinished = _unfinished(instance, pair_job.name)
        backlog = Backlog.loads(context.cursor)
        backlog = backlog.settle(
            {key: _outcome(instance, pair_job.name, key, unfinished) for key in backlog.requested}
        )
        known, backlog = backlog.pairs, backlog.keep(settings.pairs)
        with lake.connect(read_only=True) as connection:
            changes = freshness.changed_days(
                connection, settings.pair_timeframe, since=backlog.snapshot
            )
            found = freshness.changed_pairs(changes, settings.pairs, first_day=settings.first_day)
            added = [pair for pair in settings.pairs if pair.key not in known]
            if added and backlog.snapshot != NEVER:  # a new pair has a history to catch up with
                found |= freshness.changed_pairs(
                    freshness.changed_days(connection, settings.pair_timeframe, since=NEVER),
                    added,
                    first_day=settings.first_day,
                )
            done = freshness.published(connection, settings) if found else {}
        fresh = {key: at for key, at in found.items() if done.get(key, NEVER) < at}
        chosen, backlog = backlog.add(fresh, max(changes.values(), default=NEVER)).take(
            now=datetime.now(UTC).timestamp(),
            interval_s=settings.statistics_interval_s,
            limit=_RUNS_PER_TICK,
            running=unfinished,
        )
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(run_key=_run_key(key, *backlog.requested[key]), partition_key=key)
                for key in chosen
            ],
            dynamic_partitions_requests=_new_partitions(instance, settings.pairs),
            skip_reason=None if chosen else f"{len(backlog.waiting)} partitions wait, none is due",
            cursor=backlog.dumps(),
        )

    return sensor


def _run_key(key: str, snapshot: int, failures: int) -> str:
    """The same for the same work, so that a repeated tick starts nothing twice."""
    return f"{key}@{snapshot}" + (f"#{failures + 1}" if failures else "")


def _new_partitions(
    instance: dg.DagsterInstance, pairs: Sequence[Pair]
) -> list[dg.AddDynamicPartitionsRequest]:
    """What adds the pairs that the settings name for the first time."""
    assert PAIRS.name is not None
    known = set(instance.get_dynamic_partitions(PAIRS.name))
    new = [pair.key for pair in pairs if pair.key not in known]
    return [PAIRS.build_add_request(new)] if new else []


def _outcome(
    instance: dg.DagsterInstance, job_name: str, key: str, unfinished: Sequence[str]
) -> Outcome:
    """What became of the newest run of a partition; Dagster may not have made it yet."""
    if key in unfinished:
        return "unfinished"
    runs = instance.get_runs(
        dg.RunsFilter(job_name=job_name, tags={PARTITION_NAME_TAG: key}), limit=1
    )
    if not runs:
        return "unfinished"
    return "succeeded" if runs[0].is_success else "failed"


def _unfinished(instance: dg.DagsterInstance, job_name: str) -> Sequence[str]:
    """Partition keys of the job's runs that have not ended ('' for a run without one)."""
    runs = instance.get_runs(dg.RunsFilter(job_name=job_name, statuses=_UNFINISHED))
    return [run.tags.get(PARTITION_NAME_TAG, "") for run in runs]
