"""All pairs of a universe over a window: `load` reads the lake, `analyse` scans."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import duckdb
import numpy as np
import polars as pl
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from quant_pipeline import analytics
from quant_pipeline.research import liquidity_filter as thin_bars
from quant_pipeline.research import reading
from quant_pipeline.research.liquidity_filter import LiquidityFilter
from quant_pipeline.research.outcome import Undefined, attempt, finite
from quant_pipeline.settings import timeframe_seconds

MIN_BARS = 30


@dataclass(frozen=True)
class UniverseBars:
    """Bars of many symbols, read at one lake snapshot.

    Attributes:
        venue: exchange.
        day: last UTC date of the window.
        days: UTC dates in the window.
        timeframe: bar size.
        closes: `bucket` and one column of closes a symbol on a regular clock, carried forward over
            bars without a trade; null before a symbol's first bar.
        activity: per symbol `bars, trades, quote_volume, high, low, first, last`.
        snapshot: lake snapshot id.
        liquidity: what the liquidity filter took out.
    """

    venue: str
    day: dt.date
    days: int
    timeframe: str
    closes: pl.DataFrame
    activity: pl.DataFrame
    snapshot: int
    liquidity: LiquidityFilter = field(default_factory=LiquidityFilter)

    @property
    def symbols(self) -> list[str]:
        """The symbols that have bars, in alphabetical order."""
        return [name for name in self.closes.columns if name != "bucket"]


@dataclass(frozen=True)
class UniverseStatistics:
    """Everything a universe report says.

    Attributes:
        bars: what was analysed.
        scan: every ordered pair, ranked, with q-values over the whole family of tests; see
            `analytics.scan`.
        correlation: Ledoit–Wolf correlation of log returns, rows and columns in `order`.
        order: symbols so that similar ones are neighbours (average linkage on 1 − correlation).
        movers: per symbol `change_bps`, `range_bps`, `volatility`, activity.
    """

    bars: UniverseBars
    scan: pl.DataFrame | Undefined
    correlation: analytics.ShrunkCorrelation | Undefined
    order: tuple[str, ...]
    movers: pl.DataFrame

    @property
    def tested(self) -> int:
        """Tests that the q-values account for."""
        if isinstance(self.scan, Undefined):
            return 0
        return int(self.scan["pvalue"].is_not_null().sum())

    def found(self, rate: float = 0.05) -> pl.DataFrame:
        """Pairs whose Benjamini–Yekutieli q-value is below `rate`.

        Tests that share a series depend on one another; Benjamini–Hochberg's q-values do not hold
        their rate there (see `analytics.scan`), these do.
        """
        if isinstance(self.scan, Undefined):
            return pl.DataFrame()
        return self.scan.filter(pl.col("qvalue_by") < rate)

    def metrics(self) -> dict[str, float | int | None]:
        """Headline numbers; None where undefined."""
        smallest = None if isinstance(self.scan, Undefined) else self.scan["qvalue_by"].min()
        return {
            "symbols": len(self.bars.symbols),
            "bars": self.bars.closes.height,
            "tests": self.tested,
            "found": self.found().height,
            "smallest_qvalue": finite(smallest),  # type: ignore[arg-type]
            "lake_snapshot": self.bars.snapshot,
        }


def load(
    connection: duckdb.DuckDBPyConnection,
    *,
    venue: str,
    symbols: Sequence[str],
    day: dt.date,
    timeframe: str,
    days: int = 1,
    live: bool = True,
    liquidity_filter: bool = False,
) -> UniverseBars:
    """Read the closes of `symbols` over `days` UTC dates that end with `day`.

    Args:
        liquidity_filter: take thin bars out, by dbt's `liquidity_flags`.

    Raises:
        reading.NothingToRead: the bars' table does not exist yet.
        ValueError: `days` is below 1.
    """
    where = reading.utc_days(venue, day, days)
    with reading.one_snapshot(connection) as snapshot:
        bars = reading.read_bars(connection, where, symbols=symbols, timeframe=timeframe, live=live)
        filtered = LiquidityFilter()
        if liquidity_filter:
            bars, filtered = thin_bars.apply(
                connection, bars, where, symbols=symbols, timeframe=timeframe
            )
    found = arrange(bars, venue=venue, day=day, days=days, timeframe=timeframe, snapshot=snapshot)
    return replace(found, liquidity=filtered)


def arrange(
    bars: pl.DataFrame, *, venue: str, day: dt.date, days: int, timeframe: str, snapshot: int
) -> UniverseBars:
    """Put bars of many symbols side by side on one clock."""
    bars = bars.filter(pl.col("close").is_finite() & (pl.col("close") > 0))
    activity = (
        bars.group_by("symbol")
        .agg(
            bars=pl.len(),
            trades=pl.col("trade_count").sum(),
            quote_volume=pl.col("quote_volume").sum(),
            high=pl.col("high").max(),
            low=pl.col("low").min(),
            first=pl.col("open").sort_by("bucket").first(),
            last=pl.col("close").sort_by("bucket").last(),
        )
        .sort("symbol")
    )
    if bars.is_empty():
        closes = pl.DataFrame(schema={"bucket": pl.Datetime("us")})
    else:
        wide = bars.pivot(on="symbol", index="bucket", values="close").sort("bucket")
        step = f"{timeframe_seconds(timeframe)}s"
        closes = wide.upsample("bucket", every=step).select(
            "bucket", *(pl.col(name).forward_fill() for name in activity["symbol"])
        )
    return UniverseBars(venue, day, days, timeframe, closes, activity, snapshot)


def analyse(bars: UniverseBars) -> UniverseStatistics:
    """Scan all ordered pairs and rank the symbols."""
    logs = bars.closes.drop("bucket").select(pl.all().log())
    scan: pl.DataFrame | Undefined
    correlation: analytics.ShrunkCorrelation | Undefined
    if logs.width < 2 or logs.height < MIN_BARS:
        scan = correlation = Undefined(
            f"{logs.width} symbols with {logs.height} bars; a scan needs 2 symbols and "
            f"{MIN_BARS} bars."
        )
    else:
        scan = attempt(analytics.scan, logs)
        correlation = attempt(analytics.shrunk_correlation, logs.select(pl.all().diff()))
    return UniverseStatistics(
        bars=bars,
        scan=scan,
        correlation=correlation,
        order=_order(correlation, bars.symbols),
        movers=_movers(bars, logs),
    )


def _order(
    correlation: analytics.ShrunkCorrelation | Undefined, symbols: Sequence[str]
) -> tuple[str, ...]:
    """Symbols with similar ones beside each other; those that do not move come last."""
    if isinstance(correlation, Undefined):
        return tuple(symbols)
    moving = [name for name in correlation.symbols if name not in correlation.undefined]
    if len(moving) < 3:
        return (*moving, *correlation.undefined)
    index = [correlation.symbols.index(name) for name in moving]
    distance = np.clip(1.0 - correlation.correlation[np.ix_(index, index)], 0.0, 2.0)
    np.fill_diagonal(distance, 0.0)
    tree = hierarchy.linkage(squareform(distance, checks=False), "average", optimal_ordering=True)
    return (*(moving[i] for i in hierarchy.leaves_list(tree)), *correlation.undefined)


def _movers(bars: UniverseBars, logs: pl.DataFrame) -> pl.DataFrame:
    year = analytics.periods_per_year(timeframe_seconds(bars.timeframe))
    deviations = {name: finite(logs[name].diff().std()) for name in logs.columns}  # type: ignore[arg-type]
    return bars.activity.with_columns(
        change_bps=(pl.col("last") / pl.col("first")).log() * 1e4,
        range_bps=(pl.col("high") / pl.col("low")).log() * 1e4,
        volatility=pl.col("symbol").replace_strict(
            deviations, default=None, return_dtype=pl.Float64
        )
        * np.sqrt(year),
    ).sort("quote_volume", descending=True)
