"""Makes scheduled faults happen."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Collection, Coroutine

from streaming.exchange.connection import Connection
from streaming.exchange.faults import FRAME_KINDS, Fault, FaultKind, Faults, Schedule
from streaming.exchange.link import Link
from streaming.exchange.payloads import shutdown_payload
from streaming.exchange.tape import Tape

_CONNECTION_KINDS = (
    FaultKind.DISCONNECT_CLEAN,
    FaultKind.DISCONNECT_ABRUPT,
    FaultKind.HALF_OPEN,
    FaultKind.CUT_MID_FRAME,
    FaultKind.SERVER_SHUTDOWN,
    *FRAME_KINDS,
)
_REST_KINDS = (FaultKind.REST_ERROR, FaultKind.REST_SLOW, FaultKind.REST_EMPTY)


class Injector:
    """Applies faults to the tape, the connections and the REST answers, and counts them."""

    def __init__(self, faults: Faults, tape: Tape, connections: Collection[Connection]) -> None:
        self.injected: Counter[FaultKind] = Counter()
        self._faults = faults
        self._schedule = Schedule(faults)
        self._tape = tape
        self._connections = connections
        self._rng = random.Random(faults.seed + 1)
        self._rest: deque[Fault] = deque()
        self._waiting: list[Fault] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._start_us = 0

    def start(self, market_us: int) -> None:
        """The market starts at `market_us`: the script's times count from here."""
        self._start_us = market_us

    def link(self, number: int) -> Link:
        """The line of connection `number`; its faults depend on the seed and the number alone."""
        rng = random.Random(self._faults.seed * 1_000_003 + number)
        return Link(self._faults.frames, rng, self.injected)

    # --- the script ---
    def next_at_us(self) -> int | None:
        """Market time of the next timed fault; None if there is none."""
        elapsed_us = self._schedule.next_at_us
        return None if elapsed_us is None else self._start_us + elapsed_us

    def trades_until_next(self, trades: int) -> int | None:
        """How many more trades until the next counted fault; None if there is none."""
        after = self._schedule.next_after_trades
        return None if after is None else max(after - trades, 0)

    def run_due(self, market_us: int, venue_us: int, trades: int) -> None:
        """Make happen what is due."""
        due = [*self._waiting, *self._schedule.due(market_us - self._start_us, trades)]
        self._waiting = []
        for fault in due:
            if fault.kind in _CONNECTION_KINDS and not self._targets(fault):
                self._waiting.append(fault)  # until somebody listens
            else:
                self.inject(fault, market_us, venue_us)

    def inject(self, fault: Fault, market_us: int, venue_us: int) -> None:
        """Make `fault` happen now."""
        kind = fault.kind
        if kind in FRAME_KINDS:
            for connection in self._targets(fault):
                connection.link.arm(kind, fault.count)  # counted frame by frame
            return
        if kind in _REST_KINDS:
            self._rest.extend([fault] * fault.count)  # counted request by request
            return
        until_us = market_us + int(fault.duration_s * 1e6)
        happened = True
        if kind is FaultKind.VENUE_HOLE:
            self._tape.leave_out(self._symbol(fault), fault.count)
        elif kind is FaultKind.HALT:
            self._tape.halt(self._symbol(fault), until_us)
        elif kind is FaultKind.CLOCK_STEP:
            self._tape.step_clock(fault.step_ms * 1_000, until_us)
        elif kind is FaultKind.SERVER_SHUTDOWN:
            happened = self._shut_down(fault, venue_us)
        else:
            happened = self._disconnect(fault)
        self.injected[kind] += happened

    # --- REST ---
    def next_rest_fault(self) -> Fault | None:
        """What is to happen to this request for market data."""
        if not self._rest:
            return None
        fault = self._rest.popleft()
        self.injected[fault.kind] += 1
        return fault

    # --- connections ---
    def _targets(self, fault: Fault) -> list[Connection]:
        listening = [each for each in self._connections if each.is_listening]
        if fault.connections == "one" and listening:
            return [self._rng.choice(listening)]
        return listening

    def _symbol(self, fault: Fault) -> str:
        if fault.symbol is not None:
            return fault.symbol
        return self._rng.choice([each.symbol for each in self._tape.instruments])

    def _disconnect(self, fault: Fault) -> bool:
        targets = self._targets(fault)
        for connection in targets:
            if fault.kind is FaultKind.DISCONNECT_CLEAN:
                self._spawn(connection.close())
            elif fault.kind is FaultKind.DISCONNECT_ABRUPT:
                connection.abort()
            elif fault.kind is FaultKind.HALF_OPEN:
                connection.go_half_open()
            else:
                connection.cut_mid_frame()
        return bool(targets)

    def _shut_down(self, fault: Fault, venue_us: int) -> bool:
        targets = self._targets(fault)
        for connection in targets:
            asked = connection.subscriptions
            connection.announce_shutdown(
                shutdown_payload(venue_us, microseconds=asked.microseconds)
            )
        self._spawn(self._close_later(targets, fault.duration_s))
        return bool(targets)

    async def _close_later(self, targets: Collection[Connection], wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        await asyncio.gather(*(each.close() for each in targets if each.is_open))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """Forget what was still to come."""
        for task in self._tasks:
            task.cancel()
