"""Dagster runs that start at once, forked from a process that has imported everything already.

Dagster's code server starts each run in a fresh interpreter, which imports Dagster, dbt's adapter,
the definitions and the statistics again: most of what a short run costs, each minute for each pair.
Python's own `forkserver` does that once: the server process imports `PRELOADED` and nothing else,
has no threads, and each run is a fork of it, still a process of its own.

Dagster has no option for it, so the code server's multiprocessing context is replaced here, by a
non-public name: the version of Dagster is pinned and a test guards it. Where there is no fork,
runs start as Dagster starts them.
"""

from __future__ import annotations

import multiprocessing
import sys
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import BaseContext
from typing import Any, Final

PRELOADED: Final = (
    "quant_pipeline.definitions",
    "dagster._grpc.impl",
    "quant_pipeline.research.pair",
    "quant_pipeline.research.pair_window",
    "reports.pair",
)
"""What is imported before a run begins."""

_METHOD = "forkserver"


@cache
def context() -> BaseContext:
    """The context whose processes have imported `PRELOADED`."""
    found = multiprocessing.get_context(_METHOD)
    found.set_forkserver_preload(list(PRELOADED))
    return found


def install() -> None:
    """Let this process's code server, if it is one, start runs from `context()`."""
    if not _is_code_server() or _METHOD not in multiprocessing.get_all_start_methods():
        return
    replace_context()
    context()
    forkserver.ensure_running()  # it imports while nothing is asked of it yet


def replace_context() -> None:
    """Give Dagster's code server our multiprocessing context."""
    from dagster._grpc.server import DagsterApiServer

    server: Any = DagsterApiServer
    # A data descriptor of the class wins over what the server has put into the instance.
    server._mp_ctx = property(lambda _server: context(), lambda _server, _spawn: None)


def _is_code_server() -> bool:
    return "code-server" in sys.orig_argv or {"api", "grpc"} <= set(sys.orig_argv)
