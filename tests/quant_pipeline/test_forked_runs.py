"""Runs forked from a process that has everything imported compute as any other process does."""

from __future__ import annotations

import os
import sys
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import pytest
from dagster._grpc.server import DagsterApiServer

from quant_pipeline import forked_runs


def _look(found: Queue[dict[str, Any]]) -> None:
    """In the forked process: what was there, and whether every library works after a fork."""
    there = [name for name in forked_runs.PRELOADED if name in sys.modules]
    tasks = Path("/proc/self/task")
    threads = len(list(tasks.iterdir())) if tasks.is_dir() else 1
    import duckdb
    import numpy as np
    import polars as pl

    values = np.random.default_rng(7).normal(size=(200, 200))
    frame = pl.DataFrame({"group": [1, 2] * 5_000, "value": range(10_000)})
    found.put(
        {
            "there": there,
            "threads": threads,
            "parent": os.getppid(),
            "determinant": float(np.linalg.slogdet(values @ values.T)[1]),
            "polars": frame.group_by("group").agg(pl.col("value").sum())["value"].sum(),
            "duckdb": duckdb.sql("select sum(range) from range(1000000)").fetchone(),
        }
    )


@pytest.mark.slow
def test_a_run_begins_with_everything_imported_and_every_library_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("QUANT_HOME", str(tmp_path))  # the definitions are loaded there
    context = forked_runs.context()
    found: Any = context.Queue()
    process = context.Process(target=_look, args=(found,))  # type: ignore[attr-defined]
    process.start()
    seen = found.get(timeout=120)
    process.join(60)
    assert process.exitcode == 0
    assert seen["there"] == list(forked_runs.PRELOADED)
    assert seen["threads"] == 1
    assert seen["parent"] != os.getpid()
    assert seen["polars"] == sum(range(10_000))
    assert seen["duckdb"] == (sum(range(1_000_000)),)


def test_dagsters_code_server_starts_runs_there() -> None:
    forked_runs.replace_context()
    try:
        server = object.__new__(DagsterApiServer)
        server._mp_ctx = None  # type: ignore[assignment]
        assert server._mp_ctx is forked_runs.context()
    finally:
        del DagsterApiServer._mp_ctx
