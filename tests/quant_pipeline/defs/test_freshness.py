"""Freshness: exactly the partitions whose bars changed, without a flood."""

from __future__ import annotations

from datetime import date

from quant_pipeline.defs.freshness import NEVER, SETTLE_S, Backlog, changed_pairs
from quant_pipeline.defs.partitions import PairDay
from quant_pipeline.settings import Pair

BTC_ETH = Pair("BTCUSDT", "ETHUSDT")
SOL_BTC = Pair("SOLUSDT", "BTCUSDT")
TODAY = date(2024, 8, 9)


def test_a_changed_leg_names_every_pair_it_is_in_and_no_other() -> None:
    changes = {("ETHUSDT", TODAY): 7}
    found = changed_pairs(changes, [BTC_ETH, SOL_BTC], first_day=date(2024, 1, 1))
    assert found == {"2024-08-09|BTCUSDT-ETHUSDT": 7}


def test_a_pair_is_as_fresh_as_its_fresher_leg() -> None:
    changes = {("ETHUSDT", TODAY): 7, ("BTCUSDT", TODAY): 9}
    assert changed_pairs(changes, [BTC_ETH], first_day=date(2024, 1, 1)) == {
        PairDay(TODAY, BTC_ETH).key: 9
    }


def test_a_day_before_the_first_partition_is_left_alone() -> None:
    changes = {("ETHUSDT", date(2020, 1, 1)): 7}
    assert changed_pairs(changes, [BTC_ETH], first_day=date(2024, 1, 1)) == {}


def test_a_partition_key_reads_back() -> None:
    partition = PairDay(TODAY, BTC_ETH)
    assert PairDay.parse(partition.key) == partition


def test_the_backlog_survives_a_restart() -> None:
    backlog = Backlog().add({"a": 3}, snapshot=3)
    assert Backlog.loads(backlog.dumps()) == backlog
    assert Backlog.loads(None).snapshot == NEVER


def test_work_is_bounded_and_nothing_of_a_backlog_is_lost() -> None:
    backlog = Backlog().add({f"day-{n:02d}": n for n in range(10)}, snapshot=10)
    done: list[str] = []
    for tick in range(4):
        chosen, backlog = backlog.take(now=1000.0 + tick, interval_s=30, limit=3, running=[])
        done += chosen
    assert sorted(done) == [f"day-{n:02d}" for n in range(10)]
    assert backlog.waiting == {}


def test_a_growing_day_is_run_once_a_minute_just_after_the_minute_has_closed() -> None:
    backlog = Backlog().add({"today": 1}, snapshot=1)
    chosen, backlog = backlog.take(now=600.0 + 43, interval_s=60, limit=5, running=[])
    assert chosen == {"today": 1}
    backlog = backlog.add({"today": 2}, snapshot=2)
    too_soon = 660.0 + SETTLE_S - 0.1
    assert backlog.take(now=too_soon, interval_s=60, limit=5, running=[])[0] == {}
    closed = 660.0 + SETTLE_S
    assert backlog.take(now=closed, interval_s=60, limit=5, running=["today"])[0] == {}
    assert backlog.take(now=closed, interval_s=60, limit=5, running=[])[0] == {"today": 2}


def test_a_run_that_failed_waits_again_until_five_were_in_vain() -> None:
    backlog = Backlog().add({"today": 7}, snapshot=7)
    asked = []
    for minute in range(10):
        chosen, backlog = backlog.take(now=60.0 * minute + 5, interval_s=60, limit=5, running=[])
        if chosen:
            asked.append(backlog.requested["today"])
        backlog = Backlog.loads(backlog.dumps()).settle(dict.fromkeys(backlog.requested, "failed"))
    assert asked == [(7, failures) for failures in range(5)]
    assert backlog.waiting == {}


def test_a_run_that_succeeded_is_forgotten_and_one_in_progress_is_not() -> None:
    _, backlog = (
        Backlog().add({"a": 1, "b": 1}, 1).take(now=5.0, interval_s=60, limit=5, running=[])
    )
    backlog = backlog.settle({"a": "succeeded", "b": "unfinished"})
    assert backlog.requested == {"b": (1, 0)}
    assert backlog.waiting == {}


def test_nothing_of_a_removed_pair_is_run_any_more() -> None:
    gone, kept = PairDay(TODAY, BTC_ETH).key, PairDay(TODAY, SOL_BTC).key
    backlog = Backlog().add({gone: 1, kept: 1}, 1).keep([SOL_BTC])
    assert list(backlog.waiting) == [kept]
    assert backlog.pairs == (SOL_BTC.key,)


def test_those_that_never_ran_come_before_those_that_did() -> None:
    backlog = Backlog(1, {"today": 5, "last-week": 5}, {"today": 10.0})
    chosen, _ = backlog.take(now=100.0, interval_s=30, limit=1, running=[])
    assert chosen == {"last-week": 5}
