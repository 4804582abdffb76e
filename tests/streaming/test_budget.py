"""Requests wait for the venue's budget."""

from __future__ import annotations

import pytest

from streaming.budget import WeightBudget


def test_a_share_of_the_minute_may_be_spent() -> None:
    budget = WeightBudget(limit=100, share=0.5)
    budget.spend(25, now_s=60.0)
    assert budget.wait_s(25, 61.0) == 0.0
    budget.spend(25, 61.0)
    assert budget.wait_s(25, 62.0) == pytest.approx(58.0)
    assert budget.wait_s(25, 120.0) == 0.0


def test_the_venues_count_wins_when_it_is_higher() -> None:
    budget = WeightBudget(limit=100, share=1.0)
    budget.spend(10, 0.0)
    budget.observe(95, 1.0)
    assert budget.wait_s(10, 2.0) > 0
    budget.observe(3, 3.0)
    assert budget.used(3.0) == 95


@pytest.mark.parametrize(("retry_after_s", "wait_s"), [(7.0, 7.0), (None, 50.0)])
def test_a_refusal_silences_us(retry_after_s: float | None, wait_s: float) -> None:
    budget = WeightBudget()
    budget.refuse(retry_after_s, now_s=10.0)
    assert budget.wait_s(1, 10.0) == pytest.approx(wait_s)
    assert budget.wait_s(1, 10.0 + wait_s) == 0.0


def test_a_lesser_share_leaves_room_for_repairs() -> None:
    budget = WeightBudget(limit=100, share=1.0)
    budget.spend(40, 0.0)
    assert budget.wait_s(25, 0.0, share=0.5) > 0
    assert budget.wait_s(25, 0.0) == 0.0


def test_the_published_limit_is_adopted_and_nonsense_refused() -> None:
    budget = WeightBudget(share=0.5)
    budget.configure(1200)
    assert budget.allowed == 600
    with pytest.raises(ValueError, match="not positive"):
        budget.configure(0)
    with pytest.raises(ValueError, match="never be sent"):
        budget.wait_s(5000, 0.0)
    with pytest.raises(ValueError, match="share"):
        WeightBudget(share=0)
