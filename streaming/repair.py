"""Fetch what is missing over REST, in the background.

`RepairPlan` decides (no I/O): which page to ask for next, what an answer proves, when to try again.
A page answers for the ids between its first and its last trade, and only for those: an empty or
short page proves nothing. Ids that two such pages, a while apart, skip are the venue's own hole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog

from streaming.clock import Clock
from streaming.continuity import Continuity, Span
from streaming.gaps import LONG_ABSENCE, Gap
from streaming.intake import Intake
from streaming.rest import RestClient, RestError
from streaming.venues import DecodeError, RestTrade, Venue

_log = structlog.get_logger("quant.repair")

_HOLE_PROOFS = 2
_HOLE_PROOF_AFTER_S = 1.0
_FIRST_RETRY_S = 0.25
_LONGEST_RETRY_S = 30.0
_ATTEMPTS = 12
_REST_S = 600.0
_PATIENCE_S = 1.0
_PATIENCE_SCARCE_S = 10.0
_STARVING_S = 300.0
_PROBE_SHARE = 0.5
_ORIGIN_SHARE = 0.25


class Fetch(NamedTuple):
    """One page to ask for."""

    symbol: str
    from_id: int


class _Evidence(NamedTuple):
    proofs: int
    again_s: float


@dataclass(slots=True)
class _Progress:
    failures: int = 0
    not_before_s: float = 0.0
    absent: dict[Span, _Evidence] = field(default_factory=dict)


class RepairPlan:
    """Which ids to fetch next.

    Args:
        open_gaps: gives a symbol's declared gaps.
        continuities: which ids of them are still missing.
        page_size: trades a page holds at most.
    """

    def __init__(
        self,
        open_gaps: Callable[[str | None], Iterable[Gap]],
        continuities: dict[str, Continuity],
        page_size: int,
    ) -> None:
        self._open_gaps = open_gaps
        self._continuities = continuities
        self._page_size = page_size
        self._progress: dict[str, _Progress] = {}

    def next(self, now_s: float, now_us: int, *, scarce: bool) -> Fetch | None:
        """The page that recovers most, or the one that has waited too long; None: nothing is due.

        Args:
            now_s: steady clock. now_us: wall clock, as in the gaps.
            scarce: the request budget runs low, so wait for pages to fill.
        """
        best: tuple[bool, int, Fetch] | None = None
        patience_us = (_PATIENCE_SCARCE_S if scarce else _PATIENCE_S) * 1e6
        for symbol in dict.fromkeys(gap.symbol for gap in self._open_gaps(None)):
            progress = self._progress.setdefault(symbol, _Progress())
            if now_s < progress.not_before_s:
                continue
            continuity = self._continuities[symbol]
            for from_id, detected_us in self._pages(symbol, progress, now_s):
                # Trades that are still to come could only fill a page that reaches beyond the
                # newest one.
                is_full = from_id + self._page_size <= continuity.next_id
                if not is_full and now_us - detected_us < patience_us:
                    continue
                page = continuity.missing(from_id, from_id + self._page_size - 1)
                gain = sum(span.width for span in page)
                starving = now_us - detected_us > _STARVING_S * 1e6
                candidate = (starving, gain, Fetch(symbol, from_id))
                if best is None or candidate[:2] > best[:2]:
                    best = candidate
                if gain == self._page_size:
                    break
        return None if best is None else best[2]

    def answered(self, fetch: Fetch, trades: Sequence[RestTrade], now_s: float) -> list[Span]:
        """Take in a page, after its trades were recovered; returns ids proven to be holes."""
        progress = self._progress.setdefault(fetch.symbol, _Progress())
        if not trades or trades[-1].trade_id < fetch.from_id:
            # There are later trades, or there would be no gap: this answer is not the whole truth.
            self.failed(fetch, now_s)
            return []
        progress.failures = 0
        progress.not_before_s = 0.0
        holes = []
        absent: dict[Span, _Evidence] = {}
        for gap in self._open_gaps(fetch.symbol):
            first = max(gap.span.first, fetch.from_id)
            last = min(gap.span.last, trades[-1].trade_id)
            if first > last:
                continue
            for span in self._continuities[fetch.symbol].missing(first, last):
                proofs, again_s = progress.absent.get(span, _Evidence(0, 0.0))
                if now_s >= again_s:
                    proofs, again_s = proofs + 1, now_s + _HOLE_PROOF_AFTER_S
                if proofs >= _HOLE_PROOFS:
                    holes.append(span)
                else:
                    absent[span] = _Evidence(proofs, again_s)
        kept = {
            span: evidence
            for span, evidence in progress.absent.items()
            if span.last < fetch.from_id or span.first > trades[-1].trade_id
        }
        progress.absent = kept | absent
        return holes

    def failed(self, fetch: Fetch, now_s: float) -> None:
        """The page did not come: wait longer each time, and long after too many times."""
        progress = self._progress.setdefault(fetch.symbol, _Progress())
        progress.failures += 1
        if progress.failures >= _ATTEMPTS:
            _log.error("repair_resting", symbol=fetch.symbol, from_id=fetch.from_id)
            progress.failures = 0
            progress.not_before_s = now_s + _REST_S
            return
        wait_s = min(_FIRST_RETRY_S * 2.0 ** (progress.failures - 1), _LONGEST_RETRY_S)
        progress.not_before_s = now_s + wait_s

    def owes(self) -> bool:
        """Whether any gap waits for a page, now or later."""
        return any(map(self._is_ours, self._open_gaps(None)))

    def _is_ours(self, gap: Gap) -> bool:
        """Whether the gap is not one that is left to `quant backfill`."""
        return gap.cause != LONG_ABSENCE or gap.span.width <= self._page_size

    def _pages(self, symbol: str, progress: _Progress, now_s: float) -> Iterator[tuple[int, int]]:
        """The fewest pages that hold every id worth asking for, in their order.

        Yields where a page begins and when its first gap was noticed. Neighbouring holes share a
        page: one request brings them all.
        """
        beyond = 0
        for gap in sorted(self._open_gaps(symbol), key=lambda gap: gap.span):
            if not self._is_ours(gap):
                continue
            for span in self._continuities[symbol].missing(*gap.span):
                evidence = progress.absent.get(span)
                if evidence is not None and now_s < evidence.again_s:
                    continue
                first = max(span.first, beyond)
                while first <= span.last:
                    beyond = first + self._page_size
                    yield first, gap.detected_us
                    first = beyond


async def find_origins(intake: Intake, venue: Venue, rest: RestClient) -> None:
    """Find where symbols that are new to the lake begin, so that their first trades count too.

    Capture begins after the venue's newest trade; at a market without trades, with its first one.
    Skipped for more symbols than a quarter of the request budget pays for: each then begins with
    the first trade that arrives.
    """
    new = [name for name, state in intake.states.items() if state.continuity.last_seen is None]
    if sum(venue.latest_trade(name).weight for name in new) > rest.budget.allowed * _ORIGIN_SHARE:
        _log.info("origins_not_asked_for", symbols=len(new))
        return
    for name in new:
        state = intake.states[name]
        try:
            trades = venue.decode_trades(await rest.get(venue.latest_trade(name)))
        except (RestError, DecodeError) as error:
            # Asking again would hold up the start; the first trade that arrives will do.
            _log.warning("origin_unknown", symbol=name, error=str(error)[:200])
            continue
        if trades:
            state.continuity.next_id = trades[-1].trade_id + 1
        else:
            state.is_newborn = True


class Repairer:
    """Carries the plan out, and checks symbols that have gone silent.

    Args:
        has_room: whether memory may take more trades now.
        on_loss: told of a symbol whose silence was a loss.
    """

    def __init__(
        self,
        intake: Intake,
        venue: Venue,
        rest: RestClient,
        clock: Clock,
        *,
        has_room: Callable[[], bool] = lambda: True,
        on_loss: Callable[[str], None] = lambda _symbol: None,
    ) -> None:
        self._intake = intake
        self._venue = venue
        self._rest = rest
        self._clock = clock
        self._has_room = has_room
        self._on_loss = on_loss
        self._probes: dict[str, None] = {}  # an ordered set
        self._page_weight = venue.trades_from(intake.symbols[0], 0).weight
        # Since the budget last ran out there has always been a gap to repair.
        self._is_behind = False
        self.plan = RepairPlan(
            intake.gaps.open_gaps,
            {name: state.continuity for name, state in intake.states.items()},
            venue.page_size,
        )
        self.quiet: Callable[[str], None] = lambda _symbol: None

    def probe(self, symbol: str) -> None:
        """Ask the venue whether this symbol's silence is a quiet market."""
        self._probes.setdefault(symbol)

    async def run(self) -> None:
        """Repair and probe until cancelled."""
        while True:
            if not self._has_room() or not (
                await self._first_of_newborn()
                or await self._repair_one()
                or await self._probe_one()
            ):
                await asyncio.sleep(0.05)

    async def _repair_one(self) -> bool:
        if not self.plan.owes():
            self._is_behind = False
            return False
        if not self._affords(1.0):
            self._is_behind = True
            return False
        now_us = self._clock.now_us()
        budget = self._rest.budget
        scarce = self._is_behind or budget.used(now_us / 1e6) > budget.allowed // 2
        fetch = self.plan.next(self._clock.steady_s(), now_us, scarce=scarce)
        if fetch is None:
            return False
        try:
            trades = await self._page(fetch, share=1.0)
        except (RestError, DecodeError) as error:
            _log.warning("repair_failed", symbol=fetch.symbol, error=str(error)[:200])
            self.plan.failed(fetch, self._clock.steady_s())
            return True
        self._take(fetch, trades)
        return True

    def _take(self, fetch: Fetch, trades: Sequence[RestTrade]) -> None:
        self._intake.recover(fetch.symbol, trades, self._clock.now_us())
        for hole in self.plan.answered(fetch, trades, self._clock.steady_s()):
            _log.warning("venue_hole", symbol=fetch.symbol, first=hole.first, last=hole.last)
            self._intake.gaps.admit_hole(fetch.symbol, hole)

    async def _first_of_newborn(self) -> bool:
        """Ask where a market began that had no trade when capture began."""
        for name, state in self._intake.states.items():
            first = state.first_id
            if not state.is_newborn or first is None:
                continue
            state.is_newborn = False
            fetch = Fetch(name, 0)
            try:
                trades = await self._page(fetch, share=1.0)
                _refuse_empty(trades)
            except (RestError, DecodeError) as error:
                _log.warning("origin_unknown", symbol=name, error=str(error)[:200])
                state.is_newborn = True
                await asyncio.sleep(_FIRST_RETRY_S)
                return False
            # A market that had no trade yet is less than a page old; more would mean that the
            # answer "no trades" was wrong.
            if 0 < first - trades[0].trade_id <= self._venue.page_size:
                span = Span(trades[0].trade_id, first - 1)
                state.continuity.add_missing(*span)
                self._intake.gaps.declare(name, span, self._clock.now_us(), "start")
                self._take(fetch, trades)
            return True
        return False

    async def _probe_one(self) -> bool:
        if not self._probes:
            return False
        symbol = next(iter(self._probes))
        # A probe must not wait for its share of the budget here: repairs would wait behind it.
        if not self._affords(_PROBE_SHARE):
            return False
        del self._probes[symbol]
        last_seen = self._intake.states[symbol].continuity.last_seen
        if last_seen is None:
            self.quiet(symbol)
            return True
        # From a trade that is known to exist: an empty answer then is seen to be wrong.
        fetch = Fetch(symbol, last_seen)
        try:
            trades = await self._page(fetch, share=_PROBE_SHARE)
            _refuse_empty(trades)
        except (RestError, DecodeError) as error:
            _log.warning("probe_failed", symbol=symbol, error=str(error)[:200])
            return True
        span = self._intake.expect_up_to(symbol, trades[-1].trade_id)
        if span is None:
            self.quiet(symbol)
            return True
        _log.warning("silence_was_loss", symbol=symbol, first=span.first, last=span.last)
        self._intake.gaps.declare(symbol, span, self._clock.now_us(), "silence")
        self._take(fetch, trades)
        self._on_loss(symbol)
        if len(trades) == self._venue.page_size:
            self.probe(symbol)
        return True

    def _affords(self, share: float) -> bool:
        """Whether the budget has room for a page now."""
        return self._rest.budget.wait_s(self._page_weight, self._clock.now_us() / 1e6, share) == 0.0

    async def _page(self, fetch: Fetch, share: float) -> list[RestTrade]:
        body = await self._rest.get(
            self._venue.trades_from(fetch.symbol, fetch.from_id), share=share
        )
        return self._venue.decode_trades(body)


def _refuse_empty(trades: Sequence[RestTrade]) -> None:
    """Raise DecodeError at an empty page where the venue is known to have trades."""
    if not trades:
        raise DecodeError("empty page", "the venue has trades from this id on")
