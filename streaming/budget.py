"""The venue's request budget: how long to wait before a request may be sent. No I/O, no clock."""

from __future__ import annotations

import math

_WINDOW_S = 60.0


class WeightBudget:
    """Request weight of one address, counted by the minute as the venue counts it.

    The venue's own count (other programs on this address included) replaces ours whenever an
    answer carries it and it is higher.
    """

    def __init__(self, limit: int = 6000, share: float = 0.8) -> None:
        """
        Args:
            limit: weight a minute that the venue allows.
            share: part of it that we allow ourselves, in (0, 1].
        """
        if not 0.0 < share <= 1.0:
            raise ValueError(f"share {share} of the request budget is not in (0, 1]")
        self._limit = limit
        self._share = share
        self._minute = -1
        self._used = 0
        self._blocked_until = -math.inf

    @property
    def allowed(self) -> int:
        """Weight a minute that we allow ourselves."""
        return int(self._limit * self._share)

    def configure(self, limit: int) -> None:
        """Adopt the limit that the venue publishes."""
        if limit <= 0:
            raise ValueError(f"request weight limit {limit} is not positive")
        self._limit = limit

    def used(self, now_s: float) -> int:
        """Weight spent in the current minute."""
        self._roll(now_s)
        return self._used

    def wait_s(self, weight: int, now_s: float, share: float = 1.0) -> float:
        """Seconds until `weight` may be spent; 0 if now.

        Args:
            share: the part of our allowance that this kind of request may use up.

        Raises:
            ValueError: one request is heavier than a whole minute's allowance.
        """
        if weight > self._limit:
            raise ValueError(
                f"a request of weight {weight} can never be sent: the venue allows {self._limit} "
                "a minute"
            )
        self._roll(now_s)
        wait = max(self._blocked_until - now_s, 0.0)
        if self._used and self._used + weight > self.allowed * share:
            wait = max(wait, (self._minute + 1) * _WINDOW_S - now_s)
        return wait

    def spend(self, weight: int, now_s: float) -> None:
        """Count a request that is being sent."""
        self._roll(now_s)
        self._used += weight

    def observe(self, used_weight: int, now_s: float) -> None:
        """Take over the venue's count for the current minute if it is above ours."""
        self._roll(now_s)
        self._used = max(self._used, used_weight)

    def refuse(self, retry_after_s: float | None, now_s: float) -> None:
        """Be silent as a 429 or 418 demands; without `Retry-After`, until the minute ends."""
        if retry_after_s is None:
            retry_after_s = _WINDOW_S - now_s % _WINDOW_S
        self._blocked_until = max(self._blocked_until, now_s + retry_after_s)

    def _roll(self, now_s: float) -> None:
        minute = int(now_s // _WINDOW_S)
        if minute != self._minute:
            self._minute, self._used = minute, 0
