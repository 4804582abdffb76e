"""Rules: hysteresis holds whatever the sequence, and the undefined changes nothing."""

from __future__ import annotations

import math
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipeline.alerts.rules import (
    Change,
    Observation,
    Rule,
    Severity,
    configured,
    decide,
    unwatched,
)
from quant_pipeline.settings import AlertRule, Settings

AT = datetime.fromisoformat("2024-08-09T12:00")

levels = st.tuples(
    st.floats(-1e6, 1e6, allow_subnormal=False), st.floats(-1e6, 1e6, allow_subnormal=False)
).filter(lambda pair: pair[0] != pair[1])
values = st.lists(st.none() | st.floats(), max_size=60)


@pytest.fixture(scope="module")
def rules() -> dict[AlertRule, Rule]:
    return configured(Settings())


def _rule(raise_at: float, clear_at: float) -> Rule:
    return Rule("zscore", raise_at, clear_at, Severity.WARNING, "{value}", "{value}")


def _walk(rule: Rule, sequence: list[float | None]) -> list[tuple[Change, float | None]]:
    found, is_open = [], False
    for value in sequence:
        change = rule.step(value, is_open=is_open)
        if change is not None:
            is_open = change is Change.RAISED
            found.append((change, value))
    return found


@given(levels, values)
def test_changes_alternate_and_respect_both_levels(
    pair: tuple[float, float], sequence: list[float | None]
) -> None:
    rule = _rule(*pair)
    changes = _walk(rule, sequence)
    assert [change for change, _ in changes] == [
        Change.RAISED if place % 2 == 0 else Change.CLEARED for place in range(len(changes))
    ]
    sign = 1 if rule.raise_at > rule.clear_at else -1
    for change, value in changes:
        assert value is not None
        assert math.isfinite(value)
        level = rule.raise_at if change is Change.RAISED else rule.clear_at
        assert (sign * value >= sign * level) is (change is Change.RAISED or value == level)


@given(levels, values, st.lists(st.sampled_from([None, math.nan, math.inf, -math.inf])))
def test_undefined_values_anywhere_change_nothing(
    pair: tuple[float, float], sequence: list[float | None], undefined: list[float | None]
) -> None:
    rule = _rule(*pair)
    mixed = [item for value in sequence for item in (*undefined, value)]
    assert _walk(rule, [*mixed, *undefined]) == _walk(rule, sequence)


@given(levels, st.lists(st.floats(0, 1, exclude_min=True, exclude_max=True), max_size=40))
def test_a_value_between_the_levels_never_changes_anything(
    pair: tuple[float, float], shares: list[float]
) -> None:
    rule = _rule(*pair)
    low, high = sorted(pair)
    between = [low + share * (high - low) for share in shares]
    inside = [value for value in between if low < value < high]
    for is_open in (False, True):
        assert all(rule.step(value, is_open=is_open) is None for value in inside)


def test_a_rule_without_hysteresis_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'zscore' is raised and cleared at 2\.5"):
        _rule(2.5, 2.5)


def test_every_rule_reads_as_a_sentence_about_its_subject(rules: dict[AlertRule, Rule]) -> None:
    assert set(rules) == set(Settings().alert_rules)
    (alert,) = decide(rules, [Observation("zscore", "BTCUSDT/ETHUSDT", 2.71, AT)], set())
    assert alert.message == (
        "BTCUSDT/ETHUSDT: the spread is 2.7 trailing standard deviations from its mean"
        " (from 2.5 on)"
    )


def test_an_open_alert_is_not_raised_again_and_one_observation_counts(
    rules: dict[AlertRule, Rule],
) -> None:
    seen = [Observation("zscore", "A/B", 3.0, AT), Observation("zscore", "A/B", 0.0, AT)]
    assert decide(rules, seen[:1], {("zscore", "A/B")}) == []
    assert [each.change for each in decide(rules, seen, set())] == [Change.RAISED]


def test_cointegration_is_lost_only_where_it_was_found(rules: dict[AlertRule, Rule]) -> None:
    def seen(pvalue: float) -> list[Observation]:
        return [
            Observation("cointegration_gained", "A/B", pvalue, AT),
            Observation("cointegration_lost", "A/B", pvalue, AT),
        ]

    is_open: set[tuple[str, str]] = set()
    told = []
    for pvalue in (0.5, 0.07, 0.04, 0.07, 0.2, 0.07, 0.01):
        for each in decide(rules, seen(pvalue), frozenset(is_open)):
            if each.change is Change.RAISED:
                is_open.add(each.key)
            else:
                is_open.remove(each.key)
            if each.message:
                told.append((pvalue, each.rule.name, each.change.value))
    assert told == [
        (0.04, "cointegration_gained", "raised"),
        (0.2, "cointegration_lost", "raised"),
        (0.01, "cointegration_gained", "raised"),
    ]
    assert is_open == {("cointegration_gained", "A/B")}


def test_what_nothing_judges_any_more_is_named() -> None:
    is_open = [
        ("zscore", "A/B"),
        ("zscore", "C/D"),
        ("volume_spike", "A"),
        ("stale_feed", "stream"),
        ("failed_run", "bars"),
    ]
    found = unwatched(is_open, {"zscore", "stale_feed", "failed_run"}, {"A", "B", "A/B"})
    assert found == [("zscore", "C/D"), ("volume_spike", "A")]


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"alert_zscore_raise": 1.0}, "alert_zscore_clear 1 is not below alert_zscore_raise 1"),
        ({"alert_rules": ("cointegration_lost",)}, "without 'cointegration_gained'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    changed: dict[str, object], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        Settings(**changed)  # type: ignore[arg-type]
