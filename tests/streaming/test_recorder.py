"""What was taken in is sealed once and in order, however sealing is interrupted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from capture_runs import until
from test_backlog import GatedLanding

from streaming import recorder
from streaming.backlog import Backlog
from streaming.batch import Batch, split_held
from streaming.clock import SystemClock
from streaming.fit import ids_by_symbol
from streaming.intake import Channel, Intake
from streaming.recorder import Recorder
from streaming.rejects import Rejects
from streaming.spool import Spool
from streaming.venues.binance import Binance

SYMBOL = "BTCUSDT"


class Collected(Backlog):
    """Keeps what is put, for the test to look at."""

    def __init__(self, folder: Path) -> None:
        spool = Spool(folder, 10**9)
        super().__init__(GatedLanding(), spool, SystemClock(), spool_above_rows=10**6)
        self.batches: list[Batch] = []

    def put(self, batch: Batch, *, is_blind: bool = False) -> None:
        self.batches.append(batch)

    def ids(self) -> list[list[int]]:
        return [ids_by_symbol(batch)[SYMBOL].tolist() for batch in self.batches]


@pytest.fixture
def backlog(tmp_path: Path) -> Collected:
    return Collected(tmp_path)


@pytest.fixture
def intake() -> Intake:
    return Intake(Binance(), (SYMBOL,), Rejects(None), reorder_window_us=0)


@pytest.fixture
def recording(intake: Intake, backlog: Collected) -> Recorder:
    return Recorder(intake, backlog, "binance", SystemClock())


def feed(intake: Intake, ids: Iterable[int]) -> None:
    take = intake.feeder(Channel())
    for trade_id in ids:
        frame = (
            '{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT",'
            f'"t":{trade_id},"p":"61837.63","q":"0.02","T":1723161255342,"m":true,"M":true}}}}'
        )
        take(frame.encode(), 1)


class SlowSplit:
    """Stands in for `split_held`; each call waits until it may go on."""

    def __init__(self) -> None:
        self.has_begun = threading.Event()
        self.may_end = threading.Event()

    def __call__(self, *arguments: Any) -> Any:
        self.has_begun.set()
        self.may_end.wait()
        return split_held(*arguments)


@pytest.fixture
def slow_split(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowSplit]:
    slow = SlowSplit()
    monkeypatch.setattr(recorder, "split_held", slow)
    yield slow
    slow.may_end.set()


async def test_what_is_being_sealed_when_capture_stops_goes_before_the_rest(
    recording: Recorder, intake: Intake, backlog: Collected, slow_split: SlowSplit
) -> None:
    feed(intake, [1, 2, 5])
    running = asyncio.create_task(recording.run(0.01))
    await until(slow_split.has_begun.is_set)
    for _ in range(2):
        running.cancel()
        await asyncio.sleep(0)
    feed(intake, [6, 7])
    last = asyncio.create_task(recording.seal(final=True))
    with pytest.raises(asyncio.CancelledError):
        await running
    assert recording.waiting_rows == 5
    slow_split.may_end.set()
    await last
    assert backlog.ids() == [[1, 2, 5], [6, 7]]
    assert [batch.sequence for batch in backlog.batches] == [0, 1]
    (gap,) = backlog.batches[0].gaps.rows
    assert (gap.first_id, gap.last_id, gap.status) == (3, 4, "open")


async def test_after_a_seal_that_failed_nothing_later_lands(
    recording: Recorder, intake: Intake, backlog: Collected, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_arguments: object) -> None:
        raise MemoryError("no room to split")

    feed(intake, [1, 2])
    monkeypatch.setattr(recorder, "split_held", fails)
    with pytest.raises(MemoryError, match="no room"):
        await recording.run(0.01)
    monkeypatch.undo()
    feed(intake, [3, 4])
    with pytest.raises(MemoryError, match="no room"):
        await recording.seal(final=True)
    assert backlog.batches == []
