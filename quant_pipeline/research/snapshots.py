"""The history of the scheduled statistics of a pair, and where its regime changed."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import duckdb
import polars as pl

from quant_pipeline.research import reading
from quant_pipeline.research.published import SCHEDULED, scheduled
from quant_pipeline.settings import Pair, Settings

LEVEL = 0.05


@dataclass(frozen=True)
class SnapshotHistory:
    """Scheduled stationarity and correlation snapshots of a pair.

    Attributes:
        venue: exchange.
        pair: legs.
        stationarity: per snapshot and series `taken_at, series, statistic, pvalue, lags, bars,
            critical_5pct, lake_snapshot`; series is a leg (ADF) or `spread` (Engle–Granger).
        correlation: per snapshot `taken_at, correlation, lower_95, upper_95, observations,
            lake_snapshot`.
        snapshot: lake snapshot id that the history was read at.
    """

    venue: str
    pair: Pair
    stationarity: pl.DataFrame
    correlation: pl.DataFrame
    snapshot: int

    @property
    def taken(self) -> int:
        """Number of snapshots."""
        return int(self.stationarity["taken_at"].n_unique())

    @property
    def latest(self) -> dt.datetime | None:
        """When the newest was taken."""
        times = [
            frame["taken_at"][-1] for frame in (self.stationarity, self.correlation) if frame.height
        ]
        return max(times) if times else None

    @property
    def spread(self) -> pl.DataFrame:
        """The Engle–Granger tests."""
        return self.stationarity.filter(pl.col("series") == "spread")

    def changes(self) -> pl.DataFrame:
        """Where consecutive snapshots fall on different sides: `taken_at, what, before, after`.

        The Engle–Granger p-value crosses 5 %, or the 95 % intervals of two consecutive
        correlations do not overlap. Consecutive windows share bars, so a change is understated
        rather than invented.
        """
        tests = (
            self.spread.select(
                "taken_at",
                what=pl.lit("Engle–Granger p crosses 5%"),
                before=pl.col("pvalue").shift(),
                after=pl.col("pvalue"),
            )
            .filter((pl.col("before") < LEVEL) != (pl.col("after") < LEVEL))
            .drop_nulls()
        )
        jumps = (
            self.correlation.filter(
                (pl.col("lower_95") > pl.col("upper_95").shift())
                | (pl.col("upper_95") < pl.col("lower_95").shift())
            )
            .select("taken_at")
            .join(
                self.correlation.select(
                    "taken_at",
                    what=pl.lit("Correlation leaves its interval"),
                    before=pl.col("correlation").shift(),
                    after=pl.col("correlation"),
                ),
                on="taken_at",
            )
        )
        return pl.concat([tests, jumps]).sort("taken_at")


def load(connection: duckdb.DuckDBPyConnection, settings: Settings, pair: Pair) -> SnapshotHistory:
    """Read all snapshots of a pair by the schedule's parameters, at one lake snapshot."""
    where = {**scheduled(settings), "y": pair.y, "x": pair.x}
    with reading.one_snapshot(connection) as snapshot:
        stationarity = connection.execute(
            "select taken_at, series, statistic, pvalue, lags, bars, critical_5pct, lake_snapshot"
            f" from lake.analytics.adf_snapshots where {SCHEDULED} and y = $y and x = $x"
            " order by taken_at, series",
            where,
        ).pl()
        correlation = connection.execute(
            "select taken_at, correlation, lower_95, upper_95, observations, lake_snapshot"
            f" from lake.analytics.correlation_snapshots where {SCHEDULED} and y = $y and x = $x"
            " order by taken_at",
            where,
        ).pl()
    return SnapshotHistory(settings.venue, pair, stationarity, correlation, snapshot)
