"""What a page knows besides its numbers: code, settings, and the report before it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from quant_pipeline.code_version import code_version
from quant_pipeline.settings import Settings


@dataclass(frozen=True)
class Previous:
    """The report that came before, for what has changed since.

    Attributes:
        date: its UTC date.
        metrics: its headline numbers.
        finding: its verdict.
    """

    date: dt.date
    metrics: Mapping[str, float | int | None]
    finding: str


@dataclass(frozen=True)
class Context:
    """What the page of a subject and date is told by whoever makes it.

    Attributes:
        code_version: version and revision of this project.
        settings: the settings that the numbers depend on, by name.
        taker_fee_bps: fee assumed for each trade, basis points of its value.
        previous: the report before this one, if there is one.
        parameters: those of this page that are not the settings', by name.
    """

    code_version: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    taker_fee_bps: float = 10.0
    previous: Previous | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)

    @property
    def facts(self) -> list[tuple[str, str]]:
        """A fact for a page whose parameters are not the settings'."""
        if not self.parameters:
            return []
        return [("Not the settings' parameters", named(self.parameters))]


def named(parameters: Mapping[str, object]) -> str:
    """Parameters in words.

    Example:
        >>> named({"timeframe": "5m", "lookback_days": 30})
        'lookback_days 30, timeframe 5m'
    """
    return ", ".join(f"{name} {value}" for name, value in sorted(parameters.items()))


def from_settings(
    settings: Settings,
    *,
    previous: Previous | None = None,
    parameters: Mapping[str, object] | None = None,
) -> Context:
    """The context of pages made with these settings by this code."""
    return Context(
        code_version=code_version(),
        settings={
            "venue": settings.venue,
            "pairs": ", ".join(map(str, settings.pairs)),
            "pair_timeframe": settings.pair_timeframe,
            "rolling_window": settings.rolling_window,
            "taker_fee_bps": settings.taker_fee_bps,
        },
        taker_fee_bps=settings.taker_fee_bps,
        previous=previous,
        parameters=parameters or {},
    )
