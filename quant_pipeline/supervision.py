"""The processes of `quant up`: one terminal, restarts after a crash, one Ctrl-C for all.

honcho runs the processes and interleaves their output, but ends everything when one process ends.
So a process that may be restarted runs under a keeper of its own: this module as a program.

    python -m quant_pipeline.supervision -- python -m quant_pipeline stream
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from quant_pipeline.settings import ROOT

# Long enough for the worker's last commit and for Dagster to end its runs.
_STOP_WITHIN_S: Final = 30
_FIRST_WAIT_S: Final = 0.5
_LONGEST_WAIT_S: Final = 30.0
_HEALTHY_AFTER_S: Final = 60.0


@dataclass(frozen=True)
class Process:
    """One process of `quant up`."""

    name: str
    command: Sequence[str]
    restart: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def command_line(self) -> str:
        """The shell command; `exec` so that signals reach the program and not a shell."""
        keeper = [sys.executable, "-m", "quant_pipeline.supervision", "--"] if self.restart else []
        return "exec " + shlex.join([*keeper, *self.command])


def quant(*arguments: str) -> list[str]:
    """The command line of `quant` in this environment."""
    return [sys.executable, "-m", "quant_pipeline", *arguments]


def run(processes: Sequence[Process]) -> int:
    """Run until Ctrl-C, SIGTERM or the end of a process that is not restarted.

    Returns:
        The exit code: 0 after Ctrl-C or SIGTERM, else that of the process that ended first.
    """
    from honcho import manager as honcho_manager

    honcho_manager.KILL_WAIT = _STOP_WITHIN_S
    manager = honcho_manager.Manager()
    for process in processes:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PWD": str(ROOT)}
        environment.update(process.environment)
        manager.add_process(process.name, process.command_line, env=environment, cwd=str(ROOT))
    manager.loop()
    stopped = {honcho_manager.SIGNALS[number]["rc"] for number in honcho_manager.SIGNALS}
    return 0 if manager.returncode in stopped else int(manager.returncode or 0)


def next_wait(wait_s: float, ran_s: float) -> float:
    """Seconds to wait before a restart: doubled each time, from the start after a healthy run."""
    if ran_s >= _HEALTHY_AFTER_S:
        return _FIRST_WAIT_S
    return min(wait_s * 2, _LONGEST_WAIT_S)


def keep(command: Sequence[str]) -> int:
    """Run `command`, again whenever it fails, until it ends well or we are told to stop."""
    stopping = threading.Event()
    child: subprocess.Popen[bytes] | None = None

    def stop(number: int, _frame: object) -> None:
        stopping.set()
        if child is not None and child.poll() is None:
            child.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    wait_s = _FIRST_WAIT_S / 2
    while not stopping.is_set():
        started = time.monotonic()
        child = subprocess.Popen(command)
        code = child.wait()
        if stopping.is_set() or code == 0:
            return code
        wait_s = next_wait(wait_s, time.monotonic() - started)
        print(f"ended with {code}; restarting in {wait_s:.1f} s", flush=True)  # noqa: T201
        stopping.wait(wait_s)
    return 0


if __name__ == "__main__":
    sys.exit(keep(sys.argv[sys.argv.index("--") + 1 :]))
