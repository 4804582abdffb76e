"""`dbt run` from a shell, again and again, while a worker writes and a notebook reads."""

from __future__ import annotations

import multiprocessing
import multiprocessing.queues
import multiprocessing.synchronize
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from quant_pipeline import lake
from quant_pipeline.resident_dbt import PROJECT, ResidentDbt
from quant_pipeline.settings import Settings
from tests.dbt_project.histories import tape
from tests.dbt_project.warehouse import assert_bars_equal_polars

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


def _shell(settings: Settings) -> None:
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | {
        "QUANT_HOME": str(settings.home),
        "QUANT_CATALOG_DSN": settings.catalog_dsn or "",
    }
    generated = ("--target-path", str(settings.home / "t"), "--log-path", str(settings.home / "l"))
    done = subprocess.run(
        [_DBT, "run", "--select", "staging", "bars", *generated],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]


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
    for _ in range(runs):
        _shell(settings)
    done.set()
    landed = written.get(timeout=60)
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    dbt.run(select=["staging", "bars"])
    with lake.connect(read_only=True, settings=settings) as connection:
        assert connection.execute("select count(*) from raw.ticks").fetchone() == (landed,)
    assert_bars_equal_polars(settings, _trades(200_000)[:landed], suffixes=("", "_live"))


def test_dbt_runs_beside_a_writer_and_a_reader(settings: Settings, dbt: ResidentDbt) -> None:
    _run_beside_a_writer_and_a_reader(settings, dbt, runs=2)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_dbt_runs_twenty_times_beside_a_writer_and_a_reader(
    settings: Settings, dbt: ResidentDbt
) -> None:
    _run_beside_a_writer_and_a_reader(settings, dbt, runs=20)
