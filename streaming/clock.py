"""The one clock of the worker, passed in wherever time matters."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for what is stored, steady time for what is waited for."""

    def now_us(self) -> int:
        """Microseconds since the epoch, UTC."""

    def steady_s(self) -> float:
        """Seconds since some moment; never steps back."""


class SystemClock:
    """The machine's clocks."""

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def steady_s(self) -> float:
        return time.monotonic()
