"""Which trade ids of one symbol have been seen, and which are missing. No I/O, no clock.

Binance ids step by one per symbol; a venue whose messages cover a range of ids (`aggTrade` has
`f` and `l`) passes the range. State is the next id expected and the sorted, disjoint intervals
below it that have not arrived, so memory grows with the number of holes and not of trades.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class Span(NamedTuple):
    """An inclusive range of trade ids."""

    first: int
    last: int

    @property
    def width(self) -> int:
        """How many ids it covers."""
        return self.last - self.first + 1


class Verdict(Enum):
    """What an id is, given the ids before it."""

    NEXT = "next"
    DUPLICATE = "duplicate"
    LATE = "late"
    BEYOND_GAP = "beyond_gap"


@dataclass(frozen=True, slots=True)
class Observation:
    """The verdict on a range, and the gap that it revealed, if any."""

    verdict: Verdict
    gap: Span | None = None


_NEXT = Observation(Verdict.NEXT)
_LATE = Observation(Verdict.LATE)
_DUPLICATE = Observation(Verdict.DUPLICATE)

UNSTARTED = -1
"""`next_id` before the first id: no id equals it."""


class Continuity:
    """Tracks one symbol. `next_id` is public so that a hot path may test and advance it itself."""

    __slots__ = ("_firsts", "_lasts", "next_id")

    def __init__(self, last_seen: int | None = None) -> None:
        """`last_seen`: highest id that is already safe; None if this symbol is new."""
        self.next_id = UNSTARTED if last_seen is None else last_seen + 1
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    @property
    def last_seen(self) -> int | None:
        """The highest id seen."""
        return None if self.next_id == UNSTARTED else self.next_id - 1

    @property
    def last_contiguous(self) -> int | None:
        """The highest id below which nothing is missing."""
        return self._firsts[0] - 1 if self._firsts else self.last_seen

    @property
    def missing_count(self) -> int:
        """How many ids are missing."""
        return sum(self._lasts) - sum(self._firsts) + len(self._firsts)

    def observe(self, first: int, last: int | None = None) -> Observation:
        """Record the ids `first` to `last` (default: one id).

        A range that is partly new counts as late or next, not as duplicate.

        Raises:
            ValueError: the range is empty or negative.
        """
        last = first if last is None else last
        if not 0 <= first <= last:
            raise ValueError(f"ids {first}-{last} are not an ascending, non-negative range")
        expected = self.next_id
        if first == expected or expected == UNSTARTED:
            self.next_id = last + 1
            return _NEXT
        if first > expected:
            gap = Span(expected, first - 1)
            self._firsts.append(gap.first)
            self._lasts.append(gap.last)
            self.next_id = last + 1
            return Observation(Verdict.BEYOND_GAP, gap)
        filled = self.discard(first, min(last, expected - 1))
        if last >= expected:
            self.next_id = last + 1
            return _NEXT
        return _LATE if filled else _DUPLICATE

    def discard(self, first: int, last: int) -> int:
        """Stop missing `first` to `last` (they arrived, or never existed); how many were."""
        index = bisect_left(self._lasts, first)
        stop = bisect_right(self._firsts, last)
        if index >= stop:
            return 0
        low, high = self._firsts[index], self._lasts[stop - 1]
        held = sum(self._lasts[index:stop]) - sum(self._firsts[index:stop]) + stop - index
        kept_firsts, kept_lasts = [], []
        if low < first:
            kept_firsts.append(low)
            kept_lasts.append(first - 1)
        if high > last:
            kept_firsts.append(last + 1)
            kept_lasts.append(high)
        self._firsts[index:stop] = kept_firsts
        self._lasts[index:stop] = kept_lasts
        return held - (max(first - low, 0) + max(high - last, 0))

    def add_missing(self, first: int, last: int) -> None:
        """Miss ids below `next_id` that an earlier run, or a look at the lake, found absent."""
        self.discard(first, last)
        index = bisect_left(self._firsts, first)
        self._firsts.insert(index, first)
        self._lasts.insert(index, last)

    def is_missing(self, trade_id: int) -> bool:
        """Whether this id is known to be missing."""
        index = bisect_left(self._lasts, trade_id)
        return index < len(self._firsts) and self._firsts[index] <= trade_id

    def missing(self, first: int = 0, last: int | None = None) -> Iterator[Span]:
        """Missing ids as ascending spans, cut to `first`-`last`."""
        for index in range(bisect_left(self._lasts, first), len(self._firsts)):
            low, high = self._firsts[index], self._lasts[index]
            if last is not None and low > last:
                return
            yield Span(max(low, first), high if last is None else min(high, last))
