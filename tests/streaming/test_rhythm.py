"""A symbol is overdue by its own rhythm."""

from __future__ import annotations

from streaming.rhythm import Rhythm


def test_a_busy_symbol_is_missed_soon_and_a_slow_one_late() -> None:
    rhythm = Rhythm(("BUSY", "SLOW"), 0.0, shortest_s=5.0, factor=20.0)
    for now in range(1, 200):
        rhythm.note({"BUSY": 10, "SLOW": 1 if now % 10 == 0 else 0}, now)
        assert rhythm.overdue(now) == [] or now < 10  # before SLOW's first trade
    for now in range(200, 207):
        rhythm.note({}, now)
    assert rhythm.overdue(206.0) == ["BUSY"]
    assert rhythm.silent_s("SLOW", 206.0) == 16.0


def test_a_quiet_symbol_is_asked_about_ever_more_rarely() -> None:
    rhythm = Rhythm(("QUIET",), 0.0, shortest_s=5.0)
    asked, now = [], 0.0
    while now < 100.0:
        now += 1.0
        if rhythm.overdue(now):
            asked.append(now)
            rhythm.checked("QUIET", now)
    assert asked == [6.0, 17.0, 38.0, 79.0]
    rhythm.note({"QUIET": 100}, 101.0)
    assert rhythm.overdue(120.0) == []
    assert rhythm.overdue(125.0) == ["QUIET"]
