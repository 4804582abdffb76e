"""The bars of a pair on one clock, with what was filled, and the trades behind them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl

from quant_pipeline.research import liquidity_filter as thin_bars
from quant_pipeline.research import reading, scans, warehouse
from quant_pipeline.research.liquidity_filter import LiquidityFilter
from quant_pipeline.research.outcome import Undefined
from quant_pipeline.research.scans import PairInScan
from quant_pipeline.research.warehouse import LiquidityTables
from quant_pipeline.settings import Pair, timeframe_seconds

MAX_TICKS = 4_000_000
"""Trades of both legs that a report reads at most: about 130 MB in memory."""

_LEGS = ("y", "x")
_NOT_READ = Undefined("The trades were not read.")
_NOT_SCANNED = Undefined("The scans were not read.")


@dataclass(frozen=True)
class PairBars:
    """Bars of both legs of a pair over one UTC date, or several that end with it.

    Attributes:
        venue: exchange.
        pair: `y` is the leg that is regressed on `x`.
        day: UTC date, the last of the window.
        timeframe: bar size, as `1s`.
        frame: one row per bar from the first bucket in which both legs have traded to the last
            in which both still do: `bucket` (start, UTC), `y`, `x` (close, carried forward over
            bars without a trade) and `y_filled`, `x_filled` (whether it was carried).
        legs: by leg `y`, `x`, that leg's own bars of the whole date, not aligned or filled.
        ticks: by leg, its trades in trade order; `Undefined` where they were not read.
        gaps: capture gaps detected on that date, newest state of each.
        alerts: of the pair, its legs and the stream, on that date; see `reading.read_alerts`.
        snapshot: lake snapshot id that everything was read at.
        live: whether ticks that dbt had not consumed yet are included.
        provisional: bars of either leg that trades may still change.
        warehouse: by leg, dbt's liquidity tables of the date.
        scan: the pair in the latest universe scan that holds it.
        days: UTC dates in the window.
        liquidity: what the liquidity filter took out before anything else was done.
    """

    venue: str
    pair: Pair
    day: dt.date
    timeframe: str
    frame: pl.DataFrame
    legs: Mapping[str, pl.DataFrame]
    snapshot: int
    live: bool = True
    provisional: int = 0
    ticks: Mapping[str, pl.DataFrame] | Undefined = _NOT_READ
    gaps: pl.DataFrame = field(default_factory=pl.DataFrame)
    warehouse: Mapping[str, LiquidityTables | Undefined] = field(default_factory=dict)
    scan: PairInScan | Undefined = _NOT_SCANNED
    alerts: pl.DataFrame = field(default_factory=pl.DataFrame)
    days: int = 1
    liquidity: LiquidityFilter = field(default_factory=LiquidityFilter)

    @property
    def window(self) -> reading.Window:
        """The times that bars were read from."""
        return reading.utc_days(self.venue, self.day, self.days)

    @property
    def seconds(self) -> int:
        """Length of a bar."""
        return timeframe_seconds(self.timeframe)

    @property
    def n(self) -> int:
        """Aligned bars."""
        return self.frame.height

    def log_prices(self, leg: str) -> npt.NDArray[np.float64]:
        """Log closes of a leg on the common clock, shape (n,)."""
        return np.asarray(np.log(self.frame[leg].to_numpy()), dtype=np.float64)

    def filled_share(self, leg: str) -> float | None:
        """Share of aligned bars whose close was carried forward; None without bars."""
        return float(self.frame[f"{leg}_filled"].mean()) if self.n else None  # type: ignore[arg-type]


def align(legs: Mapping[str, pl.DataFrame], seconds: int) -> pl.DataFrame:
    """Put the closes of legs `y` and `x` on one clock of `seconds`, carrying the last one forward.

    A close that is not a positive number is treated as a bar without a trade.

    Returns:
        Columns `bucket`, `y`, `x`, `y_filled`, `x_filled`; no rows if the legs do not overlap.
    """
    closes = {
        leg: legs[leg]
        .select("bucket", pl.col("close").alias(leg))
        .filter(pl.col(leg).is_finite() & (pl.col(leg) > 0))
        for leg in _LEGS
    }
    if any(frame.is_empty() for frame in closes.values()):
        return _empty()
    first = max(frame["bucket"][0] for frame in closes.values())
    last = min(frame["bucket"][-1] for frame in closes.values())
    if first > last:
        return _empty()
    step = f"{seconds}s"
    clock = pl.datetime_range(first, last, step, time_unit="us", eager=True).alias("bucket")
    grid = pl.DataFrame({"bucket": clock})
    for leg, frame in closes.items():
        # as-of, so that a close from just before the common start may be carried into it
        grid = grid.join_asof(
            frame.with_columns(pl.col("bucket").cast(pl.Datetime("us"))).with_columns(
                traded=pl.col("bucket")
            ),
            on="bucket",
        ).with_columns((pl.col("traded") != pl.col("bucket")).alias(f"{leg}_filled"))
        grid = grid.drop("traded")
    return grid.select("bucket", "y", "x", "y_filled", "x_filled")


def load(
    connection: duckdb.DuckDBPyConnection,
    *,
    venue: str,
    pair: Pair,
    day: dt.date,
    timeframe: str,
    live: bool = True,
    ticks: bool = True,
    days: int = 1,
    liquidity_filter: bool = False,
) -> PairBars:
    """Read the bars, trades, gaps and alerts of a pair for a UTC date, all at one lake snapshot.

    Args:
        connection: the lake, see `quant_pipeline.lake.connect`.
        venue: exchange.
        pair: legs.
        day: UTC date.
        timeframe: bar size, as `1s`.
        live: read the view that includes ticks not yet turned into bars.
        ticks: read the trades too; correlation by Hayashi and Yoshida, the Epps curve and the
            volume profile need them.
        days: UTC dates in the window, which ends with `day`.
        liquidity_filter: take thin bars out, by dbt's `liquidity_flags`.

    Raises:
        reading.NothingToRead: the bars' table does not exist yet.
        ValueError: there is no such timeframe, or `days` is below 1.
    """
    where = reading.utc_days(venue, day, days)
    filtered = LiquidityFilter()
    with reading.one_snapshot(connection) as snapshot:
        bars = reading.read_bars(
            connection, where, symbols=list(pair), timeframe=timeframe, live=live
        )
        if liquidity_filter:
            bars, filtered = thin_bars.apply(
                connection, bars, where, symbols=list(pair), timeframe=timeframe
            )
        gaps = reading.read_gaps(connection, where, symbols=list(pair))
        alerts = reading.read_alerts(connection, where, subjects=[str(pair), *pair, "stream"])
        trades = _read_trades(connection, pair, where) if ticks else _NOT_READ
        tables = {
            leg: warehouse.read(connection, reading.utc_day(venue, day), symbol=symbol)
            for leg, symbol in zip(_LEGS, pair, strict=True)
        }
        scan = scans.latest(connection, venue=venue, pair=pair, snapshot=snapshot)
    legs = {
        leg: bars.filter(pl.col("symbol") == symbol)
        for leg, symbol in zip(_LEGS, pair, strict=True)
    }
    return PairBars(
        venue=venue,
        pair=pair,
        day=day,
        timeframe=timeframe,
        frame=align(legs, timeframe_seconds(timeframe)),
        legs=legs,
        snapshot=snapshot,
        live=live,
        provisional=int((~bars["is_final"]).sum()),
        ticks=trades,
        gaps=gaps,
        warehouse=tables,
        scan=scan,
        alerts=alerts,
        days=days,
        liquidity=filtered,
    )


def _read_trades(
    connection: duckdb.DuckDBPyConnection, pair: Pair, where: reading.Window
) -> Mapping[str, pl.DataFrame] | Undefined:
    n = reading.count_ticks(connection, where, symbols=list(pair))
    if n == 0:
        return Undefined("The lake holds no trades of this date, only bars.")
    if n > MAX_TICKS:
        return Undefined(
            f"The date has {n:,} trades, more than the {MAX_TICKS:,} a report reads at once."
        )
    return {
        leg: reading.read_ticks(connection, where, symbol=symbol)
        for leg, symbol in zip(_LEGS, pair, strict=True)
    }


def _empty() -> pl.DataFrame:
    return pl.DataFrame(
        schema={
            "bucket": pl.Datetime("us"),
            "y": pl.Float64,
            "x": pl.Float64,
            "y_filled": pl.Boolean,
            "x_filled": pl.Boolean,
        }
    )
