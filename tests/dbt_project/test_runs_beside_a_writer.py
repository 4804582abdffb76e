"""`dbt run` from a shell: again and again beside a writer and a reader, and killed as it writes."""

from __future__ import annotations

import multiprocessing
import multiprocessing.queues
import multiprocessing.synchronize
import os
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from quant_pipeline import lake
from quant_pipeline.resident_dbt import PROJECT, ResidentDbt
from quant_pipeline.settings import Settings
from tests.dbt_project.histories import tape
from tests.dbt_project.warehouse import BAR_MODELS, assert_bars_equal_polars, land

_DBT = str(Path(sys.executable).with_name("dbt"))
_COMMIT = 20
_SYMBOL = "WRITTEN"


def _trades(count: int) -> pl.DataFrame:
    return tape(_SYMBOL, 5, count)


def _write(
    settings: Settings,
    done: multiprocessing.synchronize.Event,
    written: multiprocessing.queues.Queue[int],
) -> None:
    """Commit every 50 ms until told to stop, as a worker with a short flush does."""
    trades, landed = _trades(200_000), 0
    with lake.connect(settings=settings) as connection:
        while not done.wait(0.05):
            batch = trades[landed : landed + _COMMIT]
            connection.register("batch", batch)
            connection.execute("insert into raw.ticks select * from batch")
            landed += batch.height
    written.put(landed)


def _read(settings: Settings, done: multiprocessing.synchronize.Event) -> None:
    """Hold a read-only connection open and count, as a notebook does; counts never shrink."""
    seen = 0
    with lake.connect(read_only=True, settings=settings) as connection:
        while not done.wait(0.2):
            row = connection.execute("select count(*) from raw.ticks").fetchone()
            assert row is not None
            assert row[0] >= seen
            seen = row[0]


def _start(settings: Settings, *options: str) -> subprocess.Popen[str]:
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | {
        "QUANT_HOME": str(settings.home),
        "QUANT_CATALOG_DSN": settings.catalog_dsn or "",
    }
    generated = ("--target-path", str(settings.home / "t"), "--log-path", str(settings.home / "l"))
    return subprocess.Popen(
        [_DBT, "run", "--select", *BAR_MODELS, *generated, *options],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _run_beside_a_writer_and_a_reader(settings: Settings, dbt: ResidentDbt, runs: int) -> None:
    lake.ensure(settings)
    spawn = multiprocessing.get_context("spawn")
    done, written = spawn.Event(), spawn.Queue()
    processes = [
        spawn.Process(target=_write, args=(settings, done, written), daemon=True),
        spawn.Process(target=_read, args=(settings, done), daemon=True),
    ]
    for process in processes:
        process.start()
    for number in range(runs):
        rebuild = ("--full-refresh",) if number % 5 == 4 else ()  # under a writer's feet, too
        shell = _start(settings, *rebuild)
        output, _ = shell.communicate()
        assert shell.returncode == 0, output[-3000:]
    done.set()
    landed = written.get(timeout=60)
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    dbt.run(select=BAR_MODELS)
    with lake.connect(read_only=True, settings=settings) as connection:
        assert connection.execute("select count(*) from raw.ticks").fetchone() == (landed,)
    assert_bars_equal_polars(settings, _trades(200_000)[:landed], suffixes=("", "_live"))


def test_dbt_runs_beside_a_writer_and_a_reader(settings: Settings, dbt: ResidentDbt) -> None:
    _run_beside_a_writer_and_a_reader(settings, dbt, runs=1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_dbt_runs_twenty_times_beside_a_writer_and_a_reader(
    settings: Settings, dbt: ResidentDbt
) -> None:
    _run_beside_a_writer_and_a_reader(settings, dbt, runs=20)


@pytest.mark.parametrize(
    "table",
    [
        "ohlc_1s",
        pytest.param("ohlc_1m", marks=pytest.mark.slow),
        pytest.param("ohlc_1h", marks=pytest.mark.slow),
    ],
)
def test_bars_are_exact_after_a_run_that_was_killed_while_it_wrote(
    settings: Settings, dbt: ResidentDbt, table: str
) -> None:
    trades = _trades(3_000)
    land(settings, trades[:2_000:2])
    dbt.run(select=BAR_MODELS)
    land(settings, trades[1:2_000:2], trades[2_000:], trades[::9])

    def files() -> set[Path]:
        return set((Path(settings.lake_path) / "bars").glob(f"{table}*/**/*.parquet"))

    before, deadline = files(), time.monotonic() + 120
    shell = _start(settings)
    try:
        while files() == before:
            assert shell.poll() is None, shell.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.002)
    finally:
        shell.kill()
        shell.communicate()
    dbt.run(select=BAR_MODELS)
    assert_bars_equal_polars(settings, trades, suffixes=("", "_live"))
