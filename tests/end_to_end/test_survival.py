"""kill -9 of a run, of the catalog and of the daemon: afterwards everything is caught up."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path

import duckdb
import psutil
import psycopg
import pytest

from quant_pipeline import catalog, lake
from quant_pipeline.defs import freshness
from quant_pipeline.defs.partitions import PairDay
from quant_pipeline.research.pair import analyse, load
from quant_pipeline.resident_dbt import ResidentDbt
from quant_pipeline.resident_loop import LOCK
from quant_pipeline.settings import ROOT, Pair, Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

PAIR = Pair("BTCUSDT", "ETHUSDT")
FIRST, SECOND = date(2024, 8, 8), date(2024, 8, 9)
WITHIN_S = 400.0
_AWAY = (duckdb.Error, psycopg.Error, catalog.CatalogError, lake.LakeError)

_TICKS = """
insert into raw.ticks
select 'binance', symbol, {first} + r, timestamp '{day} 10:00:00' + r * interval '{step} seconds',
    now()::timestamp, level * exp(hash(r, symbol) % 1000 / 1e6), 0.5, r % 2 = 0
from range({count}) as t (r)
cross join (values ('BTCUSDT', 60000.0), ('ETHUSDT', 2500.0)) as s (symbol, level)
"""


class Orchestration:
    """`dagster dev` on a lake whose bars this test keeps."""

    def __init__(self, settings: Settings, environment: dict[str, str]) -> None:
        self.settings = settings
        self.environment = environment
        self.process: subprocess.Popen[bytes] | None = None
        self._next_id = 1

    def start(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        command = [sys.executable, "-m", "dagster", "dev", "-w", str(ROOT / "workspace.yaml")]
        with (self.settings.home.parent / "dagster.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "-p", str(port)],
                env=self.environment,
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def stop(self) -> None:
        if self.process is None:
            return
        children = self.processes("")
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(60)
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        self.process.wait(30)

    def processes(self, sign: str) -> list[psutil.Process]:
        """What `dagster dev` has started whose command line holds `sign`."""
        assert self.process is not None
        found = []
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                with suppress(psutil.Error):
                    if sign in " ".join(child.cmdline()):
                        found.append(child)
        return found

    def land(self, day: date, *, count: int = 20, step: int = 7) -> None:
        """Ticks of a date, and the bars of them."""
        with lake.connect(settings=self.settings) as connection:
            connection.execute(_TICKS.format(first=self._next_id, day=day, count=count, step=step))
        self._next_id += count
        ResidentDbt(self.settings).run()

    def is_caught_up(self) -> bool:
        """Whether both dates' newest statistics are of the bars that are there now."""
        try:
            with lake.connect(read_only=True, settings=self.settings) as connection:
                changes = freshness.changed_days(
                    connection, self.settings.pair_timeframe, since=freshness.NEVER
                )
                done = freshness.published(connection, self.settings)
        except _AWAY:
            return False
        wanted = freshness.changed_pairs(changes, [PAIR], first_day=self.settings.first_day)
        return all(done.get(key, freshness.NEVER) >= at for key, at in wanted.items())


@pytest.fixture
def orchestration(
    tmp_path: Path, shell_environment: Callable[[Path], dict[str, str]]
) -> Iterator[Orchestration]:
    settings = Settings(home=tmp_path / "data", statistics_interval_s=10)
    environment = shell_environment(settings.home) | {
        "QUANT_STATISTICS_INTERVAL_S": "10",
        "DAGSTER_HOME": str(ROOT / "quant_pipeline" / "dagster_home"),
    }
    running = Orchestration(settings, environment)
    try:
        with _bars_are_ours(settings):
            yield running
    finally:
        running.stop()
        catalog.destroy(settings)


@contextmanager
def _bars_are_ours(settings: Settings) -> Iterator[None]:
    """Keep the sensor from running dbt; the lock goes with the catalog when that is killed."""
    try:
        with catalog.advisory_lock(lake.ensure(settings), LOCK):
            yield
    except psycopg.OperationalError:
        return


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {WITHIN_S:.0f} s: {what}"
        time.sleep(0.2)


def _kill_one(find: Callable[[], list[psutil.Process]], what: str) -> None:
    _wait(lambda: bool(find()), what)
    find()[0].kill()


def test_everything_is_caught_up_and_nothing_is_published_with_two_results(
    orchestration: Orchestration,
) -> None:
    orchestration.land(FIRST, count=600, step=1)
    orchestration.land(SECOND, count=600, step=1)
    orchestration.start()
    _wait(orchestration.is_caught_up, "the first statistics")

    orchestration.land(FIRST)
    known = {child.pid for child in orchestration.processes("multiprocessing")}
    _kill_one(
        lambda: [
            child
            for child in orchestration.processes("multiprocessing")
            if child.pid not in known and "resource_tracker" not in " ".join(child.cmdline())
        ],
        "a run to kill",
    )
    _wait(orchestration.is_caught_up, "the date whose run was killed")

    orchestration.land(SECOND)
    server = catalog.server_pid(orchestration.settings)
    assert server is not None
    psutil.Process(server).kill()
    _wait(orchestration.is_caught_up, "the date during which the catalog was killed")

    _kill_one(lambda: orchestration.processes("dagster._daemon"), "the daemon")
    orchestration.stop()
    orchestration.land(FIRST)
    orchestration.start()
    _wait(orchestration.is_caught_up, "the date that changed while nothing ran")
    orchestration.stop()
    _check_rows(orchestration.settings)


def _check_rows(settings: Settings) -> None:
    """The newest row of each date is what is computed now; no snapshot has two results."""
    with lake.connect(read_only=True, settings=settings) as connection:
        for day in (FIRST, SECOND):
            bars = load(connection, venue="binance", pair=PAIR, day=day, timeframe="1s")
            expected = analyse(bars, window=settings.rolling_window).metrics()
            row = connection.execute(
                "select metrics from analytics.pair_snapshots where day = ?"
                " order by taken_at desc limit 1",
                [day],
            ).fetchone()
            assert row is not None
            expected.pop("lake_snapshot")
            assert {name: row[0][name] for name in expected} == expected, PairDay(day, PAIR).key
        doubles = connection.sql(
            "select day, lake_snapshot from analytics.pair_snapshots"
            " group by all having count(*) > 1"
        ).fetchall()
    assert doubles == []
