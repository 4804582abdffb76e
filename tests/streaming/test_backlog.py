"""Batches wait in order, in memory and then on disk, until the lake takes them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from capture_runs import until
from test_landing import SEALED_US, batch

from streaming.backlog import SPOOL_DAMAGED, Backlog
from streaming.batch import Batch
from streaming.clock import Clock, SystemClock
from streaming.fit import Fitted
from streaming.gaps import GapChanges, GapRow
from streaming.landing import Landing
from streaming.spool import Spool, decode


class GatedLanding(Landing):
    """Fails while the lake is away; remembers what landed, in order."""

    def __init__(self) -> None:
        self.is_away = False
        self.hangs = threading.Event()
        self.hangs.set()
        self.calls = 0
        self.landed: list[int] = []
        self.fitted: list[tuple[int, str]] = []
        self.gaps: list[GapRow] = []

    def commit(self, batch: Batch, *, may_be_landed: bool) -> bool:
        self.calls += 1
        self.hangs.wait()
        if self.is_away:
            raise duckdb.IOException("the lake is away")
        if batch.sequence in self.landed:
            assert may_be_landed
            return False
        self.landed.append(batch.sequence)
        self.gaps += batch.gaps.rows
        return True

    def ask(self, question: Callable[[Any], Any]) -> Any:
        return question(None)

    def fit(self, batch: Batch, cause: str) -> Fitted:
        self.fitted.append((batch.sequence, cause))
        return Fitted(batch)

    def close(self) -> None:
        pass


class SteppedClock(SystemClock):
    """The machine's, some seconds ahead."""

    ahead_s = 0.0

    def steady_s(self) -> float:
        return super().steady_s() + self.ahead_s


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@asynccontextmanager
async def backlog_of(
    landing: Landing,
    folder: Path,
    *,
    spool_above_rows: int = 10**6,
    max_bytes: int = 10**9,
    on_declared: Callable[[tuple[GapRow, ...]], None] = lambda _rows: None,
    clock: Clock | None = None,
) -> AsyncIterator[Backlog]:
    backlog = Backlog(
        landing,
        Spool(folder, max_bytes),
        clock or SystemClock(),
        spool_above_rows=spool_above_rows,
        on_declared=on_declared,
    )
    task = asyncio.create_task(backlog.run())
    try:
        yield backlog
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await backlog.park()
        await backlog.close(wait_s=0.3)


async def test_an_outage_is_spooled_and_drained_in_order(tmp_path: Path) -> None:
    landing = GatedLanding()
    async with backlog_of(landing, tmp_path, spool_above_rows=20) as backlog:
        landing.is_away = True
        for sequence in range(40):
            backlog.put(batch(sequence, 5 * sequence))
        await until(lambda: backlog.memory_rows <= 20)
        assert backlog.spooled_files >= 30
        assert "away" in (backlog.last_error or "")
        assert backlog.failing_s > 0
        landing.is_away = False
        assert await backlog.drained(30)
        assert landing.landed == list(range(40))
        assert (backlog.memory_rows, backlog.spooled_files, backlog.failing_s) == (0, 0, 0)


async def test_what_an_earlier_run_spooled_lands_first(tmp_path: Path) -> None:
    landing = GatedLanding()
    landing.is_away = True
    async with backlog_of(landing, tmp_path) as backlog:
        for sequence in range(3):
            backlog.put(batch(sequence))
        assert not await backlog.drained(0.3)
    assert len(Spool(tmp_path, 10**9)) == 3
    landing.is_away = False
    landing.landed = [0]  # the first had landed although its answer was lost
    async with backlog_of(landing, tmp_path) as backlog:
        backlog.put(batch(3))
        assert await backlog.drained(30)
    assert landing.landed == [0, 1, 2, 3]


async def test_a_full_disk_is_an_alarm_and_nothing_is_dropped(tmp_path: Path) -> None:
    landing = GatedLanding()
    landing.is_away = True
    async with backlog_of(landing, tmp_path, spool_above_rows=5, max_bytes=10_000) as backlog:
        for sequence in range(30):
            backlog.put(batch(sequence))
        await until(lambda: backlog.alarm is not None)
        assert "spool_max_mb" in (backlog.alarm or "")
        assert backlog.memory_rows > 5
        landing.is_away = False
        assert await backlog.drained(30)
        await until(lambda: backlog.alarm is None)
    assert landing.landed == list(range(30))


async def test_a_commit_that_hangs_does_not_hold_the_others_in_memory(tmp_path: Path) -> None:
    landing = GatedLanding()
    landing.hangs.clear()
    async with backlog_of(landing, tmp_path, spool_above_rows=5) as backlog:
        for sequence in range(10):
            backlog.put(batch(sequence))
        await until(lambda: backlog.spooled_files == 9)
        assert backlog.memory_rows == 5  # the one that hangs
        landing.hangs.set()
        assert await backlog.drained(30)
    assert landing.landed == list(range(10))


async def test_a_commit_that_hangs_counts_as_failing_and_the_others_go_to_disk(
    tmp_path: Path,
) -> None:
    landing, clock = GatedLanding(), SteppedClock()
    landing.hangs.clear()
    async with backlog_of(landing, tmp_path, clock=clock) as backlog:
        for sequence in range(3):
            backlog.put(batch(sequence))
        await until(lambda: landing.calls == 1)
        clock.ahead_s = 9.0
        assert backlog.failing_s == 0, "a commit may take its time"
        clock.ahead_s = 60.0
        assert 60 <= backlog.failing_s < 90
        assert backlog.failing_why == "the lake does not answer"
        await until(lambda: backlog.spooled_files == 2)
        landing.hangs.set()
        assert await backlog.drained(30)
        assert backlog.failing_s == 0
    assert landing.landed == [0, 1, 2]


async def test_a_commit_that_hangs_at_the_end_is_left_hanging_and_counts_once(
    tmp_path: Path,
) -> None:
    landing = GatedLanding()
    landing.hangs.clear()
    async with asyncio.timeout(30), backlog_of(landing, tmp_path) as backlog:
        for sequence in range(3):
            backlog.put(batch(sequence))
        await until(lambda: landing.calls == 1)
    assert backlog.is_stuck
    assert landing.landed == []
    assert [path.name[-7] for path in Spool(tmp_path, 10**9).files()] == ["0", "1", "2"]
    landing.hangs.set()
    await until(lambda: landing.landed == [0])
    async with backlog_of(landing, tmp_path) as backlog:
        assert await backlog.drained(30)
    assert not backlog.is_stuck
    assert landing.landed == [0, 1, 2]


async def test_a_question_that_hangs_at_the_end_is_left_hanging(tmp_path: Path) -> None:
    gate = threading.Event()
    async with asyncio.timeout(30), backlog_of(GatedLanding(), tmp_path) as backlog:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(backlog.ask(lambda _connection: gate.wait()), 0.1)
    assert backlog.is_stuck
    gate.set()


async def test_a_question_given_up_that_is_answered_after_all_is_not_left_hanging(
    tmp_path: Path,
) -> None:
    gate = threading.Event()
    async with backlog_of(GatedLanding(), tmp_path) as backlog:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(backlog.ask(lambda _connection: gate.wait()), 0.1)
        gate.set()
    assert not backlog.is_stuck


async def test_a_damaged_file_of_an_earlier_run_shows_when_the_next_one_is_fitted(
    tmp_path: Path,
) -> None:
    spool = Spool(tmp_path, 10**9)
    paths = [spool.put(batch(sequence)) for sequence in range(3)]
    paths[1].write_bytes(b"nothing")
    landing = GatedLanding()
    async with backlog_of(landing, tmp_path) as backlog:
        assert await backlog.drained(30)
        backlog.put(batch(3))
        backlog.put(batch(4), is_blind=True)
        assert await backlog.drained(30)
    assert landing.landed == [0, 2, 3, 4]
    assert landing.fitted == [(0, "restart"), (2, SPOOL_DAMAGED), (4, SPOOL_DAMAGED)]


async def test_a_batch_that_ends_the_worker_each_time_is_moved_aside(tmp_path: Path) -> None:
    class Choking(GatedLanding):
        def commit(self, batch: Batch, *, may_be_landed: bool) -> bool:
            if batch.sequence == 1:
                raise ZeroDivisionError("a bug that this batch brings out")
            return super().commit(batch, may_be_landed=may_be_landed)

    spool = Spool(tmp_path, 10**9)
    paths = [spool.put(batch(sequence)) for sequence in range(3)]
    landing = Choking()
    for _ in range(3):
        with pytest.RaisesGroup(ZeroDivisionError):
            async with asyncio.timeout(30):
                await Backlog(
                    landing, Spool(tmp_path, 10**9), SystemClock(), spool_above_rows=1
                ).run()
        assert paths[1].exists()
    async with backlog_of(landing, tmp_path) as backlog:
        assert await backlog.drained(30)
    assert landing.landed == [0, 2]
    assert landing.fitted[-1] == (2, SPOOL_DAMAGED)
    refused = paths[1].with_suffix(".refused")
    assert _files(tmp_path) == [refused]
    assert decode(refused.read_bytes()).sequence == 1


async def test_a_file_damaged_in_this_run_becomes_a_gap_in_its_place(tmp_path: Path) -> None:
    landing = GatedLanding()
    landing.is_away = True
    declared: list[GapRow] = []
    kept = GapRow("BTCUSDT", 1, 2, 3, "stream", "open", None, 0)
    async with backlog_of(landing, tmp_path, on_declared=declared.extend) as backlog:
        for sequence in range(3):
            backlog.put(batch(sequence, 5 * sequence, gaps=GapChanges((), (kept,))))
        await until(lambda: backlog.spooled_files == 3 and backlog.memory_rows == 0)
        damaged, gone = list(Spool(tmp_path, 10**9).files())[1:]
        damaged.write_bytes(damaged.read_bytes()[:-1])
        gone.unlink()
        landing.is_away = False
        assert await backlog.drained(30)
        assert backlog.spooled_files == 0
    lost = [
        GapRow("BTCUSDT", first, first + 4, SEALED_US, SPOOL_DAMAGED, "open", None, 0)
        for first in (5, 10)
    ]
    assert landing.landed == [0, 1, 2]
    assert landing.gaps == [kept, kept, lost[0], kept, lost[1]]
    assert declared == lost
