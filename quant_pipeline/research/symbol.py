"""One symbol over a UTC date: `load` reads the lake, `analyse` computes."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl

from quant_pipeline import analytics
from quant_pipeline.research import reading, timing, warehouse
from quant_pipeline.research.leg import LegStatistics, describe
from quant_pipeline.research.outcome import Undefined, attempt, finite
from quant_pipeline.research.pair_bars import MAX_TICKS
from quant_pipeline.research.warehouse import LiquidityTables
from quant_pipeline.settings import timeframe_seconds

FloatArray = npt.NDArray[np.float64]

VOLATILITY_ESTIMATORS = (
    "close_to_close",
    "parkinson",
    "garman_klass",
    "garman_klass_yang_zhang",
    "rogers_satchell",
    "yang_zhang",
)
CANDLE_SECONDS = (1, 5, 15, 60, 300, 900, 3_600)
MAX_CANDLES = 160
_NOT_READ = Undefined("The liquidity tables were not read.")


@dataclass(frozen=True)
class SymbolBars:
    """A symbol's bars and trades of a UTC date, read at one lake snapshot.

    Attributes:
        frame: its bars in time order; a bar without a trade has no row.
        ticks: its trades, or why they were not read.
        gaps: capture gaps detected on that date.
        warehouse: dbt's liquidity tables of the date.
        snapshot: lake snapshot id.
    """

    venue: str
    symbol: str
    day: dt.date
    timeframe: str
    frame: pl.DataFrame
    snapshot: int
    ticks: pl.DataFrame | Undefined
    gaps: pl.DataFrame = field(default_factory=pl.DataFrame)
    warehouse: LiquidityTables | Undefined = _NOT_READ

    @property
    def seconds(self) -> int:
        """Length of a bar."""
        return timeframe_seconds(self.timeframe)


@dataclass(frozen=True)
class SymbolStatistics:
    """Everything a symbol report says.

    Attributes:
        bars: what was analysed.
        summary: activity, VWAP, volatility and order of integration.
        clock: bars on a regular clock; a bar without a trade repeats the last close.
        candles: the date in at most `MAX_CANDLES` candles of `candle_seconds`, with running `vwap`
            (from the start of the date) and `net_flow` (aggressive buying less selling, quote
            currency).
        volatilities: by estimator, over the whole window, annualised; a share.
        spreads: effective-spread estimates from the bars, see `analytics.spread_estimates`.
        profile: volume by price.
        imbalance: of aggressive buying over selling.
        impact: return per quote currency of net flow, by bar.
        quality: faults of the price series.
    """

    bars: SymbolBars
    summary: LegStatistics
    clock: pl.DataFrame
    candles: pl.DataFrame
    candle_seconds: int
    volatilities: dict[str, float | Undefined]
    spreads: pl.DataFrame | Undefined
    profile: analytics.VolumeProfile | Undefined
    imbalance: analytics.TradeImbalance | Undefined
    impact: analytics.KyleLambda | Undefined
    quality: analytics.DataQuality | Undefined

    def metrics(self) -> dict[str, float | int | None]:
        """Headline numbers; None where undefined."""
        return {
            "bars": self.bars.frame.height,
            "trades": self.summary.trades,
            "quote_volume": self.summary.quote_volume,
            "vwap": finite(self.summary.vwap),
            "volatility": finite(self.summary.volatility),
            "buy_share": finite(self.summary.buy_share),
            "change_bps": finite(self.summary.change_bps),
            "gaps": self.bars.gaps.height,
            "lake_snapshot": self.bars.snapshot,
        }


def load(
    connection: duckdb.DuckDBPyConnection,
    *,
    venue: str,
    symbol: str,
    day: dt.date,
    timeframe: str,
    live: bool = True,
) -> SymbolBars:
    """Read a symbol's bars, trades and gaps of a UTC date at one lake snapshot.

    Raises:
        reading.NothingToRead: the bars' table does not exist yet.
    """
    where = reading.utc_day(venue, day)
    with reading.one_snapshot(connection) as snapshot:
        frame = reading.read_bars(
            connection, where, symbols=[symbol], timeframe=timeframe, live=live
        )
        gaps = reading.read_gaps(connection, where, symbols=[symbol])
        n = reading.count_ticks(connection, where, symbols=[symbol])
        ticks: pl.DataFrame | Undefined
        if n > MAX_TICKS:
            ticks = Undefined(
                f"The date has {n:,} trades, more than the {MAX_TICKS:,} a report reads at once."
            )
        else:
            ticks = reading.read_ticks(connection, where, symbol=symbol)
        tables = warehouse.read(connection, where, symbol=symbol)
    return SymbolBars(venue, symbol, day, timeframe, frame, snapshot, ticks, gaps, tables)


def analyse(bars: SymbolBars) -> SymbolStatistics:
    """Compute a symbol's statistics; what the data cannot support is `Undefined`."""
    frame = bars.frame.filter(pl.col("close").is_finite() & (pl.col("close") > 0))
    clock = on_clock(frame, bars.seconds)
    candles, candle_seconds = _candles(frame, bars.seconds)
    ticks = bars.ticks
    return SymbolStatistics(
        bars=bars,
        summary=describe(
            bars.symbol, np.log(clock["close"].to_numpy()), frame, seconds=bars.seconds
        ),
        clock=clock,
        candles=candles,
        candle_seconds=candle_seconds,
        volatilities=_volatilities(clock, bars.seconds),
        spreads=_spreads(frame),
        profile=ticks if isinstance(ticks, Undefined) else timing.volume_profile(ticks),
        imbalance=_imbalance(ticks),
        impact=_impact(clock),
        quality=_quality(clock),
    )


def on_clock(frame: pl.DataFrame, seconds: int) -> pl.DataFrame:
    """Bars on a regular clock: one without a trade repeats the last close and has no volume."""
    columns = ["bucket", "open", "high", "low", "close", "quote_volume", "net_flow", "filled"]
    flowing = frame.with_columns(
        net_flow=pl.col("quote_volume") * (2 * pl.col("buy_volume") / pl.col("volume") - 1),
        bucket=pl.col("bucket").cast(pl.Datetime("us")),
    )
    if frame.is_empty():
        return flowing.with_columns(filled=pl.lit(False)).select(columns)
    grid = pl.DataFrame(
        {
            "bucket": pl.datetime_range(
                flowing["bucket"][0], flowing["bucket"][-1], f"{seconds}s", eager=True
            ).cast(pl.Datetime("us"))
        }
    )
    joined = grid.join(flowing, on="bucket", how="left").with_columns(
        filled=pl.col("close").is_null(), close=pl.col("close").forward_fill()
    )
    return joined.with_columns(
        *(pl.col(name).fill_null(pl.col("close")) for name in ("open", "high", "low")),
        *(pl.col(name).fill_null(0.0) for name in ("quote_volume", "net_flow")),
    ).select(columns)


def _candles(frame: pl.DataFrame, bar_seconds: int) -> tuple[pl.DataFrame, int]:
    """The bars in candles of a round length that is not shorter than a bar's."""
    lengths = [seconds for seconds in CANDLE_SECONDS if seconds >= bar_seconds] or [bar_seconds]
    if frame.is_empty():
        return pl.DataFrame(), lengths[0]
    span = (frame["bucket"][-1] - frame["bucket"][0]).total_seconds()
    seconds = next((s for s in lengths if span / s <= MAX_CANDLES), lengths[-1])
    running = frame.with_columns(
        vwap=pl.col("quote_volume").cum_sum() / pl.col("volume").cum_sum(),
        net_flow=pl.col("quote_volume") * (2 * pl.col("buy_volume") / pl.col("volume") - 1),
    )
    grouped = running.group_by_dynamic("bucket", every=f"{seconds}s").agg(
        pl.col("open").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").last(),
        pl.col("quote_volume").sum(),
        pl.col("net_flow").sum(),
        pl.col("trade_count").sum(),
        pl.col("vwap").last(),
    )
    return grouped, seconds


def _volatilities(clock: pl.DataFrame, seconds: int) -> dict[str, float | Undefined]:
    """Every estimator over all but the first bar, which some of them need as the previous one."""
    n = clock.height - 1
    result: dict[str, float | Undefined] = {}
    for name in VOLATILITY_ESTIMATORS:
        if n < 3:
            result[name] = Undefined(f"{max(n, 0)} bars; a volatility needs 3.")
            continue
        rolled = attempt(
            analytics.volatility,
            clock["open"].to_numpy(),
            clock["high"].to_numpy(),
            clock["low"].to_numpy(),
            clock["close"].to_numpy(),
            estimator=name,
            window=n,
            periods_per_year=analytics.periods_per_year(seconds),
        )
        value = rolled if isinstance(rolled, Undefined) else finite(rolled[-1])
        result[name] = Undefined("The bars do not determine it.") if value is None else value
    return result


def _spreads(frame: pl.DataFrame) -> pl.DataFrame | Undefined:
    """From bars with a trade only: a repeated close is no observation of a spread."""
    if frame.height < 3:
        return Undefined(f"{frame.height} bars with a trade; these estimators need 3.")
    return attempt(
        analytics.spread_estimates,
        frame["open"].to_numpy(),
        frame["high"].to_numpy(),
        frame["low"].to_numpy(),
        frame["close"].to_numpy(),
    )


def _imbalance(ticks: pl.DataFrame | Undefined) -> analytics.TradeImbalance | Undefined:
    if isinstance(ticks, Undefined):
        return ticks
    quantity, sold = ticks["quantity"].to_numpy(), ticks["is_buyer_maker"].to_numpy()
    return attempt(analytics.trade_imbalance, quantity, sold)


def _impact(clock: pl.DataFrame) -> analytics.KyleLambda | Undefined:
    if clock.height < 30:
        return Undefined(f"{clock.height} bars; an impact regression is given at least 30.")
    returns = np.diff(np.log(clock["close"].to_numpy()))
    return attempt(analytics.kyle_lambda, returns, clock["net_flow"].to_numpy()[1:])


def _quality(clock: pl.DataFrame) -> analytics.DataQuality | Undefined:
    traded = clock.filter(~pl.col("filled"))
    if traded.height < 3:
        return Undefined(f"{traded.height} bars with a trade; there is nothing to judge.")
    return attempt(
        analytics.data_quality,
        traded["bucket"].dt.epoch("s").to_numpy(),
        traded["close"].to_numpy(),
    )
