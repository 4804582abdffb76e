"""The main job, end to end, on the shipped recording: what `quant demo` runs.

A local exchange replays the recorded session over real sockets, the streaming worker captures it
into the lake, Dagster runs dbt and then the statistics and reports, and the result is checked
against the recording. Everything runs offline, on the user's own settings for folders and ports.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import duckdb

from quant_pipeline import catalog, lake
from quant_pipeline.settings import ROOT, Pair, Settings
from quant_pipeline.supervision import quant
from streaming.exchange.market import Trade
from streaming.exchange.recording import SHIPPED, read_events, recording_files
from streaming.exchange.server import LocalExchange

if TYPE_CHECKING:
    import dagster as dg

SYMBOLS = ("BTCUSDT", "ETHUSDT")
PAIR = Pair(*SYMBOLS)
_SPEED = 100.0  # market seconds per second: eleven minutes of trading in seven seconds
_CAPTURE_WITHIN_S = 90.0
_STOP_WITHIN_S = 30.0
_FOLDERS = ("catalog", "dagster", "dbt", "extensions", "lake", "logs", "rejects", "reports")
_FOLDERS_OF_TRADES = ("archive", "spool")


class DemoError(RuntimeError):
    """The demo did not produce what the recording holds."""


class Watch(Protocol):
    """Told how the demo gets on; the command line draws it."""

    def stage(self, title: str, total: int | None = None) -> None:
        """A stage begins; `total` is what `advance` counts up to."""

    def advance(self, done: int) -> None:
        """So much of the current stage is done."""


@dataclass
class Result:
    """What happened, for the closing table."""

    ticks: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """symbol -> (trades, first id, last id)"""
    bars: dict[str, int] = field(default_factory=dict)
    statistics: list[tuple[date, Mapping[str, float | None]]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    reports: list[Path] = field(default_factory=list)


def demo_settings(settings: Settings) -> Settings:
    """The user's settings, with the recording's symbols and pair."""
    return settings.model_copy(update={"symbols": SYMBOLS, "pairs": (PAIR,)})


def clear(settings: Settings, *, force: bool = False) -> None:
    """Delete what the pipeline keeps in the data folder; other people's files there stay.

    Raises:
        DemoError: it holds trades that are not the recording's, and `force` was not given.
    """
    if not settings.home.exists():
        return
    if settings.catalog_dsn is not None:
        raise DemoError("setting 'catalog_dsn' names a catalog of your own; --fresh deletes none")
    if not force and (others := _foreign_trades(settings)):
        raise DemoError(
            f"{settings.home} holds {others} that are not the demo's; "
            "--fresh would delete them. Add --force if you mean it, or set QUANT_HOME elsewhere"
        )
    catalog.destroy(settings)
    for name in (*_FOLDERS, *_FOLDERS_OF_TRADES):
        shutil.rmtree(settings.home / name, ignore_errors=True)


def run(settings: Settings, watch: Watch) -> Result:
    """Run the whole job and check it.

    Raises:
        DemoError: the lake does not hold exactly the recording's trades, or bars disagree.
    """
    settings = demo_settings(settings)
    result = Result()

    @contextmanager
    def stage(title: str, total: int | None = None) -> Iterator[None]:
        started = time.perf_counter()
        watch.stage(title, total)
        yield
        result.seconds[title] = time.perf_counter() - started

    with stage("Start the catalog and the lake"):
        lake.connect(settings=settings).close()
    # Loading Dagster and parsing the dbt project takes as long as the capture: do both at once.
    with ThreadPoolExecutor(1, thread_name_prefix="definitions") as aside:
        loading = aside.submit(_definitions, settings)
        expected = recorded_trades()
        trades = sum(len(ids) for ids in expected.values())
        with _exchange() as exchange, stage("Capture the replayed session", trades):
            _capture(settings, exchange, expected, watch)
        with stage("Resample with dbt"):
            materialise = partial(_materialise, settings, loading.result())
            materialise("bars")
    with lake.connect(read_only=True, settings=settings) as connection:
        days = [row[0] for row in connection.execute(_DAYS).fetchall()]
    with stage("Statistics and reports", len(days)):
        for done, day in enumerate(days, start=1):
            materialise("pair_day", partition_key=f"{day}|{PAIR.key}")
            watch.advance(done)
        materialise("snapshots")
    with (
        stage("Check against the recording"),
        lake.connect(read_only=True, settings=settings) as connection,
    ):
        _check(connection, expected, result)
        _collect(connection, settings, days, result)
    return result


_DAYS = "SELECT DISTINCT bucket::DATE FROM bars.ohlc_1s ORDER BY 1"


def recorded_trades() -> dict[str, list[int]]:
    """Trade ids of the shipped recording, by symbol, in order."""
    ids: dict[str, list[int]] = {symbol: [] for symbol in SYMBOLS}
    for file in recording_files(SHIPPED):
        for event in read_events(file):
            if isinstance(event, Trade):
                ids[event.symbol].append(event.trade_id)
    return ids


# --- capture --------------------------------------------------------------------------------


@contextmanager
def _exchange() -> Iterator[LocalExchange]:
    """The local exchange, on a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="exchange", daemon=True)
    thread.start()
    server = LocalExchange(SHIPPED, speed=_SPEED, start="all")
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(30)
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def _capture(
    settings: Settings, exchange: LocalExchange, expected: Mapping[str, list[int]], watch: Watch
) -> None:
    """Run the worker until the lake holds every trade, then stop it as Ctrl-C would."""
    settings.log_dir.mkdir(parents=True, exist_ok=True)
    log = settings.log_dir / "demo-worker.log"
    environment = {
        **os.environ,
        "QUANT_HOME": str(settings.home),
        "QUANT_SYMBOLS": ",".join(settings.symbols),
        "QUANT_PAIRS": ",".join(map(str, settings.pairs)),
        "QUANT_WS_URL": exchange.ws_url,
        "QUANT_REST_URL": exchange.rest_url,
    }
    with log.open("wb") as output:
        worker = subprocess.Popen(
            quant("stream"), env=environment, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT
        )
        try:
            _wait_for_trades(settings, exchange, expected, watch, worker, log)
        finally:
            if worker.poll() is None:
                worker.send_signal(signal.SIGTERM)
            try:
                code = worker.wait(_STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                worker.kill()
                code = worker.wait()
    if code:
        raise DemoError(f"the worker ended with code {code}; its log is {log}")


def _wait_for_trades(
    settings: Settings,
    exchange: LocalExchange,
    expected: Mapping[str, list[int]],
    watch: Watch,
    worker: subprocess.Popen[bytes],
    log: Path,
) -> None:
    deadline = time.monotonic() + _CAPTURE_WITHIN_S
    total = sum(len(ids) for ids in expected.values())
    with lake.connect(read_only=True, settings=settings) as connection:
        while True:
            played = sum(exchange.trade_count(symbol) for symbol in expected)
            landed = sum(len(ids) for ids in _landed(connection, expected).values())
            watch.advance(min(landed, played))
            if landed == played == total:
                return
            if worker.poll() is not None:
                raise DemoError(f"the worker ended with code {worker.returncode}; see {log}")
            if time.monotonic() > deadline:
                raise DemoError(
                    f"only {landed:,} of {total:,} trades landed in {_CAPTURE_WITHIN_S:.0f} s; "
                    f"the worker's log is {log}"
                )
            time.sleep(0.2)


def _landed(
    connection: duckdb.DuckDBPyConnection, expected: Mapping[str, list[int]]
) -> dict[str, list[int]]:
    """Trade ids in the lake within the recording's range, once each, in order."""
    return {
        symbol: [
            row[0]
            for row in connection.execute(
                "SELECT DISTINCT trade_id FROM raw.ticks"
                " WHERE symbol = ? AND trade_id BETWEEN ? AND ? ORDER BY 1",
                [symbol, ids[0], ids[-1]],
            ).fetchall()
        ]
        for symbol, ids in expected.items()
    }


def _foreign_trades(settings: Settings) -> str | None:
    """The trades here that are not the recording's, in words; None without any."""
    for name in _FOLDERS_OF_TRADES:
        if files := sum(path.is_file() for path in (settings.home / name).rglob("*")):
            return f"{files:,} files of trades in {settings.home / name}"
    expected = recorded_trades()
    within = " OR ".join(
        f"(symbol = '{symbol}' AND trade_id BETWEEN {ids[0]} AND {ids[-1]})"
        for symbol, ids in expected.items()
    )
    with lake.connect(read_only=True, settings=settings) as connection:
        row = connection.execute(f"SELECT count(*) FROM raw.ticks WHERE NOT ({within})").fetchone()
    assert row is not None
    return f"{row[0]:,} trades" if row[0] else None


# --- Dagster --------------------------------------------------------------------------------


def _definitions(settings: Settings) -> dg.Definitions:
    """What `dagster dev` would load, on the instance that it shows."""
    os.environ["DAGSTER_HOME"] = str(ROOT / "quant_pipeline" / "dagster_home")

    from quant_pipeline.defs import build

    return build(settings)


def _materialise(
    settings: Settings,
    definitions: dg.Definitions,
    job_name: str,
    *,
    partition_key: str | None = None,
) -> None:
    """Run a Dagster job in this process.

    Raises:
        DemoError: the job failed.
    """
    import dagster as dg

    from quant_pipeline.defs.partitions import add_pairs

    job = definitions.resolve_job_def(job_name)
    quiet: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    log = settings.log_dir / "demo-dagster.log"
    with (
        dg.DagsterInstance.get() as instance,
        log.open("a", encoding="utf-8") as output,
        redirect_stdout(output),  # dbt's own lines
    ):
        add_pairs(instance, settings.pairs)
        outcome = job.execute_in_process(
            instance=instance,
            partition_key=partition_key,
            run_config=quiet,
            raise_on_error=False,
        )
    if not outcome.success:
        raise DemoError(
            f"Dagster job {job_name!r} failed: {'; '.join(_reasons(outcome))}; "
            f"see {log} and the run in the Dagster UI"
        )


def _reasons(outcome: dg.ExecuteInProcessResult) -> list[str]:
    """Why each failed step failed, without stack traces."""
    failures = [event.step_failure_data for event in outcome.all_events if event.is_step_failure]
    return [each.error.message.strip() for each in failures if each.error is not None]


# --- check ----------------------------------------------------------------------------------


def _check(
    connection: duckdb.DuckDBPyConnection, expected: Mapping[str, list[int]], result: Result
) -> None:
    landed = _landed(connection, expected)
    for symbol, ids in expected.items():
        if landed[symbol] != ids:
            missing = len(set(ids) - set(landed[symbol]))
            raise DemoError(f"{symbol}: {missing:,} of {len(ids):,} recorded trades are missing")
        result.ticks[symbol] = (len(ids), ids[0], ids[-1])
        for timeframe in ("1s", "1m", "5m", "1h"):
            row = connection.execute(
                f"SELECT sum(trade_count)::BIGINT, count(*) FROM bars.ohlc_{timeframe}"
                " WHERE symbol = ? AND first_trade_id >= ? AND last_trade_id <= ?",
                [symbol, ids[0], ids[-1]],
            ).fetchone()
            assert row is not None
            if row[0] != len(ids):
                raise DemoError(f"{symbol}: {timeframe} bars hold {row[0]} of {len(ids)} trades")
            result.bars[timeframe] = result.bars.get(timeframe, 0) + row[1]


def _collect(
    connection: duckdb.DuckDBPyConnection, settings: Settings, days: list[date], result: Result
) -> None:
    for day in days:
        row = connection.execute(
            "SELECT metrics FROM analytics.pair_snapshots WHERE y = ? AND x = ? AND day = ?"
            " ORDER BY taken_at DESC LIMIT 1",
            [PAIR.y, PAIR.x, day],
        ).fetchone()
        if row is None:
            raise DemoError(f"no statistics were published for {PAIR} on {day}")
        result.statistics.append((day, row[0]))
        report = settings.reports_dir / "pair" / PAIR.key / f"{day}.html"
        if not report.is_file():
            raise DemoError(f"the report {report} was not written")
        result.reports.append(report)
