"""How assets are cut: UTC date by pair for pair work, UTC date for the rest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import dagster as dg

from quant_pipeline.settings import Pair, Settings

DATE: Final = "date"
PAIR: Final = "pair"

PAIRS: Final = dg.DynamicPartitionsDefinition(name="pairs")
"""Every pair that was ever in the settings. The sensor `bars_changed` adds new ones.
One that is taken out stays here with its history, and nothing of it is run any more."""


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


def days(settings: Settings) -> dg.DailyPartitionsDefinition:
    """UTC dates; today included, so that a day is seen as it grows."""
    start = datetime.combine(settings.first_day, datetime.min.time())
    return dg.DailyPartitionsDefinition(start, timezone="UTC", end_offset=1)


def pair_days(settings: Settings) -> dg.MultiPartitionsDefinition:
    """UTC date by pair."""
    return dg.MultiPartitionsDefinition({DATE: days(settings), PAIR: PAIRS})


def add_pairs(instance: dg.DagsterInstance, pairs: tuple[Pair, ...]) -> None:
    """Let the instance know these pairs, as the sensor does where it runs."""
    assert PAIRS.name is not None
    instance.add_dynamic_partitions(PAIRS.name, [pair.key for pair in pairs])
