"""The venue's limits: counted, enforced, and written down so that a test can assert none was hit.

Pure state machines: the caller passes the time in seconds on any steady clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

MAX_STREAMS = 1_024
"""Streams that one connection may listen to."""
MAX_MESSAGES = 5
"""Messages a second that a client may send on one connection: PING, PONG and JSON alike."""
MAX_ATTEMPTS = 300
"""Connection attempts per address in five minutes."""
ATTEMPT_WINDOW_S = 300.0
MAX_WEIGHT = 6_000
"""Request weight per address and minute."""
WEIGHT_WINDOW_S = 60.0
_STRIKES = 10
_FIRST_BAN_S = 120.0
_LONGEST_BAN_S = 259_200.0


class Violation(NamedTuple):
    """A client broke a limit (or could not keep up), and what was seen."""

    kind: str
    """streams, messages, attempts, weight, banned, slow_client or no_pong."""
    peer: str
    detail: str


class RateLimit:
    """At most `limit` events in any `window_s` seconds."""

    def __init__(self, limit: int, window_s: float) -> None:
        self._limit = limit
        self._window_s = window_s
        self._times: deque[float] = deque()

    def allow(self, now_s: float) -> bool:
        """Count one event; False if it is one too many."""
        self._times.append(now_s)
        while self._times[0] <= now_s - self._window_s:
            self._times.popleft()
        return len(self._times) <= self._limit


class Verdict(NamedTuple):
    """What to answer to a request: 200, 429 or 418."""

    status: int
    used: int
    """Weight used in this minute, for `X-MBX-USED-WEIGHT-1M`."""
    retry_after_s: int = 0


@dataclass
class RequestWeight:
    """One address's request weight: minute windows, 429 beyond the limit, then 418.

    Whoever goes on asking after a 429 is banned: for two minutes, doubled each time, up to
    three days.
    """

    limit: int = MAX_WEIGHT
    _window: int = -1
    _used: int = 0
    _strikes: int = 0
    _banned_until_s: float = 0.0
    _ban_s: float = field(default=_FIRST_BAN_S)

    def spend(self, weight: int, now_s: float) -> Verdict:
        """Count a request of `weight` at `now_s`, in seconds since 1970."""
        window = int(now_s // WEIGHT_WINDOW_S)
        if window != self._window:
            self._window, self._used, self._strikes = window, 0, 0
        if now_s < self._banned_until_s:
            return Verdict(418, self._used, _ceil(self._banned_until_s - now_s))
        self._used += weight
        if self._used <= self.limit:
            return Verdict(200, self._used)
        self._strikes += 1
        if self._strikes > _STRIKES:
            self._banned_until_s = now_s + self._ban_s
            wait_s, self._ban_s = self._ban_s, min(2 * self._ban_s, _LONGEST_BAN_S)
            return Verdict(418, self._used, _ceil(wait_s))
        return Verdict(429, self._used, _ceil((window + 1) * WEIGHT_WINDOW_S - now_s))


def _ceil(seconds: float) -> int:
    return max(1, -int(-seconds // 1))
