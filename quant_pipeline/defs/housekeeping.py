"""Housekeeping as a Dagster job: the lake's files, and Dagster's own history."""

# No `from __future__ import annotations` here: Dagster reads the types of parameters.

import math
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.storage.tags import PARTITION_NAME_TAG

from quant_pipeline.defs.resources import Lake

_FINISHED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]
_AT_ONCE = 500

_Kind = tuple[str, str]  # job and partition; '' where there is none


@dg.op(pool="maintenance")
def maintain_lake(context: dg.OpExecutionContext, lake: dg.ResourceParam[Lake]) -> None:
    """`quant maintain` in a process of its own: compaction must not share one with other work."""
    done = subprocess.run(
        [sys.executable, "-m", "quant_pipeline", "maintain"],
        env=lake.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    context.log.info(done.stdout + done.stderr)
    if done.returncode != 0:
        raise dg.Failure(f"quant maintain ended with {done.returncode}: {done.stderr.strip()}")


@dg.op(pool="maintenance")
def remove_replaced_runs(context: dg.OpExecutionContext, lake: dg.ResourceParam[Lake]) -> int:
    """Delete runs that are old and that a newer run of the same partition has replaced.

    A pair's date is run once a minute as it grows; months of that would fill the disk. What stays
    is the newest successful run of every job and partition, and everything of the last days.
    """
    before = datetime.now(UTC) - timedelta(days=lake.settings.run_retention_days)
    removed = 0
    for run_id in replaced_runs(context.instance, before=before):
        context.instance.delete_run(run_id)
        removed += 1
    context.log.info(f"{removed} runs removed")
    return removed


@dg.job(
    description="Merges small files and expires snapshots of the lake; removes replaced runs.",
    executor_def=dg.in_process_executor,
)
def maintenance() -> None:
    """The lake first, then Dagster's history; neither needs the other."""
    maintain_lake()
    remove_replaced_runs()


def replaced_runs(instance: dg.DagsterInstance, *, before: datetime) -> list[str]:
    """Ids of finished runs created before then that a newer success of their kind has replaced."""
    replaced: list[str] = []
    newest: dict[_Kind, float] = {}
    cursor: str | None = None
    while True:
        page = instance.get_run_records(
            dg.RunsFilter(statuses=_FINISHED, created_before=before), limit=_AT_ONCE, cursor=cursor
        )
        if not page:
            return replaced
        cursor = page[-1].dagster_run.run_id
        for record in page:
            kind = _kind(record.dagster_run)
            if kind not in newest:
                newest[kind] = _newest_success(instance, kind)
            if record.create_timestamp.timestamp() < newest[kind]:
                replaced.append(record.dagster_run.run_id)


def _newest_success(instance: dg.DagsterInstance, kind: _Kind) -> float:
    """When it was created, epoch seconds; before all times if there is none."""
    job_name, partition = kind
    tags = {PARTITION_NAME_TAG: partition} if partition else {}
    records = instance.get_run_records(
        dg.RunsFilter(job_name=job_name, tags=tags, statuses=[dg.DagsterRunStatus.SUCCESS]),
        limit=1,
    )
    return records[0].create_timestamp.timestamp() if records else -math.inf


def _kind(run: dg.DagsterRun) -> _Kind:
    return run.job_name, run.tags.get(PARTITION_NAME_TAG, "")
