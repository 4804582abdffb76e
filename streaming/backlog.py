"""Batches on their way to the lake, in order: in memory, and on disk when the lake lags.

One thread commits the oldest batch, again and again until it has landed. When the lake has been
failing for a while, or too many trades wait in memory, another thread spools the oldest waiting
batches to disk. Nothing is dropped: if the disk refuses too, batches stay in memory and `alarm`
says so; the worker then stops reading its sockets. A file that the disk damaged becomes a gap, and
so does one whose landing ends the worker again and again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import duckdb
import structlog

from streaming.batch import Batch
from streaming.clock import Clock
from streaming.fit import Fitted, ids_by_symbol, runs
from streaming.gaps import GapChanges, GapRow
from streaming.landing import LANDING_ERRORS, Landing
from streaming.resume import SymbolSpan
from streaming.spool import DamagedSpoolError, Spool, SpoolFullError

_log = structlog.get_logger("quant.landing")

_Answer = TypeVar("_Answer")

_RETRY_S = (0.2, 0.5, 1.0, 2.0)
_SPOOL_AFTER_FAILING_S = 2.0
_LAST_CALL_S = 2.0
_HANGS_AFTER_S = 10.0  # far above a commit on a busy machine


SPOOL_DAMAGED = "spool damaged"
"""Cause of a gap whose trades were in a spooled file that could not be read back or landed."""


@dataclass(slots=True, eq=False)
class _Entry:
    batch: Batch | None  # None once it is only on disk
    path: Path | None = None
    may_be_landed: bool = False
    is_earlier: bool = False  # spooled by an earlier run
    fits: bool = False  # to be compared with the lake before it lands
    fitted: Fitted | None = None
    # What memory keeps of a batch that is only on disk: all but its trades, and which those were.
    rest: Batch | None = None
    ids: tuple[SymbolSpan, ...] = ()
    lost: tuple[GapRow, ...] = ()  # the gaps that stand for a damaged file


class Backlog:
    """Orders, lands and spools batches.

    Args:
        landing: commits them.
        spool: takes them when the lake does not; what it holds already is landed first.
        spool_above_rows: trades waiting in memory above which the oldest go to disk.
        on_commit: told (batch, seconds) after each commit.
        on_declared: told of gaps that were found only as their batch landed, once they are on
            record: trades of a damaged file, and what fitting a batch to the lake revealed.
    """

    def __init__(
        self,
        landing: Landing,
        spool: Spool,
        clock: Clock,
        *,
        spool_above_rows: int,
        on_commit: Callable[[Batch, float], None] = lambda _batch, _seconds: None,
        on_declared: Callable[[tuple[GapRow, ...]], None] = lambda _rows: None,
    ) -> None:
        self._landing = landing
        self._spool = spool
        self._clock = clock
        self._spool_above_rows = spool_above_rows
        self._on_commit = on_commit
        self._on_declared = on_declared
        self._entries: deque[_Entry] = deque(
            _Entry(None, path, may_be_landed=True, is_earlier=True, fits=True)
            for path in spool.files()
        )
        self._fit_cause = "restart"
        self._committing: _Entry | None = None
        self._committing_since = 0.0
        self._changed = asyncio.Event()
        self._empty = asyncio.Event()
        if not self._entries:
            self._empty.set()
        self._land_thread = ThreadPoolExecutor(1, thread_name_prefix="landing")
        self._spool_thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self.memory_rows = 0
        self.failing_since: float | None = None
        self.last_error: str | None = None
        self.alarm: str | None = None
        self.is_stuck = False  # closed while a call of the lake hung; its thread still does

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def has_earlier(self) -> bool:
        """Whether batches of an earlier run wait."""
        return bool(self._entries) and self._entries[0].is_earlier

    @property
    def spooled_files(self) -> int:
        return len(self._spool)

    @property
    def spooled_bytes(self) -> int:
        return self._spool.bytes

    @property
    def failing_s(self) -> float:
        """Seconds for which commits have failed, or one has hung; 0 when all is well."""
        now_s = self._clock.steady_s()
        if self.failing_since is not None:
            return now_s - self.failing_since
        taken_s = 0.0 if self._committing is None else now_s - self._committing_since
        return taken_s if taken_s > _HANGS_AFTER_S else 0.0

    @property
    def failing_why(self) -> str:
        """What the lake said last, while `failing_s` is not 0."""
        return self.last_error or "the lake does not answer"

    def put(self, batch: Batch, *, is_blind: bool = False) -> None:
        """Queue a batch; returns at once.

        Args:
            is_blind: it was made without knowing what the lake holds; see `streaming.fit`.
        """
        self._entries.append(_Entry(batch, fits=is_blind))
        self.memory_rows += batch.rows
        self._empty.clear()
        self._changed.set()

    async def ask(self, question: Callable[[duckdb.DuckDBPyConnection], _Answer]) -> _Answer:
        """Ask the lake between two commits.

        Raises:
            LANDING_ERRORS: it is away.
        """
        return await asyncio.get_running_loop().run_in_executor(
            self._land_thread, lambda: self._landing.ask(question)
        )

    async def run(self) -> None:
        """Land and spool until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._land())
            tasks.create_task(self._relieve())

    async def drained(self, timeout_s: float) -> bool:
        """Wait until everything has landed; False if it has not in `timeout_s`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), timeout_s)
        return not self._entries

    async def park(self) -> None:
        """Put all that waits on disk, for the next start. Call between `run` and `close`.

        Raises:
            SpoolFullError: the disk does not take it.
        """
        for entry in self._entries:
            if entry.batch is not None:
                await self._to_disk(entry)

    async def close(self, wait_s: float = _LAST_CALL_S) -> None:
        """Free threads and the lake's connection.

        A call of the lake that does not end in `wait_s` is left hanging: `is_stuck` tells. Should
        its batch land after all, the next start finds that out before it lands what was parked.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(wait_s):
                # The thread takes calls in turn, so this one waits for any that still runs.
                await loop.run_in_executor(self._land_thread, self._landing.close)
        except TimeoutError:
            self.is_stuck = True
            _log.critical("lake_hangs", waited_s=wait_s)
        self._land_thread.shutdown(wait=not self.is_stuck, cancel_futures=True)
        self._spool_thread.shutdown(wait=True)

    # --- landing ---
    async def _land(self) -> None:
        while True:
            while not self._entries:
                self._changed.clear()
                await self._changed.wait()
            entry = self._entries[0]
            await self._until_landed(entry)
            self._entries.popleft()
            if not self._entries:
                self._empty.set()

    async def _until_landed(self, entry: _Entry) -> None:
        """Try until the entry is in the lake, or given up as damaged."""
        attempt = 0
        while True:
            try:
                await self._commit(entry)
            except DamagedSpoolError as error:
                assert entry.path is not None
                _log.critical("spooled_batch_damaged", file=entry.path.name, error=str(error))
                if entry.rest is None:
                    # Of an earlier run: what the lake then lacks shows in the next batch.
                    self._fit_cause = SPOOL_DAMAGED
                    return
                _replace_by_gaps(entry)
            except LANDING_ERRORS as error:
                self._failed(error, attempt)
                entry.may_be_landed = True
                await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
                attempt += 1
            except Exception as error:
                # A bug, which ends the worker. It may be this batch that brings it out.
                if entry.is_earlier and entry.path is not None:
                    with contextlib.suppress(OSError):
                        self._spool.blame(entry.path, error)
                raise
            else:
                self._succeeded(attempt)
                return

    async def _commit(self, entry: _Entry) -> None:
        loop = asyncio.get_running_loop()
        self._committing = entry
        self._committing_since = started = self._clock.steady_s()
        try:
            batch = entry.batch
            if batch is None:
                assert entry.path is not None
                batch = await loop.run_in_executor(self._spool_thread, self._spool.read, entry.path)
            if entry.fits:
                batch = await self._fit(entry, batch)
            is_new = await loop.run_in_executor(
                self._land_thread,
                lambda: self._landing.commit(batch, may_be_landed=entry.may_be_landed),
            )
        finally:
            self._committing = None
        if entry.batch is not None:
            self.memory_rows -= entry.batch.rows
            entry.batch = None
        if entry.path is not None:
            self._spool.remove(entry.path)
        self._on_commit(batch, self._clock.steady_s() - started)
        if entry.fitted is not None and entry.fitted.declared:
            self._on_declared(entry.fitted.declared)
        if is_new and entry.lost:
            self._on_declared(entry.lost)

    async def _fit(self, entry: _Entry, batch: Batch) -> Batch:
        if entry.fitted is None:
            # Once: after a commit whose outcome is unknown the lake may hold the batch itself.
            entry.fitted = await asyncio.get_running_loop().run_in_executor(
                self._land_thread, lambda: self._landing.fit(batch, self._fit_cause)
            )
        return entry.fitted.batch

    def _failed(self, error: BaseException, attempt: int) -> None:
        if self.failing_since is None:
            self.failing_since = self._clock.steady_s()
        self.last_error = str(error).strip().splitlines()[0][:300] if str(error) else repr(error)
        if attempt in (0, 5) or attempt % 30 == 0:
            _log.error("commit_failed", attempt=attempt + 1, error=self.last_error)

    def _succeeded(self, attempt: int) -> None:
        if attempt:
            _log.info("commit_recovered", attempts=attempt + 1, waiting=len(self._entries) - 1)
        self.failing_since = None
        self.last_error = None

    # --- spooling ---
    async def _relieve(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            while (entry := self._to_relieve()) is not None:
                try:
                    await self._to_disk(entry)
                except SpoolFullError as error:
                    if self.alarm is None:
                        _log.critical("spool_full", error=str(error), trades=self.memory_rows)
                    self.alarm = str(error)
                    break
            if self.alarm is not None and self.memory_rows <= self._spool_above_rows // 2:
                _log.info("spool_alarm_over")
                self.alarm = None

    def _to_relieve(self) -> _Entry | None:
        """The oldest batch that should go to disk now."""
        lags = self.memory_rows > self._spool_above_rows or (
            self.failing_s > _SPOOL_AFTER_FAILING_S and self.memory_rows > 0
        )
        if not lags:
            return None
        return next(
            (e for e in self._entries if e.batch is not None and e is not self._committing), None
        )

    async def _to_disk(self, entry: _Entry) -> None:
        batch = entry.batch
        assert batch is not None
        if entry.path is None:
            loop = asyncio.get_running_loop()
            path = await loop.run_in_executor(self._spool_thread, self._spool.put, batch)
            if entry.batch is None:  # it landed in the meantime
                self._spool.remove(path)
                return
            entry.path = path
        if entry is not self._committing:
            entry.batch = None
            self.memory_rows -= batch.rows
            entry.rest = replace(batch, ticks=batch.ticks.slice(0, 0))
            entry.ids = tuple(
                (name, *span) for name, ids in ids_by_symbol(batch).items() for span in runs(ids)
            )


def _replace_by_gaps(entry: _Entry) -> None:
    """Let gaps stand for the trades of a damaged file."""
    rest = entry.rest
    assert rest is not None
    entry.lost = tuple(
        GapRow(*span, rest.sealed_us, SPOOL_DAMAGED, "open", None, 0) for span in entry.ids
    )
    gaps = GapChanges(rest.gaps.replaced, rest.gaps.rows + entry.lost)
    entry.batch, entry.path, entry.fits = replace(rest, gaps=gaps), None, False
