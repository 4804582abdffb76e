"""The repair plan asks for the right pages and believes only what a page can prove."""

from __future__ import annotations

from streaming.continuity import Span
from streaming.gaps import LONG_ABSENCE
from streaming.intake import Channel, Intake
from streaming.rejects import Rejects
from streaming.repair import Fetch, RepairPlan
from streaming.venues import RestTrade
from streaming.venues.binance import Binance

PAGE = 1000
LATER_US = 60_000_000


def intake(*symbols: str) -> Intake:
    made = Intake(Binance(), symbols or ("BTCUSDT",), Rejects(None), 0)
    for state in made.states.values():
        state.continuity.next_id = 100
    return made


def plan_of(capture: Intake) -> RepairPlan:
    continuities = {name: state.continuity for name, state in capture.states.items()}
    return RepairPlan(capture.gaps.open_gaps, continuities, PAGE)


def lose(capture: Intake, symbol: str, first: int, last: int, cause: str = "stream") -> None:
    span = capture.expect_up_to(symbol, last)
    assert span is not None
    capture.states[symbol].continuity.discard(span.first, first - 1)
    capture.states[symbol].continuity.observe(last + 1)
    capture.gaps.declare(symbol, Span(first, last), 0, cause)


def page(*ids: int) -> list[RestTrade]:
    return [RestTrade(i, 1_723_161_254_000_000, 1.0, 1.0, True) for i in ids]


def test_nothing_is_due_without_a_gap() -> None:
    assert plan_of(intake()).next(0.0, LATER_US, scarce=False) is None


def test_a_gap_is_asked_for_from_its_first_missing_id() -> None:
    capture = intake()
    lose(capture, "BTCUSDT", 150, 160)
    plan = plan_of(capture)
    assert plan.next(0.0, LATER_US, scarce=False) == Fetch("BTCUSDT", 150)
    assert capture.recover("BTCUSDT", page(*range(150, 156)), 1) == 6
    assert plan.answered(Fetch("BTCUSDT", 150), page(*range(150, 156)), 0.0) == []
    assert plan.next(0.0, LATER_US, scarce=False) == Fetch("BTCUSDT", 156)


def test_the_page_that_recovers_most_goes_first() -> None:
    capture = intake("BTCUSDT", "ETHUSDT")
    lose(capture, "BTCUSDT", 150, 152)
    lose(capture, "ETHUSDT", 150, 180)
    fetch = plan_of(capture).next(0.0, 20_000_000, scarce=True)
    assert fetch == Fetch("ETHUSDT", 150)


def test_neighbouring_holes_share_a_page() -> None:
    capture = intake()
    for first in range(150, 2_600, 100):
        lose(capture, "BTCUSDT", first, first + 9)
    capture.states["BTCUSDT"].continuity.next_id = 10_000
    plan = plan_of(capture)
    asked = []
    while (fetch := plan.next(0.0, LATER_US, scarce=True)) is not None:
        asked.append(fetch.from_id)
        trades = page(*range(fetch.from_id, fetch.from_id + PAGE))
        capture.recover("BTCUSDT", trades, 1)
        assert plan.answered(fetch, trades, 0.0) == []
    assert sorted(asked) == [150, 1_150, 2_150]


def test_a_page_full_of_missing_trades_goes_before_a_single_one_noticed_earlier() -> None:
    capture = intake()
    lose(capture, "BTCUSDT", 150, 150)
    lose(capture, "BTCUSDT", 1_500, 3_000)
    assert plan_of(capture).next(0.0, LATER_US, scarce=True) == Fetch("BTCUSDT", 1_500)


def test_a_young_gap_waits_for_its_page_to_fill_when_the_budget_is_scarce() -> None:
    capture = intake()
    lose(capture, "BTCUSDT", 150, 150)
    plan = plan_of(capture)
    assert plan.next(0.0, 2_000_000, scarce=True) is None
    assert plan.next(0.0, 2_000_000, scarce=False) is not None
    capture.expect_up_to("BTCUSDT", 5_000)
    assert plan.next(0.0, 2_000_000, scarce=True) is not None


def test_an_empty_page_proves_nothing_and_is_asked_for_again_later() -> None:
    capture = intake()
    lose(capture, "BTCUSDT", 150, 160)
    plan = plan_of(capture)
    now_s = 0.0
    for _ in range(5):
        fetch = plan.next(now_s, LATER_US, scarce=False)
        assert fetch is not None
        assert plan.answered(fetch, [], now_s) == []
        assert plan.next(now_s, LATER_US, scarce=False) is None
        now_s += 10.0


def test_ids_that_two_pages_skip_are_the_venues_hole() -> None:
    capture = intake()
    lose(capture, "BTCUSDT", 150, 160)
    plan = plan_of(capture)
    fetch = Fetch("BTCUSDT", 150)
    trades = page(150, 151, 155, 156, 157, 158, 159, 160, 161)
    capture.recover("BTCUSDT", trades, 1)
    assert plan.answered(fetch, trades, 0.0) == []
    assert plan.next(0.5, LATER_US, scarce=False) is None
    assert plan.answered(fetch, trades, 0.5) == []  # too soon to be a second proof
    again = plan.next(1.6, LATER_US, scarce=False)
    assert again == Fetch("BTCUSDT", 152)
    assert plan.answered(again, page(155, 156, 161), 1.6) == [Span(152, 154)]


def test_failures_wait_longer_each_time_and_then_rest() -> None:
    capture = intake()
    lose(capture, "BTCUSDT", 150, 160)
    plan = plan_of(capture)
    now_s, waits = 0.0, []
    for _ in range(12):
        started_s = now_s
        while (fetch := plan.next(now_s, LATER_US, scarce=False)) is None:
            now_s += 0.25
        waits.append(now_s - started_s)
        plan.failed(fetch, now_s)
    assert waits == sorted(waits)
    assert waits[-1] <= 30.0
    assert plan.next(now_s + 599, LATER_US, scarce=False) is None
    assert plan.next(now_s + 601, LATER_US, scarce=False) is not None


def test_a_long_absence_is_left_to_backfill() -> None:
    capture = intake()
    lose(capture, "BTCUSDT", 150, 150 + 2 * PAGE, LONG_ABSENCE)
    assert plan_of(capture).next(0.0, LATER_US, scarce=False) is None


def test_an_unknown_symbol_and_a_stranger_are_counted_not_stored() -> None:
    rejects = Rejects(None)
    capture = Intake(Binance(), ("BTCUSDT",), rejects, 0)
    frame = (
        b'{"data":{"e":"trade","s":"DOGEUSDT","t":1,"p":"1","q":"1","T":1723161255342,"m":true}}'
    )
    capture.feeder(Channel())(frame, 1)
    assert rejects.counts == {"unknown symbol": 1}
    assert len(capture) == 0
