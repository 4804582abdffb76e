"""A day of one-second commits with maintenance on its schedule: does the last hour stay fast?

    uv run python -m benchmarks.maintenance --minutes 1440

Commits as the worker does (ticks and a row of `raw.commits`, a second of trades each), as fast as
the lake takes them, and merges every `maintenance_interval_s` of simulated time. At the end of each
simulated hour, and of the run, at the worst moment (just before a merge is due), it times a scan of
the last hour and the same scan of the same ticks in their compacted state: all in one commit,
sorted. At the end the daily tier runs. Prints a table as it goes; exits 1 if a ratio is above 3.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
from rich.console import Console

from quant_pipeline import catalog, compaction, lake, maintenance
from quant_pipeline.settings import Settings

START = datetime.fromisoformat("2024-08-08")
LIMIT = 3.0
SCANS = 7

_COMMIT = """
insert into raw.ticks
select 'binance', case when r % 2 = 0 then 'BTCUSDT' else 'ETHUSDT' end, $second * $rate + r,
    $ts::timestamp + to_microseconds(r * 1000000 // $rate), $ts::timestamp,
    60000 + 100 * sin($second / 900.0) + hash(r, $second) % 1000 / 100.0,
    (1 + hash($second, r) % 100000) / 1e5, hash(r, $second, 1) % 2 = 0
from range($rate) as t (r)
"""
_SCAN = """
select symbol, count(*), min(price), max(price), sum(quantity)
from {table} where ts >= ?::timestamp - interval 1 hour and ts < ? group by symbol order by symbol
"""
# Whole numbers: a sum of doubles depends on the order of its rows, and files hold them in another.
_CONTENT = """
select count(*), sum(cast(hash(t) as hugeint)) from {table} as t
"""


@dataclass(frozen=True)
class Measure:
    """Medians of the scans at a moment of the simulated day, in seconds."""

    minute: int
    files: int
    scan_s: float
    compacted_s: float

    @property
    def ratio(self) -> float:
        return self.scan_s / self.compacted_s


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=int, default=1440, help="simulated minutes, at least 2")
    parser.add_argument("--rate", type=int, default=50, help="trades a second")
    options = parser.parse_args()
    console = Console(width=100)
    with tempfile.TemporaryDirectory(prefix="quant-maintenance-") as home:
        settings = Settings(home=Path(home))
        try:
            measures = simulate(settings, options.minutes, options.rate, console)
        finally:
            catalog.destroy(settings)
    worst = max(measure.ratio for measure in measures)
    console.print(f"worst ratio {worst:.2f}, allowed {LIMIT:.1f}")
    return int(worst > LIMIT)


def simulate(settings: Settings, minutes: int, rate: int, console: Console) -> list[Measure]:
    """Live through the minutes; returns a measure for each hour and for the end."""
    every = round(settings.maintenance_interval_s)
    measures: list[Measure] = []
    merges: list[float] = []
    started = time.perf_counter()
    console.print(
        f"{'minute':>6} {'files':>6} {'scan':>9} {'compacted':>10} {'ratio':>6} "
        f"{'merge':>8} {'commits/s':>10}"
    )
    connection = lake.connect(settings=settings)
    for second in range(minutes * 60):
        commit(connection, second, rate)
        after = second + 1
        if after % 3600 == 0 or after == minutes * 60:
            measure = measure_scan(connection, after, rate)
            measures.append(measure)
            pace = after / (time.perf_counter() - started)
            console.print(
                f"{measure.minute:>6} {measure.files:>6} {measure.scan_s * 1e3:>6.1f} ms "
                f"{measure.compacted_s * 1e3:>7.1f} ms {measure.ratio:>6.2f} "
                f"{statistics.median(merges):>6.2f} s {pace:>10.1f}"
            )
        if after % every == 0:
            merges.append(maintenance.run(settings, daily=False).seconds)
    connection.close()
    report = maintenance.run(
        settings, daily=True, clock=lambda: datetime.now(UTC) + timedelta(days=4)
    )
    console.print(
        f"daily: {report.files_before:,} → {report.files_after:,} files, "
        f"{report.bytes_before:,} → {report.bytes_after:,} bytes, "
        f"{report.snapshots_expired:,} snapshots expired, {report.files_removed:,} replaced files "
        f"removed, in {report.seconds:.1f} s"
    )
    return measures


def commit(connection: duckdb.DuckDBPyConnection, second: int, rate: int) -> None:
    """One second of trades, in one transaction."""
    connection.execute("begin")
    ts = START + timedelta(seconds=second)
    connection.execute(_COMMIT, {"second": second, "rate": rate, "ts": ts})
    connection.execute("insert into raw.commits values ('bench', ?, ?, ?)", [second, ts, rate])
    connection.execute("commit")


def measure_scan(connection: duckdb.DuckDBPyConnection, seconds: int, rate: int) -> Measure:
    """Time the scan as it is, and on a compacted copy of all ticks so far."""
    end = START + timedelta(seconds=seconds)
    files = next(t.files for t in compaction.table_files(connection) if t.name == "raw.ticks")
    connection.execute("create or replace table main.compacted as from raw.ticks limit 0")
    connection.execute(
        "alter table main.compacted set partitioned by (year(ts), month(ts), day(ts))"
    )
    connection.execute("insert into main.compacted from raw.ticks order by symbol, ts, trade_id")

    def scan(table: str) -> Callable[[], object]:
        return lambda: connection.execute(_SCAN.format(table=table), [end, end]).fetchall()

    landed, compacted = (
        connection.execute(_CONTENT.format(table=table)).fetchone()
        for table in ("raw.ticks", "main.compacted")
    )
    assert landed is not None
    if landed != compacted or landed[0] != seconds * rate:
        raise SystemExit(
            f"{seconds * rate} ticks were committed; raw.ticks holds (count, digest) {landed}, "
            f"its compacted copy {compacted}"
        )
    pairs = [(timed(scan("raw.ticks")), timed(scan("main.compacted"))) for _ in range(SCANS)]
    connection.execute("drop table main.compacted")
    return Measure(
        seconds // 60, files, *(statistics.median(side) for side in zip(*pairs, strict=True))
    )


def timed(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
