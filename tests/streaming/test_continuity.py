"""Trade ids are classified, and what is missing is known exactly, in any order of arrival."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.continuity import Continuity, Span, Verdict

ids = st.lists(st.integers(0, 60), min_size=1, max_size=120)


def ids_of(continuity: Continuity) -> set[int]:
    return {i for span in continuity.missing() for i in range(span.first, span.last + 1)}


def test_the_first_id_starts_the_sequence() -> None:
    continuity = Continuity()
    assert continuity.last_seen is None
    assert continuity.observe(100).verdict is Verdict.NEXT
    assert (continuity.last_seen, continuity.last_contiguous) == (100, 100)


def test_a_gap_is_known_the_moment_it_appears() -> None:
    continuity = Continuity(9)
    seen = continuity.observe(15)
    assert (seen.verdict, seen.gap) == (Verdict.BEYOND_GAP, Span(10, 14))
    assert (continuity.last_contiguous, continuity.missing_count) == (9, 5)


def test_a_late_id_is_not_a_duplicate() -> None:
    continuity = Continuity(9)
    continuity.observe(12)
    assert continuity.observe(11).verdict is Verdict.LATE
    assert continuity.observe(11).verdict is Verdict.DUPLICATE
    assert list(continuity.missing()) == [Span(10, 10)]


def test_ranges_work_like_the_ids_they_cover() -> None:
    continuity = Continuity()
    assert continuity.observe(10, 14).verdict is Verdict.NEXT
    assert continuity.observe(20, 29).gap == Span(15, 19)
    assert continuity.observe(16, 17).verdict is Verdict.LATE
    assert continuity.observe(15, 35).verdict is Verdict.NEXT
    assert (continuity.last_contiguous, continuity.next_id) == (35, 36)


@pytest.mark.parametrize(("first", "last"), [(5, 4), (-1, 3), (-2, -1)])
def test_a_range_that_cannot_be_is_refused(first: int, last: int) -> None:
    with pytest.raises(ValueError, match="ascending"):
        Continuity().observe(first, last)


@given(ids)
def test_missing_is_what_has_not_come_between_first_and_last(arrivals: list[int]) -> None:
    continuity = Continuity(arrivals[0] - 1) if arrivals[0] else Continuity()
    seen: set[int] = set()
    for arrival in arrivals:
        below_start = arrival < arrivals[0]
        verdict = continuity.observe(arrival).verdict
        assert (verdict is Verdict.DUPLICATE) == (arrival in seen or below_start)
        if not below_start:
            seen.add(arrival)
        expected = set(range(arrivals[0], max(seen) + 1)) - seen
        assert ids_of(continuity) == expected
        assert continuity.missing_count == len(expected)
        assert continuity.last_contiguous == (min(expected) if expected else max(seen) + 1) - 1
        for i in (arrival - 1, arrival, arrival + 1):
            assert continuity.is_missing(i) == (i in expected)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 12)), max_size=40))
def test_adding_and_discarding_ranges_is_set_arithmetic(
    steps: list[tuple[bool, int, int]],
) -> None:
    continuity, model = Continuity(100), set[int]()
    for is_added, first, width in steps:
        span = range(first, first + width + 1)
        if is_added:
            continuity.add_missing(span[0], span[-1])
            model |= set(span)
        else:
            assert continuity.discard(span[0], span[-1]) == len(model & set(span))
            model -= set(span)
        assert ids_of(continuity) == model
    assert {
        i for s in continuity.missing(10, 20) for i in range(s.first, s.last + 1)
    } == model & set(range(10, 21))
