"""`quant up --replay`: the whole pipeline in one terminal, and one Ctrl-C."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from quant_pipeline import catalog, lake
from quant_pipeline.settings import ROOT, Settings

pytestmark = pytest.mark.timeout(900)

_WITHIN_S = 300


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {_WITHIN_S} s: {what}"
        time.sleep(0.5)


def _count(settings: Settings, table: str) -> int:
    try:
        with lake.connect(read_only=True, settings=settings) as connection:
            row = connection.sql(f"SELECT count(*) FROM {table}").fetchone()
    except Exception as error:
        if "does not exist" in str(error):
            return 0
        raise
    assert row is not None
    return int(row[0])


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def test_it_captures_resamples_serves_and_stops_at_ctrl_c(
    tmp_path: Path, shell_environment: Callable[[Path], dict[str, str]]
) -> None:
    settings = Settings(home=tmp_path / "data")
    ports: dict[str, Any] = {
        f"QUANT_{name}_PORT": str(_free_port()) for name in ("DAGSTER", "EXCHANGE", "METRICS")
    }
    log = tmp_path / "up.log"
    with log.open("wb") as output:
        up = subprocess.Popen(
            ["quant", "up", "--replay"],
            env=shell_environment(settings.home) | ports,
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    children: list[psutil.Process] = []
    try:
        _wait(lambda: _count(settings, "raw.ticks") > 100 or up.poll() is not None, "ticks landed")
        _wait(lambda: _count(settings, "bars.ohlc_1s") > 10 or up.poll() is not None, "bars")
        address = f"http://127.0.0.1:{ports['QUANT_DAGSTER_PORT']}"
        _wait(lambda: _answers(f"{address}/server_info") or up.poll() is not None, "the UI")
        assert up.poll() is None, log.read_text()
        children = psutil.Process(up.pid).children(recursive=True)
        worker = next(
            child
            for child in children
            if child.cmdline()[-3:] == ["-m", "quant_pipeline", "stream"]
            and "quant_pipeline.supervision" not in child.cmdline()
        )
        worker.kill()
        before = _count(settings, "raw.ticks")
        _wait(lambda: _count(settings, "raw.ticks") > before, "ticks after the worker was killed")
        children = psutil.Process(up.pid).children(recursive=True)
    finally:
        up.send_signal(signal.SIGINT)
        code = up.wait(90)
    assert code == 0, log.read_text()
    gone, alive = psutil.wait_procs(children, timeout=10)
    assert gone
    assert alive == []
    assert not catalog.is_up(catalog.locate(settings).dsn())
    catalog.destroy(settings)
