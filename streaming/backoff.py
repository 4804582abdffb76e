"""When to try again, and when to renew. Pure functions of numbers and injected randomness."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from random import Random


class Backoff:
    """Waits that double up to a cap, each shortened at random by up to half.

    The jitter keeps many clients that lost the same server from returning in step.
    """

    def __init__(self, random: Random, *, first_s: float = 0.25, cap_s: float = 30.0) -> None:
        self._random = random
        self._first_s = first_s
        self._cap_s = cap_s
        self._failures = 0

    def next_s(self) -> float:
        """Seconds to wait after one more failure."""
        whole: float = min(self._first_s * 2.0**self._failures, self._cap_s)
        self._failures = min(self._failures + 1, 30)
        return whole * (0.5 + 0.5 * self._random.random())

    def reset(self) -> None:
        """Start over; call it when data flows, not when a connection merely opens."""
        self._failures = 0


class ConnectPacer:
    """Keeps connection attempts below what the venue allows an address in a sliding window."""

    def __init__(self, allowed: int, window_s: float, share: float = 0.8) -> None:
        self._allowed = max(int(allowed * share), 1)
        self._window_s = window_s
        self._attempts: deque[float] = deque()

    def wait_s(self, now_s: float) -> float:
        """Seconds until the next attempt is allowed; 0 if now."""
        while self._attempts and self._attempts[0] <= now_s - self._window_s:
            self._attempts.popleft()
        if len(self._attempts) < self._allowed:
            return 0.0
        return self._attempts[0] + self._window_s - now_s

    def attempt(self, now_s: float) -> None:
        """Count an attempt."""
        self._attempts.append(now_s)


def rollover_delay_s(
    connected_us: int, max_age_s: float, at: str | None = None, stagger_s: float = 0.0
) -> float:
    """Seconds after connecting at which a connection is replaced.

    Args:
        connected_us: when it connected, microseconds since the epoch.
        max_age_s: never later than this.
        at: UTC time of day, `HH:MM`, at which to do it; None: at `max_age_s`.
        stagger_s: earlier by this much, so that many connections do not renew at once.
    """
    if at is not None:
        connected = datetime.fromtimestamp(connected_us / 1e6, UTC)
        hour, minute = map(int, at.split(":"))
        planned = connected.replace(hour=hour, minute=minute, second=0, microsecond=0)
        if planned <= connected:
            planned += timedelta(days=1)
        delay = (planned - connected).total_seconds() + stagger_s
        if delay < max_age_s:
            return delay
    return max(max_age_s - stagger_s, 0.5 * max_age_s)
