"""What a soak run has shown, from the lake, Dagster and the logs, as Markdown."""

from __future__ import annotations

import os
import platform
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from quant_pipeline.settings import Settings

LOCK_ERRORS = re.compile(
    r"database is locked|deadlock|could not serialize|TransactionException|Transaction conflict"
    r"|lock timeout|LockTimeout|Failed to commit",
    re.IGNORECASE,
)
"""What a lock or commit conflict looks like in a log."""

_CLOSES_WITHIN_S = 2
_ROLES = (
    ("dagster_webserver", "dagster webserver"),
    ("dagster-webserver", "dagster webserver"),
    ("dagster._daemon", "dagster daemon"),
    ("dagster-daemon", "dagster daemon"),
    ("api grpc", "dagster code server"),
    ("code-server", "dagster code server"),
    ("forkserver", "dagster runs"),
    ("multiprocessing", "multiprocessing"),
    ("dagster dev", "dagster dev"),
    ("quant_pipeline.supervision", "supervision"),
    ("quant_pipeline stream", "worker"),
    ("quant_pipeline bars", "resident dbt"),
    ("quant_pipeline maintain", "maintenance"),
    ("postgres", "catalog"),
)


@dataclass(frozen=True)
class Sample:
    """One look at the running system: UTC without a zone, snapshots, bytes, CPU seconds."""

    at: datetime
    watermarks: dict[str, int]
    rss: dict[str, int]
    cpu_s: dict[str, float]


@dataclass
class Soak:
    """A run and what it has shown."""

    minutes: float
    load_s: float
    ready_s: float
    since: datetime
    until: datetime = field(default_factory=lambda: datetime.now(UTC))
    load: tuple[float, float, float] = (0.0, 0.0, 0.0)
    samples: list[Sample] = field(default_factory=list)
    late_day: date | None = None
    late_at: datetime | None = None
    runs: Counter[tuple[str, str]] = field(default_factory=Counter)
    run_s: list[float] = field(default_factory=list)
    queued_s: list[float] = field(default_factory=list)
    late_partitions: Counter[str] = field(default_factory=Counter)
    ticks: Counter[str] = field(default_factory=Counter)
    bars_lag_s: dict[str, list[float]] = field(default_factory=dict)
    statistics_lag_s: list[float] = field(default_factory=list)
    minutes_missed: int = 0
    lock_errors: list[str] = field(default_factory=list)
    rows_landed: int = 0
    history_bytes: int = 0


def role(command: Sequence[str]) -> str:
    """What a process of `quant up` does, by its command line."""
    line = " ".join(command)
    return next((name for sign, name in _ROLES if sign in line), "other")


def collect(soak: Soak, settings: Settings) -> None:
    """Read everything that was left behind; the processes have ended."""
    _from_lake(soak, settings)
    _from_dagster(soak)
    for path in sorted(settings.log_dir.glob("*.log")) + sorted(
        settings.dagster_dir.rglob("*.err")
    ):
        for line in path.read_text("utf-8", errors="replace").splitlines():
            if LOCK_ERRORS.search(line):
                soak.lock_errors.append(f"{path.name}: {line.strip()[:160]}")
    soak.history_bytes = sum(
        path.stat().st_size for path in settings.dagster_dir.rglob("*") if path.is_file()
    )


def _from_lake(soak: Soak, settings: Settings) -> None:
    from quant_pipeline import lake

    with lake.connect(read_only=True, settings=settings) as connection:
        commits = connection.sql(
            "select snapshot_id, committed_at, rows from raw.commits where rows > 0 order by 1"
        ).fetchall()
        published = connection.execute(
            "select s.snapshot_time at time zone 'UTC', p.window_end"
            " from (select snapshot_id, window_end, day from analytics.pair_snapshots) p"
            " join ducklake_snapshots('lake') s using (snapshot_id)"
            " where p.day >= ? order by 1",
            [soak.since.date()],
        ).fetchall()
    since, until = (moment.replace(tzinfo=None) for moment in (soak.since, soak.until))
    soak.rows_landed = sum(row[2] for row in commits if since <= row[1] <= until)
    ids = [row[0] for row in commits]
    for sample in soak.samples:
        for table, watermark in sample.watermarks.items():
            waiting = bisect_right(ids, watermark)
            first = commits[waiting][1] if waiting < len(commits) else sample.at
            lag = max(0.0, (sample.at - first).total_seconds())
            soak.bars_lag_s.setdefault(table, []).append(lag)
    closed = since.replace(second=0, microsecond=0) + timedelta(minutes=1)
    while closed <= until:
        reached = closed - timedelta(seconds=_CLOSES_WITHIN_S)
        seen = next((at for at, last in published if last >= reached and at >= closed), None)
        if seen is not None:
            soak.statistics_lag_s.append((seen - closed).total_seconds())
        elif until - closed > timedelta(seconds=60):
            soak.minutes_missed += 1
        closed += timedelta(minutes=1)


def _from_dagster(soak: Soak) -> None:
    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        for record in instance.get_run_records():
            run = record.dagster_run
            ended = datetime.fromtimestamp(record.end_time, UTC) if record.end_time else None
            status = run.status.value
            if ended is None or ended > soak.until:  # Ctrl-C ends what is in progress
                status = "UNFINISHED AT THE END"
            soak.runs[run.job_name, status] += 1
            created = record.create_timestamp.replace(tzinfo=UTC)
            if record.start_time and record.end_time:
                soak.run_s.append(record.end_time - record.start_time)
                soak.queued_s.append(record.start_time - created.timestamp())
            partition = run.tags.get("dagster/partition", "")
            if soak.late_at is not None and run.job_name == "pair_day" and created >= soak.late_at:
                day = partition.partition("|")[0]
                if day != soak.until.date().isoformat():
                    soak.late_partitions[partition] += 1
        for state in instance.all_instigator_state():
            for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id):
                soak.ticks[tick.status.value] += 1


def markdown(soak: Soak) -> str:
    """The page."""
    return "\n".join([_head(soak), _results(soak), _memory(soak), _details(soak)])


def _head(soak: Soak) -> str:
    memory_gb = _memory_total() / 2**30
    return f"""# The whole pipeline for {soak.minutes:.0f} minutes

`python -m benchmarks.soak --minutes {soak.minutes:.0f} --write docs/soak.md`, ended \
{soak.until:%Y-%m-%d %H:%M} UTC on {_cores()} cores, {memory_gb:.0f} GB, Python \
{platform.python_version()}; load average at the end {soak.load[0]:.1f}, {soak.load[1]:.1f}, \
{soak.load[2]:.1f}.

A synthetic exchange makes 50 trades a second in three symbols; `quant up` captures them, keeps the
bars, and runs Dagster with every sensor and schedule on (statistics of a pair each minute,
snapshots every five, maintenance). The lake begins with 20 minutes of each of three earlier dates.
Half-way, a trade of each leg lands that is three days old.
"""


def _results(soak: Soak) -> str:
    ok = sum(count for (_, status), count in soak.runs.items() if status == "SUCCESS")
    bad = sum(count for (_, status), count in soak.runs.items() if status == "FAILURE")
    runs = (f"`{key}` {count}×" for key, count in soak.late_partitions.items())
    late = ", ".join(runs).replace("|", "\\|") or "none"
    rows = [
        ("Trades landed", f"{soak.rows_landed:,}", ""),
        ("Runs that succeeded / failed", f"{ok} / {bad}", "0 failed"),
        ("Sensor and schedule ticks that failed", str(soak.ticks["FAILURE"]), "0"),
        ("Lock errors in the logs", str(len(soak.lock_errors)), "0"),
        *(
            (f"`bars.{table}` trail the last flush", _percentiles(lags), "≤ 5 s")
            for table, lags in sorted(soak.bars_lag_s.items())
        ),
        (
            "Closed minute → its pair's statistics",
            _percentiles(soak.statistics_lag_s),
            "p95 ≤ 60 s",
        ),
        ("Minutes without statistics after 60 s", str(soak.minutes_missed), "0"),
        (
            f"Run again by the late trade of {soak.late_day}",
            late,
            "that date's partition, nothing else",
        ),
        ("Definitions load", f"{soak.load_s:.1f} s", "< 5 s"),
        ("First statistics after `quant up`", f"{soak.ready_s:.0f} s", ""),
        ("A run, from start to end", _percentiles(soak.run_s), ""),
        ("A run, from request to start", _percentiles(soak.queued_s), ""),
        ("Dagster's history on disk", f"{soak.history_bytes / 1e6:.0f} MB", ""),
    ]
    lines = ["| | measured | target |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {value} | {aim} |" for name, value, aim in rows), ""])


def _memory(soak: Soak) -> str:
    if not soak.samples:
        return ""
    early_at = soak.samples[0].at + timedelta(minutes=min(5.0, soak.minutes / 3))
    early = [each for each in soak.samples if each.at <= early_at][-5:]
    late = soak.samples[-5:]
    seconds = (late[-1].at - soak.samples[0].at).total_seconds()
    minutes = (early_at - soak.samples[0].at).total_seconds() / 60
    lines = [
        "Memory, MB of resident set (medians of five samples; pages that the catalog's processes"
        f" or the runs share are counted once), at {minutes:.0f} min and at the end:",
        "",
        "| process | early | at the end | most | CPU, % of a core |",
        "|---|---|---|---|---|",
    ]
    for name in sorted({name for each in soak.samples for name in each.rss}):
        most = max(each.rss.get(name, 0) for each in soak.samples) / 1e6
        cpu = late[-1].cpu_s.get(name, 0.0) - soak.samples[0].cpu_s.get(name, 0.0)
        # runs come and go, so that their seconds do not add up in a sample
        share = "" if name == "dagster runs" or cpu < 0 else f"{cpu / seconds * 100:.0f}"
        lines.append(
            f"| {name} | {_median(early, name):.0f} | {_median(late, name):.0f} | {most:.0f} |"
            f" {share} |"
        )
    return "\n".join([*lines, ""])


def _details(soak: Soak) -> str:
    runs = ", ".join(
        f"{job} {status.lower()} {count}" for (job, status), count in sorted(soak.runs.items())
    )
    ticks = ", ".join(f"{status.lower()} {count}" for status, count in sorted(soak.ticks.items()))
    lines = [f"Runs: {runs}.", f"Ticks: {ticks}."]
    lines += [f"Lock error: {line}" for line in soak.lock_errors[:10]]
    lines.append(
        "A bar table trails by the age of the oldest flush that it has not consumed, looked at"
        " every three seconds. A minute is in its pair's statistics once a row whose last bar lies"
        f" in the minute's last {_CLOSES_WITHIN_S} seconds, or later, is committed."
    )
    return "\n\n".join(lines) + "\n"


def _percentiles(values: Sequence[float]) -> str:
    if not values:
        return "nothing measured"
    p50, p95, most = np.percentile(np.array(values), [50, 95, 100])
    return f"p50 {p50:.1f} s, p95 {p95:.1f} s, max {most:.1f} s ({len(values)})"


def _median(samples: Sequence[Sample], name: str) -> float:
    return float(np.median([each.rss.get(name, 0) for each in samples])) / 1e6


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _memory_total() -> int:
    import psutil

    return int(psutil.virtual_memory().total)
