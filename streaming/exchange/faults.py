"""What goes wrong, and when: fault rates, a script of faults, or seeded chaos.

REST keeps the truth whatever happens to WebSocket frames, so that every loss can be repaired; only
a venue hole removes trades from both.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
import tomllib
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Literal

import msgspec


class FaultKind(StrEnum):
    """Every fault there is. Times called market time run with the market, others with the clock."""

    # --- connections ---
    DISCONNECT_CLEAN = "disconnect_clean"
    """A close frame, code 1001."""
    DISCONNECT_ABRUPT = "disconnect_abrupt"
    """A TCP reset; what was not sent yet is lost."""
    HALF_OPEN = "half_open"
    """The socket stays open but neither sends nor answers any more."""
    CUT_MID_FRAME = "cut_mid_frame"
    """The connection ends within a frame."""
    SERVER_SHUTDOWN = "server_shutdown"
    """A `serverShutdown` event; `duration_s` later the connections open then are closed."""
    LIFETIME = "lifetime"
    """The 24 h cut; not scripted but set as `max_age_s`."""
    # --- the next `count` frames of a connection ---
    DROP = "drop"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    """Held back for a random time of up to `reorder_within_ms`, market time."""
    CORRUPT = "corrupt"
    """A quotation mark is lost: not JSON any more."""
    TRUNCATE = "truncate"
    """A whole frame with half of the text."""
    WRONG_TYPE = "wrong_type"
    """A field holds a value of another type."""
    UNKNOWN_EVENT = "unknown_event"
    """An event of a kind that does not exist goes out before the frame."""
    HUGE = "huge"
    """A frame of `huge_bytes` goes out before the frame."""
    # --- REST, the next `count` requests for market data ---
    REST_ERROR = "rest_error"
    """Answered with `status` (400, 418, 429 or 500); the first three with `Retry-After` as due."""
    REST_SLOW = "rest_slow"
    """Answered after `duration_s`."""
    REST_EMPTY = "rest_empty"
    """Answered with an empty page."""
    # --- the market ---
    VENUE_HOLE = "venue_hole"
    """The next `count` trade ids of `symbol` are never used: neither stream nor REST has them."""
    CLOCK_STEP = "clock_step"
    """Trades made in the next `duration_s` of market time are stamped `step_ms` off."""
    HALT = "halt"
    """`symbol` is halted and relisted after `duration_s` of market time; what was held back
    comes then, in order."""


FRAME_KINDS = (
    FaultKind.DROP,
    FaultKind.DUPLICATE,
    FaultKind.REORDER,
    FaultKind.CORRUPT,
    FaultKind.TRUNCATE,
    FaultKind.WRONG_TYPE,
    FaultKind.UNKNOWN_EVENT,
    FaultKind.HUGE,
)
"""Faults of single frames, in the order in which `FrameRates` lists them."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault of a script. It happens at `at_s` or after `after_trades`, or at once."""

    kind: FaultKind
    at_s: float | None = None
    """Market time since the market's start, s."""
    after_trades: int | None = None
    """When so many trades (all symbols) have been published."""
    symbol: str | None = None
    """For venue_hole and halt; None: a random one."""
    connections: Literal["all", "one"] = "all"
    """For connections and frames: all that are open, or a random one."""
    count: int = 1
    duration_s: float = 1.0
    status: Literal[400, 418, 429, 500] = 500
    retry_after_s: int = 1
    step_ms: int = 0

    def __post_init__(self) -> None:
        if self.kind is FaultKind.LIFETIME:
            raise ValueError("fault 'lifetime' is not scripted; set max_age_s")
        if self.at_s is not None and self.after_trades is not None:
            raise ValueError(f"fault {self.kind!r} has both at_s and after_trades; give one")
        if self.count < 1 or self.duration_s < 0:
            raise ValueError(
                f"fault {self.kind!r}: count {self.count} and duration_s {self.duration_s} must "
                "be at least 1 and 0"
            )


class FrameRates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Probability of each fault, per frame and connection; a frame has at most one."""

    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    truncate: float = 0.0
    wrong_type: float = 0.0
    unknown_event: float = 0.0
    huge: float = 0.0
    reorder_within_ms: float = 200.0
    huge_bytes: int = 2 << 20

    def __post_init__(self) -> None:
        rates = self.rates()
        if min(rates) < 0 or sum(rates) > 1:
            raise ValueError(f"frame fault rates {rates} must be positive and sum to at most 1")

    def rates(self) -> list[float]:
        """The probabilities in the order of `FRAME_KINDS`."""
        return [getattr(self, kind.value) for kind in FRAME_KINDS]


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that goes wrong in one run of the exchange; the default is nothing."""

    seed: int = 0
    frames: FrameRates = FrameRates()
    event: tuple[Fault, ...] = ()
    """The script, in any order."""
    chaos_every_s: float | None = None
    """Mean market time between random faults, s; every kind comes once before any comes twice."""
    max_age_s: float | None = None
    """Lifetime of a connection, s; None: the venue's 24 h."""

    @classmethod
    def load(cls, path: Path) -> Faults:
        """Read a TOML file with these fields (`[frames]`, `[[event]]`).

        Raises:
            ValueError: the file is not TOML or does not fit; names the file and what is wrong.
        """
        try:
            return msgspec.convert(tomllib.loads(path.read_text("utf-8")), cls)
        except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            raise ValueError(f"faults file {str(path)!r}: {error}") from error

    @classmethod
    def chaos(cls, seed: int = 0, *, every_s: float = 3.0) -> Faults:
        """A fault of every kind, at random, for as long as the market runs.

        What is lost stays within what REST's request weight can bring back at a few thousand
        trades a second.
        """
        return cls(
            seed=seed,
            frames=FrameRates(
                drop=1e-4,
                duplicate=2e-3,
                reorder=2e-3,
                corrupt=2e-5,
                truncate=2e-5,
                wrong_type=2e-5,
                unknown_event=1e-4,
            ),
            chaos_every_s=every_s,
            max_age_s=45.0,
        )

    def script(self) -> Iterator[Fault]:
        """The faults with an `at_s`, scripted and random, by time. Endless if there is chaos."""
        timed = sorted((fault for fault in self.event if fault.after_trades is None), key=_time_of)
        if self.chaos_every_s is None:
            return iter(timed)
        chaos = random_faults(random.Random(self.seed), self.chaos_every_s)
        return heapq.merge(timed, chaos, key=_time_of)


class Schedule:
    """Which faults are due."""

    def __init__(self, faults: Faults) -> None:
        self._timed = faults.script()
        self._next = next(self._timed, None)
        counted = [fault for fault in faults.event if fault.after_trades is not None]
        self._counted = sorted(counted, key=lambda fault: fault.after_trades or 0)

    @property
    def next_at_us(self) -> int | None:
        """Market time of the next timed fault, µs since the start; None if there is none."""
        return None if self._next is None else _time_us_of(self._next)

    @property
    def next_after_trades(self) -> int | None:
        """Trade count of the next counted fault; None if there is none."""
        return self._counted[0].after_trades if self._counted else None

    def due(self, elapsed_us: int, trades: int) -> list[Fault]:
        """Take what is due at this market time since the start and number of trades."""
        due: list[Fault] = []
        while self._next is not None and _time_us_of(self._next) <= elapsed_us:
            due.append(self._next)
            self._next = next(self._timed, None)
        while self._counted and (self._counted[0].after_trades or 0) <= trades:
            due.append(self._counted.pop(0))
        return due


def random_faults(rng: random.Random, every_s: float) -> Iterator[Fault]:
    """Faults at random times, all kinds shuffled, then all again."""
    at_s = 0.0
    kinds = [kind for kind in FaultKind if kind is not FaultKind.LIFETIME]
    for _ in itertools.count():
        rng.shuffle(kinds)
        for kind in kinds:
            at_s += rng.expovariate(1 / every_s)
            yield _random_fault(kind, at_s, rng)


def _random_fault(kind: FaultKind, at_s: float, rng: random.Random) -> Fault:
    count, duration_s = 1, rng.uniform(0.5, 3.0)
    if kind is FaultKind.DROP:
        count = rng.randint(1, 200)
    elif kind in FRAME_KINDS and kind is not FaultKind.HUGE:
        count = rng.randint(1, 5)
    elif kind is FaultKind.VENUE_HOLE:
        count = rng.randint(1, 20)
    elif kind in (FaultKind.REST_ERROR, FaultKind.REST_SLOW, FaultKind.REST_EMPTY):
        count = rng.randint(1, 3)
    elif kind is FaultKind.HALT:
        duration_s = rng.uniform(2.0, 10.0)
    statuses: tuple[Literal[400, 418, 429, 500], ...] = (400, 418, 429, 500)
    return Fault(
        kind=kind,
        at_s=at_s,
        connections="one",
        count=count,
        duration_s=duration_s,
        status=rng.choice(statuses),
        step_ms=rng.choice((-1, 1)) * rng.randint(50, 5_000),
    )


def _time_us_of(fault: Fault) -> int:
    return math.ceil(_time_of(fault) * 1e6)


def _time_of(fault: Fault) -> float:
    return fault.at_s or 0.0
