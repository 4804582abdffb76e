"""How assets are cut: UTC date by pair."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import dagster as dg

from quant_pipeline.settings import Pair, Settings

DATE: Final = "date"
PAIR: Final = "pair"
UNCONFIGURED: Final = "no-pair-configured"
"""The only pair partition where the settings name no pair: Dagster accepts no empty dimension."""


@dataclass(frozen=True, order=True)
class PairDay:
    """One partition of the pair assets."""

    day: date
    pair: Pair

    @property
    def key(self) -> dg.MultiPartitionKey:
        """The partition as Dagster names it."""
        return dg.MultiPartitionKey({DATE: self.day.isoformat(), PAIR: self.pair.key})

    @classmethod
    def parse(cls, key: str) -> PairDay:
        """Read `2024-08-08|BTCUSDT-ETHUSDT`, the text form of a partition key."""
        day, _, pair = key.partition("|")
        return cls(date.fromisoformat(day), Pair.parse(pair))


def pair_days(settings: Settings) -> dg.MultiPartitionsDefinition:
    """UTC date by configured pair; today included, so that a day is seen as it grows."""
    start = datetime.combine(settings.first_day, datetime.min.time())
    return dg.MultiPartitionsDefinition(
        {
            DATE: dg.DailyPartitionsDefinition(start, timezone="UTC", end_offset=1),
            PAIR: dg.StaticPartitionsDefinition(
                [pair.key for pair in settings.pairs] or [UNCONFIGURED]
            ),
        }
    )
