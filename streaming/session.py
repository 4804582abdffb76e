"""One shard of symbols, kept connected: connect, subscribe, renew, reconnect.

A planned renewal (age, the venue's shutdown notice, a stream gone silent) opens the successor
first; both deliver until the successor does, and duplicates are dropped by id.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog

from quant_pipeline.schema import WORKER_STOPPED
from streaming.backoff import Backoff, ConnectPacer, rollover_delay_s
from streaming.batch import SessionRow
from streaming.clock import Clock
from streaming.connection import ConnectError, Connection, Transport
from streaming.flow import Flow
from streaming.intake import Channel, Intake
from streaming.venues import Control, Reply, Shutdown, Venue

_log = structlog.get_logger("quant.session")

_CONFIRM_S = 10.0
_QUIET_OVERLAP_S = 5.0
_STEADY_S = 60.0


class RolloverPlan(NamedTuple):
    """When connections are renewed; see `streaming.backoff.rollover_delay_s`."""

    max_age_s: float
    at: str | None
    stagger_s: float


@dataclass(eq=False)
class _Leg:
    """One connection's life."""

    connected_us: int
    session_id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    channel: Channel = field(default_factory=Channel)
    connection: Connection | None = None
    closed: asyncio.Task[str] | None = None
    pending: set[int] = field(default_factory=set)
    confirmed: asyncio.Event = field(default_factory=asyncio.Event)
    refusal: str | None = None


class Session:
    """Keeps `symbols` streaming into `intake` until cancelled."""

    def __init__(
        self,
        symbols: Sequence[str],
        url: str,
        *,
        venue: Venue,
        transport: Transport,
        intake: Intake,
        clock: Clock,
        flow: Flow,
        pacer: ConnectPacer,
        backoff: Backoff,
        rollover: RolloverPlan,
        on_row: Callable[[SessionRow], None],
    ) -> None:
        self.symbols = tuple(symbols)
        self._url = venue.stream_url(url)
        self._venue = venue
        self._transport = transport
        self._intake = intake
        self._clock = clock
        self._flow = flow
        self._pacer = pacer
        self._backoff = backoff
        self._rollover = rollover
        self._on_row = on_row
        self._renewal = asyncio.Event()
        self._renewal_reason = ""
        self._current: _Leg | None = None
        self._earlier_trades = 0
        self.connects = 0
        self.last_reason: str | None = None

    @property
    def connected_us(self) -> int | None:
        """When the connection in use was opened; None while there is none."""
        return self._current.connected_us if self._current else None

    @property
    def received(self) -> int:
        """Trades received on all its connections, duplicates included."""
        return self._earlier_trades + (self._current.channel.trades if self._current else 0)

    def renew(self, reason: str) -> None:
        """Replace the connection, with an overlap."""
        self._renewal_reason = reason
        self._renewal.set()

    async def run(self) -> None:
        """Stay connected until cancelled."""
        while True:
            leg: _Leg | None = await self._open_or_wait()
            while leg is not None:
                self._current = leg
                try:
                    leg = await self._live(leg)
                finally:
                    self._current = None

    # --- a connection in use ---
    async def _live(self, leg: _Leg) -> _Leg | None:
        """Wait for the connection's end; returns its successor if there is one already."""
        age_s = (self._clock.now_us() - leg.connected_us) / 1e6
        delay_s = max(rollover_delay_s(leg.connected_us, *self._rollover) - age_s, 0.0)
        try:
            reason = await self._until_lost_or_due(leg, delay_s)
            if reason is None:
                successor = await self._succeed(leg)
                await self._close(leg, self._renewal_reason or "rollover")
                self._renewal.clear()
                self._renewal_reason = ""
                return successor
        except asyncio.CancelledError:
            await self._close(leg, WORKER_STOPPED)
            raise
        self._lost(leg, reason)
        return None

    async def _until_lost_or_due(self, leg: _Leg, delay_s: float) -> str | None:
        """The reason if the connection is lost; None when it is to be renewed."""
        assert leg.closed is not None
        renewal = asyncio.create_task(self._renewal.wait())
        try:
            await asyncio.wait(
                (leg.closed, renewal), timeout=delay_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            renewal.cancel()
        return leg.closed.result() if leg.closed.done() else None

    async def _succeed(self, old: _Leg) -> _Leg | None:
        """Open a successor while `old` delivers; None if `old` is lost before one is open."""
        assert old.closed is not None
        _log.info("renewing", symbols=len(self.symbols), reason=self._renewal_reason or "rollover")
        while True:
            try:
                await self._paced()
                successor = await self._open()
            except ConnectError as error:
                _log.warning("renewal_failed", error=str(error))
                await asyncio.wait((old.closed,), timeout=self._backoff.next_s())
                if old.closed.done():
                    return None
                continue
            try:
                await self._delivering(successor, old)
            except asyncio.CancelledError:
                await self._close(successor, WORKER_STOPPED)
                raise
            return successor

    async def _delivering(self, successor: _Leg, old: _Leg) -> None:
        """Wait until the successor delivers trades, or would if there were any."""
        assert successor.closed is not None
        assert old.closed is not None
        deadline = self._clock.steady_s() + _QUIET_OVERLAP_S
        while self._clock.steady_s() < deadline and not successor.channel.trades:
            if successor.closed.done() or old.closed.done():
                return
            await asyncio.sleep(0.02)

    # --- opening ---
    async def _open_or_wait(self) -> _Leg:
        while True:
            await self._paced()
            try:
                return await self._open()
            except ConnectError as error:
                delay_s = self._backoff.next_s()
                self.last_reason = str(error)
                _log.warning("connect_failed", error=str(error), retry_in_s=round(delay_s, 2))
                await asyncio.sleep(delay_s)

    async def _paced(self) -> None:
        """Wait until there is room in memory and the venue allows another attempt."""
        await self._flow.is_open.wait()
        while wait_s := self._pacer.wait_s(self._clock.steady_s()):  # noqa: ASYNC110
            await asyncio.sleep(wait_s)
        self._pacer.attempt(self._clock.steady_s())

    async def _open(self) -> _Leg:
        """Connect and subscribe; raises ConnectError."""
        leg = _Leg(self._clock.now_us())
        leg.channel.on_control = lambda control: self._on_control(leg, control)
        on_frame = self._intake.feeder(leg.channel)
        leg.connection = await self._transport.connect(self._url, on_frame)
        leg.connected_us = self._clock.now_us()
        leg.closed = asyncio.create_task(leg.connection.closed())
        self._flow.add(leg.connection)
        self.connects += 1
        self._on_row(self._row(leg, None, None))
        try:
            await self._subscribe(leg)
        except (ConnectError, asyncio.CancelledError) as error:
            await self._close(leg, str(error) or WORKER_STOPPED)
            raise
        return leg

    async def _subscribe(self, leg: _Leg) -> None:
        assert leg.connection is not None
        assert leg.closed is not None
        messages = self._venue.subscriptions(self.symbols, 1)
        leg.pending.update(range(1, len(messages) + 1))
        # One message below the limit: pings count too.
        pause_s = 1.0 / max(self._venue.limits.control_messages_per_s - 1.0, 0.5)
        self._intake.blame(self.symbols, self._cause())
        for index, message in enumerate(messages):
            if index:
                await asyncio.sleep(pause_s)
            await leg.connection.send(message)
        confirmed = asyncio.create_task(leg.confirmed.wait())
        try:
            await asyncio.wait(
                (confirmed, leg.closed), timeout=_CONFIRM_S, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            confirmed.cancel()
        if leg.refusal is not None:
            raise ConnectError(f"the venue refused the subscription: {leg.refusal}")
        if leg.closed.done():
            raise ConnectError(f"closed while subscribing: {leg.closed.result()}")
        if not leg.confirmed.is_set():
            raise ConnectError(f"subscription not confirmed in {_CONFIRM_S:.0f} s")

    def _cause(self) -> str:
        if self._current is not None:
            return "rollover"
        return "reconnect" if self.connects > 1 else "restart"

    def _on_control(self, leg: _Leg, control: Control) -> None:
        if isinstance(control, Shutdown):
            if leg is self._current or self._current is None:
                self.renew("server shutdown")
        elif isinstance(control, Reply):
            if control.error is not None:
                leg.refusal = control.error
            leg.pending.discard(control.request_id or 0)
            if not leg.pending or leg.refusal:
                leg.confirmed.set()

    # --- closing ---
    def _lost(self, leg: _Leg, reason: str) -> None:
        _log.warning("connection_lost", reason=reason, trades=leg.channel.trades)
        lived_s = (self._clock.now_us() - leg.connected_us) / 1e6
        if leg.channel.trades or lived_s > _STEADY_S:
            self._backoff.reset()
        self._ended(leg, reason)

    async def _close(self, leg: _Leg, reason: str) -> None:
        if leg.connection is not None:
            with contextlib.suppress(OSError):
                await leg.connection.close()
        self._ended(leg, reason)

    def _ended(self, leg: _Leg, reason: str) -> None:
        if leg.connection is not None:
            self._flow.remove(leg.connection)
            leg.connection = None
            self._earlier_trades += leg.channel.trades
            self.last_reason = reason
            self._on_row(self._row(leg, self._clock.now_us(), reason))

    def _row(self, leg: _Leg, ended_us: int | None, reason: str | None) -> SessionRow:
        return SessionRow(
            leg.session_id,
            self._url,
            self.symbols,
            leg.connected_us,
            ended_us,
            reason,
            leg.channel.trades,
        )


def shards(symbols: Sequence[str], largest: int) -> list[tuple[str, ...]]:
    """Symbols dealt evenly over as few connections as hold them."""
    count = -(-len(symbols) // largest)
    return [tuple(symbols[index::count]) for index in range(count)]
