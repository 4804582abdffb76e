"""A connection's bad line: frames dropped, doubled, held back, or damaged on their way."""

from __future__ import annotations

import heapq
import random
import re
from collections import Counter
from collections.abc import MutableMapping
from itertools import accumulate, count

from streaming.exchange.faults import FRAME_KINDS, FaultKind, FrameRates

_FIELD = re.compile(rb'"([tTpqm])":("[^"]*"|[^,}]*)')
_WRONG_VALUES = (b"null", b"{}", b"[]", b'"x"', b"-1.5e400", b'"NaN"')


class Link:
    """What happens to each payload that is sent on one connection.

    Args:
        rates: probability of each fault.
        rng: random numbers of this connection's own.
        injected: counts what was done.
    """

    def __init__(
        self, rates: FrameRates, rng: random.Random, injected: MutableMapping[FaultKind, int]
    ) -> None:
        self._rates = rates
        self._thresholds = list(accumulate(rates.rates()))
        self._rng = rng
        self._injected = injected
        self._armed: Counter[FaultKind] = Counter()
        self._held: list[tuple[int, int, bytes]] = []
        self._order = count()

    @property
    def is_clear(self) -> bool:
        """Whether nothing can happen to the next frame."""
        return not (self._thresholds[-1] or self._armed or self._held)

    def arm(self, kind: FaultKind, frames: int) -> None:
        """Let `kind` happen to the next `frames` frames."""
        self._armed[kind] += frames

    def send(self, payload: bytes, at_us: int) -> list[bytes]:
        """What goes out when `payload` is sent at market time `at_us`."""
        out = self.release(at_us)
        kind = self._draw()
        if kind is None:
            return [*out, payload]
        self._injected[kind] += 1
        if kind is FaultKind.REORDER:
            delay_us = self._rng.uniform(0, self._rates.reorder_within_ms) * 1_000
            heapq.heappush(self._held, (at_us + int(delay_us), next(self._order), payload))
            return out
        return [*out, *self._damage(kind, payload)]

    def release(self, at_us: int | None) -> list[bytes]:
        """The payloads held back until `at_us` or earlier (None: all)."""
        out = []
        while self._held and (at_us is None or self._held[0][0] <= at_us):
            out.append(heapq.heappop(self._held)[2])
        return out

    def _draw(self) -> FaultKind | None:
        for kind in self._armed:
            self._armed[kind] -= 1
            if not self._armed[kind]:
                del self._armed[kind]
            return kind
        if not self._thresholds[-1]:
            return None
        drawn = self._rng.random()
        for kind, threshold in zip(FRAME_KINDS, self._thresholds, strict=True):
            if drawn < threshold:
                return kind
        return None

    def _damage(self, kind: FaultKind, payload: bytes) -> list[bytes]:
        if kind is FaultKind.DROP:
            return []
        if kind is FaultKind.DUPLICATE:
            return [payload, payload]
        if kind is FaultKind.CORRUPT:
            # An odd number of quotation marks is never JSON, so no wrong value can look right.
            at = self._rng.choice([m.start() for m in re.finditer(b'"', payload)])
            return [payload[:at] + payload[at + 1 :]]
        if kind is FaultKind.TRUNCATE:
            return [payload[: self._rng.randrange(1, len(payload))]]
        if kind is FaultKind.WRONG_TYPE:
            return [self._with_wrong_type(payload)]
        if kind is FaultKind.UNKNOWN_EVENT:
            return [b'{"e":"%08x","E":0,"x":[{"y":null}]}' % self._rng.getrandbits(32), payload]
        padding = b"x" * self._rates.huge_bytes
        return [b'{"e":"padding","x":"' + padding + b'"}', payload]

    def _with_wrong_type(self, payload: bytes) -> bytes:
        fields = list(_FIELD.finditer(payload))
        if not fields:  # a quote
            return payload.replace(b'"s":', b'"s":1,"_":', 1)
        field = self._rng.choice(fields)
        wrong = self._rng.choice(_WRONG_VALUES)
        return payload[: field.start(2)] + wrong + payload[field.end(2) :]
