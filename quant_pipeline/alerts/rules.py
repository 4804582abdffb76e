"""When an alert is raised and when it is cleared. Pure: a value and a state in, a change out."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from quant_pipeline.settings import AlertRule, Settings

STREAM: Final = "stream"
"""The subject of `stale_feed` when nothing arrives at all."""


class Severity(StrEnum):
    """How much a reader should care."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Change(StrEnum):
    """What a value does to an alert."""

    RAISED = "raised"
    CLEARED = "cleared"


@dataclass(frozen=True)
class Rule:
    """Raised at one level, cleared at another, so that a value that wavers raises one alert.

    Attributes:
        name: as in the setting `alert_rules`.
        raise_at: at or beyond this the alert is raised.
        clear_at: at or beyond this, on the other side, it is cleared. Below `raise_at` for a rule
            about large values, above it for a rule about small ones.
        severity: of its alerts.
        raised: what to say, a format of `value` and `threshold`.
        cleared: the same, of its end; empty where another rule says it.
        after: raised only where this other rule's alert was open just before.

    Raises:
        ValueError: both levels are the same, so there is no hysteresis.
    """

    name: AlertRule
    raise_at: float
    clear_at: float
    severity: Severity
    raised: str
    cleared: str
    after: AlertRule | None = None

    def __post_init__(self) -> None:
        if self.raise_at == self.clear_at:
            raise ValueError(
                f"alert rule {self.name!r} is raised and cleared at {self.raise_at:g}; "
                "set two different levels"
            )

    def step(self, value: float | None, *, is_open: bool) -> Change | None:
        """What `value` changes; an undefined value changes nothing.

        Example:
            >>> rule = Rule("zscore", 2.5, 1.0, Severity.WARNING, "{value}", "{value}")
            >>> rule.step(2.7, is_open=False), rule.step(2.7, is_open=True)
            (<Change.RAISED: 'raised'>, None)
        """
        if value is None or not math.isfinite(value):
            return None
        sign = 1.0 if self.raise_at > self.clear_at else -1.0
        if is_open:
            return Change.CLEARED if sign * value <= sign * self.clear_at else None
        return Change.RAISED if sign * value >= sign * self.raise_at else None


@dataclass(frozen=True)
class Observation:
    """A value that a rule judges.

    Attributes:
        rule: name of the rule.
        subject: pair as `BTCUSDT/ETHUSDT`, symbol, `stream`, or a job and its partition.
        value: None where it is undefined.
        observed_at: the market's or the run's time of it, UTC, naive.
    """

    rule: AlertRule
    subject: str
    value: float | None
    observed_at: datetime


@dataclass(frozen=True)
class Transition:
    """An alert to raise or to clear."""

    change: Change
    rule: Rule
    observation: Observation

    @property
    def key(self) -> tuple[str, str]:
        """Rule and subject: there is at most one open alert of each."""
        return self.rule.name, self.observation.subject

    @property
    def message(self) -> str:
        """What to tell a person, in a line; empty where another alert says it."""
        raised = self.change is Change.RAISED
        said = (self.rule.raised if raised else self.rule.cleared).format(
            value=self.observation.value,
            threshold=self.rule.raise_at if raised else self.rule.clear_at,
        )
        return f"{self.observation.subject}: {said}" if said else ""


def decide(
    rules: Mapping[AlertRule, Rule],
    observations: Iterable[Observation],
    is_open: Collection[tuple[str, str]],
) -> list[Transition]:
    """What changes, given the alerts open before; at most one change for each rule and subject."""
    changes: dict[tuple[str, str], Transition] = {}
    for seen in observations:
        key = seen.rule, seen.subject
        rule = rules.get(seen.rule)
        if rule is None or key in changes:
            continue
        change = rule.step(seen.value, is_open=key in is_open)
        waits = rule.after is not None and (rule.after, seen.subject) not in is_open
        if change is None or (change is Change.RAISED and waits):
            continue
        changes[key] = Transition(change, rule, seen)
    return list(changes.values())


def unwatched(
    is_open: Iterable[tuple[str, str]], rules: Collection[str], subjects: Collection[str]
) -> list[tuple[str, str]]:
    """Open alerts that no value will ever clear: the rule is off, or its subject is not captured.

    Failed runs are never unwatched while their rule is on: their subjects are jobs.
    """
    return [
        (rule, subject)
        for rule, subject in is_open
        if rule not in rules
        or (rule != "failed_run" and subject != STREAM and subject not in subjects)
    ]


def configured(settings: Settings) -> dict[AlertRule, Rule]:
    """The rules that the settings switch on, at the levels they name."""
    return {rule.name: rule for rule in _all(settings) if rule.name in settings.alert_rules}


def _all(settings: Settings) -> Iterable[Rule]:
    yield Rule(
        "zscore",
        settings.alert_zscore_raise,
        settings.alert_zscore_clear,
        Severity.WARNING,
        "the spread is {value:.1f} trailing standard deviations from its mean"
        " (from {threshold:g} on)",
        "the spread is back within {value:.1f} trailing standard deviations of its mean",
    )
    yield Rule(
        "correlation_breakdown",
        settings.alert_correlation_drop_raise,
        settings.alert_correlation_drop_clear,
        Severity.WARNING,
        "the correlation of returns is {value:.2f} below its median of the last week"
        " (from {threshold:g} on)",
        "the correlation of returns is back within {value:.2f} of its median of the last week",
    )
    gained, lost = settings.alert_cointegrated_below, settings.alert_cointegration_lost_above
    yield Rule(
        "cointegration_gained",
        gained,
        lost,
        Severity.INFO,
        "cointegration found: Engle–Granger p = {value:.3f} (at most {threshold:g})",
        "",  # `cointegration_lost` says it
    )
    yield Rule(
        "cointegration_lost",
        lost,
        gained,
        Severity.WARNING,
        "cointegration lost: Engle–Granger p = {value:.3f} (at least {threshold:g})",
        "",  # `cointegration_gained` says it
        after="cointegration_gained",
    )
    yield Rule(
        "spread_widening",
        settings.alert_spread_ratio_raise,
        settings.alert_spread_ratio_clear,
        Severity.WARNING,
        "the spread varies {value:.1f} times as much as on the median day of the last week"
        " (from {threshold:g} on)",
        "the spread varies {value:.1f} times as much as on the median day of the last week",
    )
    yield Rule(
        "volume_spike",
        settings.alert_volume_ratio_raise,
        settings.alert_volume_ratio_clear,
        Severity.INFO,
        "five minutes traded {value:.1f} times the median of the day before"
        " (from {threshold:g} on)",
        "volume is back at {value:.1f} times the median of the day before",
    )
    yield Rule(
        "stale_feed",
        1.0,
        0.5,
        Severity.CRITICAL,
        "no trade for {value:.1f} times its longest usual silence",
        "trades arrive again",
    )
    yield Rule(
        "open_gap",
        settings.alert_open_gap_s,
        0.0,
        Severity.WARNING,
        "trades are missing for {value:.0f} s and not repaired (from {threshold:g} s on);"
        " `quant backfill` fetches what the worker could not",
        "no capture gap is open",
    )
    yield Rule(
        "failed_run",
        1.0,
        0.0,
        Severity.CRITICAL,
        "the run failed; its log in the Dagster UI says why",
        "a later run succeeded",
    )
