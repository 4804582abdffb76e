"""Supervision: a crash is restarted, an end is an end, one signal stops all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from quant_pipeline.supervision import Process, next_wait

_FAILS_TWICE = """
import pathlib, sys
runs = pathlib.Path(sys.argv[1])
n = int(runs.read_text() or 0) + 1
runs.write_text(str(n))
sys.exit(3 if n < 3 else 0)
"""


def _keeper(*command: str) -> list[str]:
    return [sys.executable, "-m", "quant_pipeline.supervision", "--", *command]


def test_a_process_that_fails_is_run_again_until_it_ends_well(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.write_text("")
    done = subprocess.run(
        _keeper(sys.executable, "-c", _FAILS_TWICE, str(runs)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert runs.read_text() == "3"
    assert done.stdout.count("ended with 3; restarting in") == 2


def test_sigterm_reaches_the_process_and_it_is_not_restarted(tmp_path: Path) -> None:
    started, stopped = tmp_path / "started", tmp_path / "stopped"
    program = (
        "import pathlib, signal, sys, threading\n"
        "def stop(*_): pathlib.Path(sys.argv[2]).touch(); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "pathlib.Path(sys.argv[1]).touch()\n"
        "threading.Event().wait(60)\n"
    )
    keeper = subprocess.Popen(_keeper(sys.executable, "-c", program, str(started), str(stopped)))
    deadline = time.monotonic() + 30
    while not started.exists():
        assert time.monotonic() < deadline, "the process never started"
        time.sleep(0.02)
    keeper.send_signal(signal.SIGTERM)
    assert keeper.wait(30) == 0
    assert stopped.exists()


def test_waits_double_up_to_a_cap_and_start_over_after_a_healthy_run() -> None:
    waits = [0.25]
    for _ in range(10):
        waits.append(next_wait(waits[-1], ran_s=1.0))
    assert waits[1:4] == [0.5, 1.0, 2.0]
    assert max(waits) == 30.0
    assert next_wait(30.0, ran_s=3600.0) == 0.5


def test_a_command_line_survives_the_shell() -> None:
    words = [sys.executable, "-c", "import sys; print(sys.argv[1:])", "a b", "$HOME", "'"]
    process = Process("echo", words, restart=False)
    done = subprocess.run(
        process.command_line, shell=True, capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == str(["a b", "$HOME", "'"])
