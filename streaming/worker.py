"""The streaming worker: puts the parts together and runs them until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from random import Random

import structlog

from quant_pipeline.settings import Settings
from streaming import resume
from streaming.backlog import Backlog
from streaming.backoff import Backoff, ConnectPacer
from streaming.batch import Batch
from streaming.budget import WeightBudget
from streaming.clock import Clock, SystemClock
from streaming.connection import TransportOptions, transport
from streaming.flow import Flow
from streaming.gaps import LONG_ABSENCE
from streaming.intake import Intake, check_listed
from streaming.landing import LANDING_ERRORS, Landing
from streaming.metrics import StatusServer, WorkerMetrics, problems
from streaming.recorder import Recorder
from streaming.rejects import Rejects
from streaming.repair import Repairer, find_origins
from streaming.rest import RestClient, RestError
from streaming.rhythm import Rhythm
from streaming.session import RolloverPlan, Session, shards
from streaming.spool import Spool, SpoolFullError
from streaming.venues import DecodeError, by_name

_log = structlog.get_logger("quant.worker")

_SPOOL_ABOVE_SHARE = 0.2
_LAST_REPAIRS_S = 5.0
_LONGEST_LAKE_ANSWER_S = 60.0
_REPORT_EVERY_S = 60.0


class Worker:
    """Captures the settings' symbols into the lake.

    Args:
        settings: what to capture, from where, into which lake, within which bounds.
        clock, random: injected for tests.
    """

    def __init__(
        self, settings: Settings, *, clock: Clock | None = None, random: Random | None = None
    ) -> None:
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        self._random = random or Random()
        self.venue = by_name(settings.venue)
        self.rejects = Rejects(settings.log_dir / "rejected_frames.jsonl")
        self.intake = Intake(
            self.venue, settings.symbols, self.rejects, int(settings.reorder_window_s * 1e6)
        )
        self.flow = Flow()
        self.rhythm = Rhythm(
            settings.symbols, self.clock.steady_s(), shortest_s=settings.stale_after_s
        )
        self.budget = WeightBudget(share=settings.rest_weight_share)
        self.landing = Landing(settings, settings.venue)
        self.backlog = Backlog(
            self.landing,
            Spool(settings.spool_dir, int(settings.spool_max_mb * 1e6)),
            self.clock,
            spool_above_rows=int(settings.max_buffered_trades * _SPOOL_ABOVE_SHARE),
            on_commit=self._committed,
            on_declared=lambda rows: self.recorder.adopt(rows),
        )
        self.recorder = Recorder(
            self.intake, self.backlog, settings.venue, self.clock, self._counted
        )
        self.sessions: list[Session] = []
        self.last_trade_s = self.clock.steady_s()
        self.trades = 0
        self.committed_rows = 0
        self.commits = 0
        self.last_commit_s = 0.0
        self.metrics = WorkerMetrics(self)
        self.status_server = StatusServer(self, self.metrics, settings.host, settings.metrics_port)

    async def run(self, stop: asyncio.Event, *, until_idle_s: float | None = None) -> None:
        """Capture until `stop` is set, then land what is buffered.

        Whatever ends it, what was captured and has not landed is spooled.

        Args:
            until_idle_s: also stop once no trade has come for so long and no repair is due.

        Raises:
            ValueError: the venue does not list a symbol.
            Exception: what a bug raised, in capture or in landing; it ends both at once.
        """
        await self.status_server.start()
        # What is pushed last ends first; what it raises stops none of the others.
        async with contextlib.AsyncExitStack() as ends:
            ends.push_async_callback(self.status_server.stop)
            ends.push_async_callback(self.backlog.close)
            ends.push_async_callback(self._park)
            landing = asyncio.create_task(self.backlog.run())
            ends.push_async_callback(_ended, landing)
            ends.push_async_callback(self.recorder.seal, final=True)
            capture = asyncio.create_task(self._capture_and_land(stop, until_idle_s))
            ends.push_async_callback(_ended, capture)
            await asyncio.wait((capture, landing), return_when=asyncio.FIRST_COMPLETED)
            if landing.done() and (error := landing.exception()) is not None:
                _log.critical("landing_failed", why=repr(_first(error))[:300])

    async def _capture_and_land(self, stop: asyncio.Event, until_idle_s: float | None) -> None:
        async with RestClient(self.settings.rest_url, self.venue, self.budget, self.clock) as rest:
            await self._ask_venue(rest)
            is_blind = not await self._resume(self.settings.lake_patience_s)
            if is_blind:
                self.recorder.go_blind()
            else:
                await find_origins(self.intake, self.venue, rest)
            await self._capture(rest, stop, until_idle_s, is_blind=is_blind)
        await self._drain()

    # --- start ---
    async def _ask_venue(self, rest: RestClient) -> None:
        try:
            info = self.venue.decode_info(await rest.get(self.venue.info()))
        except (RestError, DecodeError) as error:
            _log.warning("venue_info_unavailable", error=str(error)[:200])
            return
        check_listed(self.settings.symbols, info.symbols, self.venue.name)
        if info.weight_per_minute:
            self.budget.configure(info.weight_per_minute)

    async def _resume(self, patience_s: float) -> bool:
        """Land what an earlier run spooled, then read where the lake ends; False: it is away."""
        why = "its answer takes too long"
        try:
            async with asyncio.timeout(patience_s):
                while True:
                    try:
                        await self._read_lake()
                    except LANDING_ERRORS as error:
                        why = str(error)[:300]
                        await asyncio.sleep(0.2)
                    else:
                        return True
        except TimeoutError:
            _log.critical("capturing_without_lake", why=why, spooled=len(self.backlog))
            return False

    async def _read_lake(self) -> None:
        while self.backlog.has_earlier:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        state = await self.backlog.ask(
            lambda connection: resume.read(connection, self.venue.name, self.settings.symbols)
        )
        self.recorder.resume(state, int(self.settings.resume_max_s * 1e6))
        _log.info(
            "resuming",
            symbols=len(self.settings.symbols),
            known=len(state.positions),
            open_gaps=len(state.open_gaps),
            writer=self.recorder.writer,
        )

    async def _resume_later(self) -> None:
        while not await self._resume(_LONGEST_LAKE_ANSWER_S):
            pass

    # --- capture ---
    async def _capture(
        self,
        rest: RestClient,
        stop: asyncio.Event,
        until_idle_s: float | None,
        *,
        is_blind: bool,
    ) -> None:
        repairer = Repairer(
            self.intake,
            self.venue,
            rest,
            self.clock,
            has_room=self.flow.is_open.is_set,
            on_loss=self._renew_session_of,
        )
        repairer.quiet = lambda symbol: self.rhythm.checked(symbol, self.clock.steady_s())
        self.sessions = self._make_sessions()
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(self.recorder.run(self.settings.flush_interval_s)),
                tasks.create_task(repairer.run()),
                tasks.create_task(self._watch(repairer)),
                tasks.create_task(self._regulate()),
                tasks.create_task(self.metrics.watch_loop()),
                tasks.create_task(self._report()),
            ]
            if is_blind:
                background.append(tasks.create_task(self._resume_later()))
            streams = [tasks.create_task(session.run()) for session in self.sessions]
            await self._until_stopped(stop, until_idle_s)
            _log.info("stopping", waiting=self.recorder.waiting_rows)
            for task in streams:
                task.cancel()
            await asyncio.wait(streams)
            await self._last_repairs()
            for task in background:
                task.cancel()

    def _make_sessions(self) -> list[Session]:
        settings = self.settings
        limits = self.venue.limits
        wire = transport(
            settings.transport,
            TransportOptions(
                ping_interval_s=settings.ping_interval_s,
                ping_timeout_s=settings.ping_timeout_s,
                coalesce_s=settings.read_coalesce_ms / 1e3,
            ),
            self.clock,
        )
        pacer = ConnectPacer(limits.connects_per_window, limits.connect_window_s)
        largest = min(settings.streams_per_connection, limits.streams_per_connection)
        max_age_s = min(settings.connection_max_age_s, limits.connection_lifetime_s)
        return [
            Session(
                shard,
                settings.ws_url,
                venue=self.venue,
                transport=wire,
                intake=self.intake,
                clock=self.clock,
                flow=self.flow,
                pacer=pacer,
                backoff=Backoff(self._random, cap_s=settings.reconnect_max_s),
                rollover=RolloverPlan(
                    max_age_s, settings.rollover_at, number * min(10.0, 0.01 * max_age_s)
                ),
                on_row=self.recorder.session_row,
            )
            for number, shard in enumerate(shards(settings.symbols, largest))
        ]

    async def _until_stopped(self, stop: asyncio.Event, until_idle_s: float | None) -> None:
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 0.1)
            idle_s = self.clock.steady_s() - self.last_trade_s
            if until_idle_s is not None and idle_s > until_idle_s and not self._repairs_due():
                return

    def _repairs_due(self) -> bool:
        gaps = self.intake.gaps
        return bool(gaps.suspected_count) or any(
            gap.cause != LONG_ABSENCE for gap in gaps.open_gaps()
        )

    async def _last_repairs(self) -> None:
        """Give repairs under way a moment; what stays open is repaired at the next start."""
        deadline = self.clock.steady_s() + min(_LAST_REPAIRS_S, self.settings.drain_timeout_s)
        while self._repairs_due() and self.clock.steady_s() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    async def _watch(self, repairer: Repairer) -> None:
        """Check symbols whose silence is unusual."""
        while True:
            await asyncio.sleep(min(1.0, self.settings.stale_after_s / 4))
            if self.flow.is_open.is_set():
                for symbol in self.rhythm.overdue(self.clock.steady_s()):
                    repairer.probe(symbol)

    async def _regulate(self) -> None:
        """Stop reading before memory is full."""
        while True:
            await asyncio.sleep(0.02)
            waiting = self.recorder.waiting_rows
            if self.flow.regulate(waiting, self.settings.max_buffered_trades):
                if self.flow.is_open.is_set():
                    self.intake.blame(self.settings.symbols, "paused")
                    _log.info("reading_resumed", waiting=waiting)
                else:
                    _log.critical("reading_paused", waiting=waiting, why=self.backlog.alarm)

    async def _report(self) -> None:
        """One line a minute when all is well; what is wrong when it is not."""
        while True:
            before = self.trades
            await asyncio.sleep(_REPORT_EVERY_S)
            wrong = problems(self)
            log = _log.warning if wrong else _log.info
            log(
                "capturing",
                trades_per_s=round((self.trades - before) / _REPORT_EVERY_S, 1),
                buffered=self.recorder.waiting_rows,
                spooled_mb=round(self.backlog.spooled_bytes / 1e6, 1),
                gaps_open=len(tuple(self.intake.gaps.open_gaps())),
                gaps_closed=self.intake.gaps.closed_gaps,
                rejected=self.rejects.counts.total(),
                commit_s=round(self.last_commit_s, 3),
                **({"problems": wrong} if wrong else {}),
            )

    def _renew_session_of(self, symbol: str) -> None:
        for session in self.sessions:
            if symbol in session.symbols:
                session.renew("stale")

    # --- what happened ---
    def _counted(self, counts: Mapping[str, int]) -> None:
        now_s = self.clock.steady_s()
        self.rhythm.note(counts, now_s)
        total = sum(counts.values())
        self.trades += total
        if total:
            self.last_trade_s = now_s

    def _committed(self, batch: Batch, seconds: float) -> None:
        self.commits += 1
        self.committed_rows += batch.rows
        self.last_commit_s = seconds
        self.metrics.commit_seconds.observe(seconds)

    # --- stop ---
    async def _drain(self) -> None:
        await self.recorder.seal(final=True)
        if await self.backlog.drained(self.settings.drain_timeout_s):
            _log.info("drained", trades=self.committed_rows, commits=self.commits)

    async def _park(self) -> None:
        if not len(self.backlog):
            return
        try:
            await self.backlog.park()
        except SpoolFullError as error:
            left = self.backlog.memory_rows
            # The next start finds their ids missing and asks the venue for them.
            _log.critical("trades_left_for_repair", trades=left, why=str(error))
        else:
            _log.warning("batches_spooled_for_next_start", batches=len(self.backlog))


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel the task and wait for its end; raises what ended it before, without its group."""
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass
    except BaseExceptionGroup as group:
        raise _first(group) from group


def _first(error: BaseException) -> BaseException:
    """The error itself, or the first of a group, which says what the group does not."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
