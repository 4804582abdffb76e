"""Waits between attempts, and the moment of a planned renewal."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

from streaming.backoff import Backoff, ConnectPacer, rollover_delay_s

NOON_US = int(datetime(2026, 7, 1, 12, tzinfo=UTC).timestamp() * 1e6)


def test_waits_grow_are_capped_and_jittered() -> None:
    backoff = Backoff(Random(1), first_s=1.0, cap_s=8.0)
    waits = [backoff.next_s() for _ in range(50)]
    assert all(0.5 * min(2.0**i, 8.0) <= wait <= min(2.0**i, 8.0) for i, wait in enumerate(waits))
    assert len(set(waits[5:])) > 40
    backoff.reset()
    assert backoff.next_s() <= 1.0


def test_attempts_stay_below_the_venues_window() -> None:
    pacer = ConnectPacer(allowed=10, window_s=100.0, share=0.5)
    for now in range(5):
        assert pacer.wait_s(now) == 0.0
        pacer.attempt(now)
    assert pacer.wait_s(5.0) == 95.0
    assert pacer.wait_s(100.0) == 0.0


def test_rollover_comes_at_the_chosen_time_and_never_after_the_age() -> None:
    assert rollover_delay_s(NOON_US, 23 * 3600.0) == 23 * 3600.0
    assert rollover_delay_s(NOON_US, 23 * 3600.0, "14:30") == 2.5 * 3600
    assert rollover_delay_s(NOON_US, 23 * 3600.0, "11:30") == 23 * 3600.0
    assert rollover_delay_s(NOON_US, 23 * 3600.0, "12:00") == 23 * 3600.0
    assert rollover_delay_s(NOON_US, 100.0, None, stagger_s=10.0) == 90.0
