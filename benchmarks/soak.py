"""The whole pipeline for half an hour, beside a local exchange, and what became of it.

    python -m benchmarks.soak --minutes 30 --write docs/soak.md

Starts a synthetic exchange (three symbols, two of them cointegrated) and `quant up` (worker,
resident dbt, maintenance, `dagster dev` with every sensor and schedule on) with a QUANT_HOME of its
own that holds three earlier dates; half-way, a trade of three days ago lands. Printed as a table:
runs, errors in the logs, memory, freshness, and which partitions the late trade had run again.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from benchmarks import soak_report
from benchmarks.soak_report import Sample, Soak

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
PAIR = "BTCUSDT/ETHUSDT"
RATE = 50
SNAPSHOT_CRON = "*/5 * * * *"
SAMPLE_S = 3.0
HISTORY_DAYS = (4, 3, 2)
LATE_DAYS = 3
READY_WITHIN_S = 900.0

_HISTORY = """
insert into raw.ticks
select 'binance', symbol, r + 1, $start + r * interval 1 second, $start + r * interval 1 second,
    level * exp(sum(hash(r) % 1000 / 1e7 - 5e-5) over (partition by symbol order by r)
        + hash(r, symbol) % 1000 / 1e7), 0.5, hash(r) % 2 = 0
from range($first, $first + 1200) as t (r)
cross join (values ('BTCUSDT', 61800.0), ('ETHUSDT', 2680.0), ('SOLUSDT', 155.0)) s (symbol, level)
"""


def main() -> None:
    """Run it and print, or write, the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--home", type=Path, help="QUANT_HOME; default: a folder that is removed")
    parser.add_argument("--write", type=Path, help="also write the table into this Markdown file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        home = options.home or Path(folder) / "data"
        soak = run(home, minutes=options.minutes)
    text = soak_report.markdown(soak)
    print(text)
    if options.write is not None:
        options.write.write_text(text, "utf-8")


def run(home: Path, *, minutes: float) -> Soak:
    """Run the pipeline for so long and measure it.

    Raises:
        RuntimeError: a process ended, or nothing was published in time.
    """
    ports = {name: free_port() for name in ("exchange", "dagster", "metrics")}
    environment = configure(home, ports)
    from quant_pipeline import catalog, lake
    from quant_pipeline import settings as settings_module

    settings = settings_module.get()
    today = datetime.now(UTC).date()
    with lake.connect(settings=settings) as connection:
        for number, age in enumerate(HISTORY_DAYS):
            start = datetime.combine(today - timedelta(days=age), datetime.min.time())
            connection.execute(
                _HISTORY, {"start": start + timedelta(hours=10), "first": number * 1200}
            )
    settings.log_dir.mkdir(parents=True, exist_ok=True)
    loading = load_time(environment)
    exchange = start_exchange(ports["exchange"], settings.log_dir, environment)
    up = start_up(settings.log_dir, environment)
    try:
        try:
            soak = watch(up, settings, minutes=minutes, load_s=loading)
        finally:
            stop(up)
            stop(exchange)
        soak_report.collect(soak, settings)
    finally:
        catalog.destroy(settings)
    return soak


def configure(home: Path, ports: dict[str, int]) -> dict[str, str]:
    """Set this process's environment, which its children inherit, before settings are read."""
    for name in [name for name in os.environ if name.startswith("QUANT_")]:
        del os.environ[name]
    root = Path(__file__).resolve().parents[1]
    os.environ.update(
        {
            "QUANT_HOME": str(home),
            "QUANT_SYMBOLS": ",".join(SYMBOLS),
            "QUANT_PAIRS": PAIR,
            "QUANT_WS_URL": f"ws://127.0.0.1:{ports['exchange']}",
            "QUANT_REST_URL": f"http://127.0.0.1:{ports['exchange']}",
            "QUANT_EXCHANGE_PORT": str(ports["exchange"]),
            "QUANT_DAGSTER_PORT": str(ports["dagster"]),
            "QUANT_METRICS_PORT": str(ports["metrics"]),
            "QUANT_SNAPSHOT_CRON": SNAPSHOT_CRON,
            "QUANT_MAINTENANCE_CRON": "*/10 * * * *",
            "DAGSTER_HOME": str(root / "quant_pipeline" / "dagster_home"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
    )
    return dict(os.environ)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def load_time(environment: dict[str, str]) -> float:
    """Seconds to load the definitions in a fresh process, dbt's manifest being there already."""
    command = [sys.executable, "-c", "import quant_pipeline.definitions"]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    started = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return time.perf_counter() - started


def start_exchange(port: int, logs: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """The local exchange, its market open from now on."""
    arguments = ["--synthetic", "--symbols", ",".join(SYMBOLS), "--rate", str(RATE), "--start"]
    arguments += ["now", "--no-quotes", "--port", str(port)]
    with (logs / "exchange.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "quant_pipeline", "exchange", *arguments],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def start_up(logs: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """`quant up`, as a user starts it."""
    with (logs / "up.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "quant_pipeline", "up"],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ctrl-C; kill it if that does not help."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(120)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def watch(up: subprocess.Popen[bytes], settings: object, *, minutes: float, load_s: float) -> Soak:
    """Sample watermarks and memory until the time is over; land the late trade half-way."""
    from quant_pipeline.settings import Settings

    assert isinstance(settings, Settings)
    began = datetime.now(UTC)
    wait_until_published(up, settings)
    ready = datetime.now(UTC)
    soak = Soak(
        minutes=minutes, load_s=load_s, ready_s=(ready - began).total_seconds(), since=ready
    )
    end = time.monotonic() + minutes * 60
    late_at = time.monotonic() + minutes * 30
    while (now := time.monotonic()) < end:
        if up.poll() is not None:
            raise RuntimeError(f"quant up ended with {up.returncode}; see {settings.log_dir}")
        if soak.late_day is None and now >= late_at:
            soak.late_day, soak.late_at = land_late(settings), datetime.now(UTC)
        soak.samples.append(sample(up, settings))
        time.sleep(max(0.0, SAMPLE_S - (time.monotonic() - now)))
    soak.until = datetime.now(UTC)
    soak.load = os.getloadavg()
    return soak


def wait_until_published(up: subprocess.Popen[bytes], settings: object) -> None:
    """Until statistics of today are there, so that what is measured is a running system."""
    from quant_pipeline import lake
    from quant_pipeline.settings import Settings

    assert isinstance(settings, Settings)
    deadline = time.monotonic() + READY_WITHIN_S
    days: set[date] = set()
    while datetime.now(UTC).date() not in days:
        if up.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"nothing was published; see {settings.log_dir / 'up.log'}")
        time.sleep(2.0)
        with lake.connect(read_only=True, settings=settings) as connection:
            rows = connection.sql("select distinct day from analytics.pair_snapshots").fetchall()
        days = {row[0] for row in rows}


def land_late(settings: object) -> date:
    """A trade of both legs, three days old, that no stored bar has."""
    from quant_pipeline import lake
    from quant_pipeline.settings import Settings

    assert isinstance(settings, Settings)
    day = datetime.now(UTC).date() - timedelta(days=LATE_DAYS)
    with lake.connect(settings=settings) as connection:
        connection.execute(
            "insert into raw.ticks select 'binance', symbol, 900000, ?::timestamp + interval"
            " 37000500 millisecond, now()::timestamp, level, 0.1, true"
            " from (values ('BTCUSDT', 61801.0), ('ETHUSDT', 2680.1)) s (symbol, level)",
            [datetime.combine(day, datetime.min.time())],
        )
    return day


def sample(up: subprocess.Popen[bytes], settings: object) -> Sample:
    """What the bars have consumed at this moment, and what each process holds in memory."""
    import psutil

    from quant_pipeline import catalog, lake
    from quant_pipeline.settings import Settings

    assert isinstance(settings, Settings)
    watermarks: dict[str, int] = {}
    with lake.connect(read_only=True, settings=settings) as connection:
        at = datetime.now(UTC).replace(tzinfo=None)
        for table in ("ohlc_1s", "ohlc_1m"):
            row = connection.execute(
                f"select max(src_snapshot) from bars.{table} where bucket >= ?",
                [at - timedelta(hours=1)],
            ).fetchone()
            watermarks[table] = -1 if row is None or row[0] is None else int(row[0])
    rss: Counter[str] = Counter()
    cpu: Counter[str] = Counter()
    processes = psutil.Process(up.pid).children(recursive=True)
    server = catalog.server_pid(settings)
    if server is not None and psutil.pid_exists(server):
        catalog_server = psutil.Process(server)
        processes += [catalog_server, *catalog_server.children()]
    for process in processes:
        try:
            name = soak_report.role(process.cmdline())
            shared = name in ("catalog", "dagster runs")
            rss[name] += process.memory_full_info().pss if shared else process.memory_info().rss
            times = process.cpu_times()
            cpu[name] += times.user + times.system
        except psutil.Error:
            continue  # it has ended since
    return Sample(at=at, watermarks=watermarks, rss=dict(rss), cpu_s=dict(cpu))


if __name__ == "__main__":
    main()
