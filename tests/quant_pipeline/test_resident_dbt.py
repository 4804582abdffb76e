"""dbt takes turns: one run at a time, from a shell, in a process, or resident."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import psycopg
import pytest
from dbt.cli.main import dbtRunnerResult
from dbt.contracts.graph.manifest import Manifest

from quant_pipeline import dbt_plugin, lake
from quant_pipeline.resident_dbt import PROJECT, DbtError, ResidentDbt
from quant_pipeline.settings import Settings

_TICK = (
    "insert into raw.ticks values ('binance', 'BTCUSDT', ?,"
    " timestamp '2024-08-08' + to_seconds(?), timestamp '2024-08-08', 60000, 1, false)"
)


@pytest.fixture
def dbt(settings: Settings, dbt_manifest: Manifest) -> ResidentDbt:
    return ResidentDbt(settings, manifest=dbt_manifest)


def _environment(settings: Settings) -> Mapping[str, str]:
    """What a shell has, and which lake: nothing that dbt itself would look for."""
    names = ("PATH", "HOME", "LANG")
    return {name: os.environ[name] for name in names if name in os.environ} | {
        "QUANT_HOME": str(settings.home),
        "QUANT_CATALOG_DSN": settings.catalog_dsn or "",
    }


def _dbt(settings: Settings, *arguments: str, cwd: Path) -> subprocess.Popen[str]:
    command = [str(Path(sys.executable).with_name("dbt")), *arguments]
    generated = ["--target-path", str(settings.home / "t"), "--log-path", str(settings.home / "l")]
    return subprocess.Popen(
        [*command, *generated],
        cwd=cwd,
        env=dict(_environment(settings)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def _held_lock(settings: Settings) -> Iterator[None]:
    dsn = lake.ensure(settings)
    with psycopg.connect(dsn, autocommit=True, application_name="quant dbt test") as connection:
        connection.execute("select pg_advisory_lock(hashtext('dbt'))")
        yield


def _is_free(settings: Settings) -> bool:
    with psycopg.connect(lake.ensure(settings), autocommit=True) as connection:
        row = connection.execute("select pg_try_advisory_lock(hashtext('dbt'))").fetchone()
    return row == (True,)


def test_a_run_whose_duckdb_died_is_made_again_on_a_fresh_one(
    settings: Settings, dbt: ResidentDbt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As "value count mismatch", which DuckDB raised within a merge, leaves an instance."""
    real, asked = dbt._invoke, []

    def invoke(arguments: Sequence[str]) -> dbtRunnerResult:
        asked.append(list(arguments))
        if len(asked) == 1:
            died = duckdb.InternalException("INTERNAL Error: value count mismatch")
            return dbtRunnerResult(success=False, exception=died)
        return real(arguments)

    with lake.connect(settings=settings) as connection:
        connection.execute(_TICK, [1, 1])
    monkeypatch.setattr(dbt, "_invoke", invoke)
    dbt.run(select=["+ohlc_1m"])
    assert len(asked) == 2
    assert asked[0] == asked[1]
    with lake.connect(settings=settings) as connection:
        assert connection.execute("select count(*) from bars.ohlc_1m").fetchone() == (1,)


def test_the_lock_and_duckdb_are_given_back_after_each_run(
    settings: Settings, dbt: ResidentDbt
) -> None:
    for number in range(3):
        with lake.connect(settings=settings) as connection:
            connection.execute(_TICK, [number, number])
        dbt.run(select=["+ohlc_1m"])
        assert _is_free(settings)
        assert not dbt_plugin._held
        with lake.connect(settings=settings) as connection:
            count = connection.execute("select sum(trade_count) from bars.ohlc_1m").fetchone()
        assert count == (number + 1,)


def test_a_failure_names_the_model_and_gives_the_lock_back(
    settings: Settings, dbt: ResidentDbt
) -> None:
    with lake.connect(settings=settings) as connection:
        connection.execute(_TICK, [1, 0])
        connection.execute("create table bars.ohlc_1s as select 1 as not_a_bar")
    with pytest.raises(DbtError, match=r"(?s)ohlc_1s.*src_snapshot"):
        dbt.run(select=["+ohlc_1s"])
    assert _is_free(settings)
    dbt.run(select=["+ohlc_1s"], full_refresh=True)  # a rebuild is the remedy


def test_a_resident_run_waits_for_the_holder_of_the_lock(
    settings: Settings, dbt: ResidentDbt
) -> None:
    done = threading.Event()

    def run() -> None:
        dbt.run(select=["stg_ticks"])
        done.set()

    with _held_lock(settings):
        thread = threading.Thread(target=run)
        thread.start()
        deadline = time.monotonic() + 30
        while not _is_waited_for(settings):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert not done.is_set()
    thread.join(60)
    assert done.is_set()


def _is_waited_for(settings: Settings) -> bool:
    with psycopg.connect(lake.ensure(settings), autocommit=True) as connection:
        row = connection.execute(
            "select count(*) from pg_locks join pg_stat_activity using (pid)"
            " where locktype = 'advisory' and not granted and application_name like 'quant dbt %'"
        ).fetchone()
    return row is not None and row[0] > 0


@pytest.mark.parametrize("elsewhere", [False, True])
def test_dbt_runs_from_a_bare_shell_and_a_second_one_waits_with_a_message(
    settings: Settings, tmp_path: Path, elsewhere: bool
) -> None:
    places = ("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)) if elsewhere else ()
    with _held_lock(settings):
        process = _dbt(
            settings,
            "run",
            *places,
            "--select",
            "stg_ticks",
            cwd=tmp_path if elsewhere else PROJECT,
        )
        try:
            assert process.stdout is not None
            heard = ""
            while "waiting for it" not in heard:
                line = process.stdout.readline()
                assert line, heard
                heard += line
        except BaseException:
            process.kill()
            raise
    rest, _ = process.communicate(timeout=120)
    assert "another dbt run holds the lake (quant dbt test, since" in heard
    assert process.returncode == 0, rest


def test_more_than_one_thread_is_refused(settings: Settings) -> None:
    process = _dbt(settings, "run", "--threads", "2", "--select", "stg_ticks", cwd=PROJECT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "one thread, not 2; leave --threads out" in output
