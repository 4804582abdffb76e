"""A pair over any window of bars, and the statistics that are taken of it periodically."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import duckdb
import numpy as np
import polars as pl
from scipy import stats

from quant_pipeline import analytics
from quant_pipeline.research import liquidity_filter as thin_bars
from quant_pipeline.research import reading
from quant_pipeline.research.liquidity_filter import LiquidityFilter
from quant_pipeline.research.pair_bars import align
from quant_pipeline.settings import Pair, timeframe_seconds

_TREND = "c"
_LEAST_RETURNS = 4  # Fisher's interval has n - 3 degrees of freedom


@dataclass(frozen=True)
class PairWindow:
    """Aligned bars of a pair, all read at one lake snapshot.

    Attributes:
        frame: `bucket` (start, UTC), `y`, `x` (closes, carried forward) and which were carried;
            see `pair_bars.align`.
        snapshot: lake snapshot id that the bars were read at.
        read: the times that bars were read from; the frame begins and ends within.
        liquidity: what the liquidity filter took out.
    """

    venue: str
    pair: Pair
    timeframe: str
    frame: pl.DataFrame
    snapshot: int
    read: reading.Window
    liquidity: LiquidityFilter = field(default_factory=LiquidityFilter)

    @property
    def provenance(self) -> list[Any]:
        """What identifies the window, in the order of the tables of published statistics."""
        first, last = self.frame["bucket"][0], self.frame["bucket"][-1]
        bars = self.frame.height
        legs = (self.pair.y, self.pair.x)
        return [self.venue, *legs, self.timeframe, first, last, bars, self.snapshot]

    @property
    def parameters(self) -> list[Any]:
        """What else it takes to read the same window again, in the order of those tables."""
        return [self.read.start, self.read.end, *self.liquidity.provenance(self.pair)]


class StationarityRow(NamedTuple):
    """One test of the window; None where it is undefined."""

    series: str
    trend: str
    statistic: float | None
    pvalue: float | None
    lags: int | None
    observations: int | None
    critical_1pct: float | None
    critical_5pct: float | None
    critical_10pct: float | None


class CorrelationRow(NamedTuple):
    """Pearson correlation of log returns with Fisher's 95 % interval; None where undefined."""

    correlation: float | None
    lower_95: float | None
    upper_95: float | None
    observations: int


def newest_common_bar(
    connection: duckdb.DuckDBPyConnection, *, venue: str, pair: Pair, timeframe: str
) -> dt.datetime | None:
    """Start of the newest bar that both legs have reached; None if one has none."""
    try:
        rows = connection.execute(
            f"SELECT max(bucket) FROM {reading.bars_table(timeframe, live=True)}"
            " WHERE venue = ? AND symbol IN (?, ?) GROUP BY symbol",
            [venue, *pair],
        ).fetchall()
    except duckdb.CatalogException:  # before the first dbt run
        return None
    return min(row[0] for row in rows) if len(rows) == len(pair) else None


def load(
    connection: duckdb.DuckDBPyConnection,
    *,
    pair: Pair,
    timeframe: str,
    where: reading.Window,
    liquidity_filter: bool = False,
) -> PairWindow:
    """Read the bars whose bucket lies in the window, those not yet stored included.

    Args:
        liquidity_filter: take thin bars out, by dbt's `liquidity_flags`.
    """
    filtered = LiquidityFilter()
    with reading.one_snapshot(connection) as snapshot:
        bars = reading.read_bars(connection, where, symbols=list(pair), timeframe=timeframe)
        if liquidity_filter:
            bars, filtered = thin_bars.apply(
                connection, bars, where, symbols=list(pair), timeframe=timeframe
            )
    legs = {
        leg: bars.filter(pl.col("symbol") == symbol)
        for leg, symbol in zip(("y", "x"), pair, strict=True)
    }
    frame = align(legs, timeframe_seconds(timeframe))
    return PairWindow(where.venue, pair, timeframe, frame, snapshot, where, filtered)


def stationarity(window: PairWindow) -> list[StationarityRow]:
    """ADF of each leg's log close, and Engle–Granger of the first on the second (`spread`)."""
    y, x = (np.log(window.frame[leg].to_numpy()) for leg in ("y", "x"))
    tests: dict[str, analytics.UnitRoot | analytics.Cointegration] = {
        window.pair.y: analytics.adf(y, trend=_TREND),
        window.pair.x: analytics.adf(x, trend=_TREND),
        "spread": analytics.engle_granger(y, x, trend=_TREND),
    }
    return [_row(series, test) for series, test in tests.items()]


def correlation(window: PairWindow) -> CorrelationRow:
    """Correlation of the two legs' log returns over the window."""
    y, x = (np.diff(np.log(window.frame[leg].to_numpy())) for leg in ("y", "x"))
    if len(y) < _LEAST_RETURNS or not (y.std() and x.std()):
        return CorrelationRow(None, None, None, len(y))
    found = stats.pearsonr(y, x)
    interval = found.confidence_interval(0.95)
    return CorrelationRow(float(found.statistic), float(interval.low), float(interval.high), len(y))


def _row(series: str, test: analytics.UnitRoot | analytics.Cointegration) -> StationarityRow:
    if not test.defined:
        return StationarityRow(series, _TREND, *[None] * 7)
    critical = [test.critical_values[level] for level in ("1%", "5%", "10%")]
    return StationarityRow(
        series,
        _TREND,
        _finite(test.statistic),
        _finite(test.pvalue),
        test.lags,
        test.n,
        *map(_finite, critical),
    )


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
