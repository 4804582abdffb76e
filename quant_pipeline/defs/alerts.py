"""Alerts in Dagster: a sensor that looks at the rules, and an asset that shows what is raised."""

# No `from __future__ import annotations` here: Dagster reads the types of parameters.

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from dagster._core.storage.tags import PARTITION_NAME_TAG, WILL_RETRY_TAG

from quant_pipeline.alerts.evaluation import Outcome, evaluate
from quant_pipeline.alerts.rules import Observation, Severity
from quant_pipeline.defs.pairs import SNAPSHOTS_KEY
from quant_pipeline.defs.resources import Lake
from quant_pipeline.defs.snapshots import ADF_KEY, CORRELATION_KEY
from quant_pipeline.defs.ticks import TICKS_KEY
from quant_pipeline.settings import Settings

if TYPE_CHECKING:
    import polars as pl

ALERTS_KEY: Final = dg.AssetKey(["analytics", "alerts"])

_SHOW_EVERY_S = 600.0
_RUNS_PER_LOOK = 200
_FIRST_LOOK_BACK_S = 86_400.0
_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]

alerts = dg.AssetSpec(
    ALERTS_KEY,
    deps=[
        TICKS_KEY,
        dg.AssetKey(["bars", "ohlc_5m"]),
        SNAPSHOTS_KEY,
        ADF_KEY,
        CORRELATION_KEY,
    ],
    group_name="analytics",
    owners=["team:research"],
    kinds={"python", "duckdb"},
    description=(
        "What the rules in the settings raise, one row an episode in lake.analytics.alerts: |z|, "
        "correlation, cointegration, spread, volume, stale feed, open gaps, failed runs. The "
        "sensor `alerts` judges and delivers; here is what is open."
    ),
    metadata={"schema": "lake.analytics.alerts"},
)


def sensor(settings: Settings) -> dg.SensorDefinition:
    """Judge every rule and send what is due, without a run of its own.

    Failed runs are read from the instance since the last look that succeeded. A sensor of
    Dagster's own kind for failures moves on even if it fails itself, and would so lose the runs
    that failed with the catalog.
    """

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=settings.alert_interval_s,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Raises, clears and delivers alerts by the rules in the settings.",
    )
    def look(
        context: dg.SensorEvaluationContext, lake: dg.ResourceParam[Lake]
    ) -> dg.SensorResult | dg.SkipReason:
        now = datetime.now(UTC)
        before = {"runs": now.timestamp() - _FIRST_LOOK_BACK_S, "shown": 0.0}
        seen = before | json.loads(context.cursor or "{}")
        runs, seen["runs"] = finished_runs(context.instance, since=seen["runs"])
        outcome = evaluate(lake.settings, now=now.replace(tzinfo=None), also=runs)
        if not outcome.changed and now.timestamp() - seen["shown"] < _SHOW_EVERY_S:
            context.update_cursor(json.dumps(seen))
            return dg.SkipReason(f"{outcome.current.height} alerts are open, nothing changed")
        seen["shown"] = now.timestamp()
        shown = dg.AssetMaterialization(ALERTS_KEY, metadata=metadata(outcome))
        return dg.SensorResult(asset_events=[shown], cursor=json.dumps(seen))

    return look


def finished_runs(instance: dg.DagsterInstance, *, since: float) -> tuple[list[Observation], float]:
    """The newest outcome of each job and partition that ended after `since`, epoch seconds.

    Returns:
        Observations of `failed_run`, 1 for a failure and 0 for a success; and the time up to which
        runs were read. A failure that Dagster retries by itself is not one yet.
    """
    records = instance.get_run_records(
        dg.RunsFilter(statuses=_FINISHED, updated_after=datetime.fromtimestamp(since, UTC)),
        limit=_RUNS_PER_LOOK,
        order_by="update_timestamp",
        ascending=True,
    )
    newest: dict[str, Observation] = {}
    for record in records:
        run, ended = record.dagster_run, record.update_timestamp
        failed = run.status is dg.DagsterRunStatus.FAILURE
        if failed and run.tags.get(WILL_RETRY_TAG) == "true":
            continue
        job = "ad hoc" if run.job_name.startswith("__") else run.job_name
        subject = f"{job} {run.tags.get(PARTITION_NAME_TAG, '')}".strip()
        value = 1.0 if failed else 0.0
        newest[subject] = Observation("failed_run", subject, value, ended.replace(tzinfo=None))
    read_to = max((record.update_timestamp.timestamp() for record in records), default=since)
    return list(newest.values()), read_to


def metadata(outcome: Outcome) -> dict[str, Any]:
    """Counts that the UI plots, and a table of what is open."""
    severities = outcome.current["severity"].to_list()
    return {
        "open": outcome.current.height,
        **{f"open_{each}": severities.count(each.value) for each in Severity},
        "raised": outcome.raised,
        "cleared": outcome.cleared,
        "sent": outcome.sent,
        "waiting_for_delivery": outcome.waiting,
        "current": dg.MetadataValue.md(table(outcome.current)),
    }


def table(current: "pl.DataFrame") -> str:
    """Open alerts as a markdown table."""
    if current.is_empty():
        return "No alert is open."
    lines = ["| severity | rule | since (UTC) | what |", "|---|---|---|---|"]
    for row in current.iter_rows(named=True):
        said = str(row["message"]).replace("|", "\\|")
        lines.append(
            f"| {row['severity']} | {row['rule']} | {row['raised_at']:%Y-%m-%d %H:%M:%S} | {said} |"
        )
    return "\n".join(lines)
