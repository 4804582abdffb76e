"""The product as a person runs it: `quant demo`, then `dagster dev`, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from quant_pipeline import catalog
from quant_pipeline.settings import ROOT, Settings

_DEMO_WITHIN_S = 600
_UI_WITHIN_S = 240
_LOADED = (
    "{ workspaceOrError { ... on Workspace { locationEntries"
    " { locationOrLoadError { __typename } } } } }"
)


@dataclass(frozen=True)
class Demo:
    """One run of `quant demo`."""

    home: Path
    output: str

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home)


def environment(home: Path) -> dict[str, str]:
    """What a shell would export, with this environment's programs on the PATH."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DAGSTER_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**kept, "QUANT_HOME": str(home), "PATH": path, "PWD": str(ROOT), "COLUMNS": "120"}


def _quant(home: Path, *arguments: str) -> str:
    """Run `quant` and return what it printed; raises CalledProcessError if it fails."""
    return subprocess.run(
        ["quant", *arguments],
        env=environment(home),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=_DEMO_WITHIN_S,
        check=True,
    ).stdout


def _run_demo(home: Path) -> Demo:
    try:
        return Demo(home, _quant(home, "demo"))
    except subprocess.CalledProcessError as error:
        raise AssertionError(f"quant demo failed: {error.stdout}{error.stderr}") from error


@pytest.fixture(scope="session")
def shell_environment() -> Callable[[Path], dict[str, str]]:
    """What a shell would export, for a data folder."""
    return environment


@pytest.fixture(scope="session")
def quant() -> Callable[..., str]:
    """Runs `quant` in a data folder."""
    return _quant


@pytest.fixture(scope="session")
def run_demo() -> Callable[[Path], Demo]:
    """Runs `quant demo` in a data folder."""
    return _run_demo


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """`quant demo` in an empty data folder."""
    home = tmp_path_factory.mktemp("demo") / "data"
    yield _run_demo(home)
    catalog.destroy(Settings(home=home))


@pytest.fixture(scope="module")
def dagster_ui(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the UI of plain `dagster dev`, its definitions loaded."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("dagster") / "dev.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            ["dagster", "dev", "-p", str(port)],
            env=environment(demo.home),
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_loaded(address, server, log)
        yield address
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)


def _wait_until_loaded(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _UI_WITHIN_S
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            answer = httpx.post(f"{address}/graphql", json={"query": _LOADED}, timeout=10)
            if '"RepositoryLocation"' in answer.text:
                return
            assert "PythonError" not in answer.text, answer.text
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"no UI within {_UI_WITHIN_S} s: {log.read_text()}")


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """A real Chromium; its absence is a failure, not a skip."""
    found = shutil.which("chromium")
    assert found, "the browser tests need Chromium: apt-get install chromium"
    return found
