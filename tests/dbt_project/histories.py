"""Made-up histories of a symbol: the tape the venue printed, and how it reached the lake."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

_START = datetime(2024, 2, 28, 22, 0, tzinfo=UTC).replace(
    tzinfo=None
)  # two hours before midnight, before a leap day
# Trades of one instant, of one second, and across seconds, minutes, hours and days.
_STEPS_US = np.array([0, 1, 900, 400_000, 1_000_000, 7_000_000, 61_000_000, 3_600_000_000])
_STEP_ODDS = np.array([0.15, 0.1, 0.15, 0.25, 0.15, 0.1, 0.07, 0.03])
_SCHEMA = {
    "venue": pl.String,
    "symbol": pl.String,
    "trade_id": pl.Int64,
    "ts": pl.Datetime("us"),
    "received_at": pl.Datetime("us"),
    "price": pl.Float64,
    "quantity": pl.Float64,
    "is_buyer_maker": pl.Boolean,
}


def tape(symbol: str, seed: int, trades: int) -> pl.DataFrame:
    """What the venue printed: columns of raw.ticks, each trade once, by id."""
    rng = np.random.default_rng(seed)
    steps = rng.choice(_STEPS_US, size=trades, p=_STEP_ODDS)
    offsets = np.cumsum(steps)
    times = [_START + timedelta(microseconds=int(us)) for us in offsets]
    first_id = int(rng.integers(0, 2**40))
    return pl.DataFrame(
        {
            "venue": ["binance"] * trades,
            "symbol": [symbol] * trades,
            "trade_id": np.arange(first_id, first_id + trades),
            "ts": times,
            "received_at": times,
            "price": np.round(100 * np.exp(np.cumsum(rng.normal(0, 1e-3, trades))), 2),
            "quantity": np.round(rng.lognormal(-1, 1.5, trades), 5) + 1e-5,
            "is_buyer_maker": rng.random(trades) < 0.5,
        },
        schema=_SCHEMA,
    )


@dataclass
class History:
    """One symbol's tape and which of its trades have landed."""

    tape: pl.DataFrame
    rng: np.random.Generator
    landed: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, symbol: str, seed: int, trades: int) -> History:
        return cls(tape(symbol, seed, trades), np.random.default_rng(seed + 1))

    def on_time(self, count: int) -> pl.DataFrame:
        """The next trades after the newest landed one."""
        begin = max(self.landed, default=-1) + 1
        return self._land(list(range(begin, min(begin + count, self.tape.height))))

    def late(self, count: int) -> pl.DataFrame:
        """Trades that have not landed, from anywhere, in no order."""
        missing = sorted(set(range(self.tape.height)) - set(self.landed))
        return self._land(self._some(missing, count))

    def again(self, count: int) -> pl.DataFrame:
        """Copies of landed trades, received later than the first."""
        copies = self.tape[self._some(self.landed, count)]
        return copies.with_columns(pl.col("received_at") + timedelta(seconds=5))

    def rest(self) -> pl.DataFrame:
        """All that has not landed."""
        return self.late(self.tape.height)

    @property
    def truth(self) -> pl.DataFrame:
        """The trades that have landed, each once."""
        return self.tape[sorted(set(self.landed))]

    def _some(self, indices: list[int], count: int) -> list[int]:
        if not indices:
            return []
        picked = self.rng.choice(len(indices), size=min(count, len(indices)), replace=False)
        return [indices[place] for place in picked]

    def _land(self, indices: list[int]) -> pl.DataFrame:
        self.landed += indices
        return self.tape[indices]
