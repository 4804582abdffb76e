"""Once a second: everything taken in becomes one batch on its way to the lake."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from streaming.backlog import Backlog
from streaming.batch import Batch, Frozen, SessionRow, freeze, split_held, to_table
from streaming.clock import Clock
from streaming.gaps import LONG_ABSENCE, GapKey, GapRow
from streaming.intake import Intake
from streaming.resume import LakeState


class Recorder:
    """Seals batches. One writer id for the life of the process, sequences from 0.

    Args:
        on_counts: told how many trades of each symbol a batch took in, at each seal.
    """

    def __init__(
        self,
        intake: Intake,
        backlog: Backlog,
        venue: str,
        clock: Clock,
        on_counts: Callable[[Mapping[str, int]], None] = lambda _counts: None,
    ) -> None:
        self._intake = intake
        self._backlog = backlog
        self._venue = venue
        self._clock = clock
        self._on_counts = on_counts
        self._sequence = 0
        self._carried: Frozen | None = None
        self._sealing: asyncio.Task[None] | None = None
        self._sealing_rows = 0
        self._sessions: list[SessionRow] = []
        self._is_blind = False
        self.has_resumed = False
        self._known_gaps: set[GapKey] = set()  # that `resume` need not take from the lake
        self.writer = uuid.uuid4().hex[:12]

    @property
    def waiting_rows(self) -> int:
        """Trades in memory that have not landed."""
        carried = 0 if self._carried is None else len(self._carried.trade_id)
        return len(self._intake) + carried + self._sealing_rows + self._backlog.memory_rows

    def session_row(self, row: SessionRow) -> None:
        """Write this row with the next batch."""
        self._sessions.append(row)

    def go_blind(self) -> None:
        """Record although nobody knows where the lake ends, until `resume` tells."""
        self._is_blind = True

    def resume(self, state: LakeState, resume_max_us: int) -> None:
        """Continue where the lake ends.

        After a blind start, symbols that have traded since need no continuation: their batches are
        fitted to the lake as they land.
        """
        now_us = self._clock.now_us()
        for name, position in state.positions.items():
            symbol = self._intake.states[name]
            if symbol.continuity.last_seen is None:
                symbol.continuity.next_id = position.last_id + 1
                away_us = now_us - position.received_us
                symbol.cause = LONG_ABSENCE if away_us > resume_max_us else "restart"
        for row in state.open_gaps:
            if GapKey(*row[:3]) not in self._known_gaps:
                continuity = self._intake.states[row.symbol].continuity
                continuity.next_id = max(continuity.next_id, row.last_id + 1)
                self._adopt(row)
        for name, spans in state.present.items():
            for span in spans:
                self._intake.states[name].continuity.discard(*span)
        self.has_resumed = True
        self._known_gaps.clear()

    def adopt(self, rows: Iterable[GapRow]) -> None:
        """Take over gaps that were declared as their batch landed, and are on record."""
        for row in rows:
            # Of a symbol that has not traded yet, `resume` will read it from the lake.
            if self._intake.states[row.symbol].continuity.last_seen is not None:
                if not self.has_resumed:
                    self._known_gaps.add(GapKey(*row[:3]))
                self._adopt(row)

    def _adopt(self, row: GapRow) -> None:
        self._intake.states[row.symbol].continuity.add_missing(row.first_id, row.last_id)
        self._intake.gaps.restore(row)

    async def run(self, interval_s: float) -> None:
        """Seal a batch every `interval_s` until cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            await self.seal()

    async def seal(self, *, final: bool = False) -> None:
        """Make a batch of what there is; `final`: of what waits for late ids too.

        A seal that has begun goes on when its caller is cancelled; the next one waits for it. What
        a seal that failed had taken is lost, so no other begins: the lake then ends below the loss,
        and the next start asks the venue for it.
        """
        if self._sealing is not None:
            await asyncio.shield(self._sealing)
        self._sealing = asyncio.create_task(self._seal(final=final))
        await asyncio.shield(self._sealing)

    async def _seal(self, *, final: bool) -> None:
        now_us = self._clock.now_us()
        gaps = self._intake.gaps
        # The batch that is sealed first after `resume` still holds trades from before it.
        is_blind, self._is_blind = self._is_blind, self._is_blind and not self.has_resumed
        gaps.declare_due(2**62 if final else now_us)
        changes = gaps.settle(now_us)
        if is_blind:
            self._known_gaps |= {GapKey(*row[:3]) for row in changes.rows if row.status == "open"}
        hold_from = {self._intake.states[name].index: first for name, first in gaps.holds().items()}
        sessions, self._sessions = self._sessions, []
        carried, self._carried = self._carried, None
        fresh = freeze(self._intake.swap())
        self._sealing_rows = len(fresh.trade_id) + (0 if carried is None else len(carried.trade_id))
        counts = np.bincount(fresh.symbol, minlength=len(self._intake.symbols))
        self._on_counts(Counter(dict(zip(self._intake.symbols, counts.tolist(), strict=True))))
        ready, self._carried = await asyncio.to_thread(split_held, fresh, carried, hold_from)
        self._sealing_rows = 0
        table = to_table(ready, self._venue, self._intake.symbols)
        batch = Batch(self.writer, self._sequence, now_us, table, changes, tuple(sessions))
        if batch:
            self._sequence += 1
            self._backlog.put(batch, is_blind=is_blind)
