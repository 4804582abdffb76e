"""What dbt's liquidity tables say of a symbol on a UTC date, and of the days before it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import polars as pl

from quant_pipeline.research import reading
from quant_pipeline.research.outcome import Undefined

SEASON_DAYS: Final = 30
"""UTC dates, the page's own the last, over which the course of the day is averaged."""

_BASIS_POINTS = 1e4
_NOT_BUILT = Undefined("dbt has not built the liquidity tables yet; run `dbt run` in dbt_project/.")
_NO_TRADES = Undefined("The liquidity tables hold no trade of this date.")


@dataclass(frozen=True)
class ValueArea:
    """Where the day's volume sat: `value_areas`. Prices in quote currency, `share` of one."""

    control_low: float
    control_high: float
    low: float
    high: float
    share: float


@dataclass(frozen=True)
class Proxies:
    """The day's spread and impact proxies: `illiquidity_1d`; None where a formula is undefined.

    Attributes:
        roll, corwin_schultz, abdi_ranaldo: effective spread, basis points.
        amihud: absolute return per million of quote currency, basis points.
        bars: one-minute bars used.
    """

    roll: float | None
    corwin_schultz: float | None
    abdi_ranaldo: float | None
    amihud: float | None
    bars: int


@dataclass(frozen=True)
class LiquidityTables:
    """One symbol on one UTC date.

    Attributes:
        value_area: of the day.
        proxies: of the day.
        hours: per hour `bucket, trades, median_quantity, p99_quantity, largest_quantity` (base
            currency), `large_trades, large_share, median_s, p99_s, longest_s` (between trades),
            `simultaneous_share, imbalance` (from -1 to 1), `roll, corwin_schultz, abdi_ranaldo,
            amihud` (basis points); null where undefined.
        imbalance: aggressive buying less selling over volume, the whole day.
        season: per UTC hour `hour, mean, low, high` of the value traded over `season_days` dates
            (quartiles; a date without a trade in the hour counts as zero) and `today`.
        season_days: dates with a trade among the last `SEASON_DAYS`.
    """

    value_area: ValueArea | Undefined
    proxies: Proxies | Undefined
    hours: pl.DataFrame
    imbalance: float | Undefined
    season: pl.DataFrame
    season_days: int


def read(
    connection: duckdb.DuckDBPyConnection, where: reading.Window, *, symbol: str
) -> LiquidityTables | Undefined:
    """Read the tables for the last UTC date of the window, in the caller's transaction."""
    start = where.end - dt.timedelta(days=1)
    try:
        hours = _hours(connection, where.venue, symbol, start, where.end)
        if hours.is_empty():
            return _NO_TRADES
        season, season_days = _season(connection, where.venue, symbol, start)
        return LiquidityTables(
            value_area=_value_area(connection, where.venue, symbol, start),
            proxies=_proxies(connection, where.venue, symbol, start),
            hours=hours.drop("signed_volume", "volume"),
            imbalance=_imbalance(hours),
            season=season,
            season_days=season_days,
        )
    except duckdb.CatalogException:
        return _NOT_BUILT


def _hours(
    connection: duckdb.DuckDBPyConnection,
    venue: str,
    symbol: str,
    start: dt.datetime,
    end: dt.datetime,
) -> pl.DataFrame:
    return connection.execute(
        f"""
        select
            sizes.bucket,
            sizes.trade_count as trades,
            sizes.quantity_p50 as median_quantity,
            sizes.quantity_p99 as p99_quantity,
            sizes.quantity_max as largest_quantity,
            sizes.large_trade_count as large_trades,
            sizes.large_trade_share as large_share,
            durations.median_s,
            durations.p99_s,
            durations.max_s as longest_s,
            durations.simultaneous_share,
            flow.order_flow_imbalance as imbalance,
            flow.signed_volume,
            flow.buy_volume + flow.sell_volume as volume,
            proxies.roll_spread * {_BASIS_POINTS} as roll,
            proxies.corwin_schultz_spread * {_BASIS_POINTS} as corwin_schultz,
            proxies.abdi_ranaldo_spread * {_BASIS_POINTS} as abdi_ranaldo,
            proxies.amihud_per_million * {_BASIS_POINTS} as amihud
        from lake.liquidity.trade_sizes_1h as sizes
        left join lake.liquidity.trade_durations_1h as durations using (venue, symbol, bucket)
        left join lake.liquidity.illiquidity_1h as proxies using (venue, symbol, bucket)
        left join (
            select * from lake.liquidity.order_flow
            where timeframe = '1h' and symbol = $symbol and bucket >= $start and bucket < $end
        ) as flow using (venue, symbol, bucket)
        where venue = $venue and symbol = $symbol and bucket >= $start and bucket < $end
        order by sizes.bucket
        """,
        {"venue": venue, "symbol": symbol, "start": start, "end": end},
    ).pl()


def _imbalance(hours: pl.DataFrame) -> float | Undefined:
    volume = float(hours["volume"].sum())
    if not volume > 0:
        return Undefined("Nothing was traded.")
    return float(hours["signed_volume"].sum()) / volume


def _value_area(
    connection: duckdb.DuckDBPyConnection, venue: str, symbol: str, day: dt.datetime
) -> ValueArea | Undefined:
    row = _one_row(
        connection,
        "select point_of_control_low, point_of_control_high, value_area_low, value_area_high,"
        " value_area_share from lake.liquidity.value_areas"
        " where venue = ? and symbol = ? and timeframe = '1d' and bucket = ?",
        [venue, symbol, day],
    )
    return _NO_TRADES if row is None else ValueArea(*row)


def _proxies(
    connection: duckdb.DuckDBPyConnection, venue: str, symbol: str, day: dt.datetime
) -> Proxies | Undefined:
    row = _one_row(
        connection,
        f"select roll_spread * {_BASIS_POINTS}, corwin_schultz_spread * {_BASIS_POINTS},"
        f" abdi_ranaldo_spread * {_BASIS_POINTS}, amihud_per_million * {_BASIS_POINTS}, bar_count"
        " from lake.liquidity.illiquidity_1d where venue = ? and symbol = ? and bucket = ?",
        [venue, symbol, day],
    )
    return _NO_TRADES if row is None else Proxies(*row)


def _one_row(
    connection: duckdb.DuckDBPyConnection, query: str, values: list[Any]
) -> tuple[Any, ...] | None:
    return connection.execute(query, values).fetchone()


def _season(
    connection: duckdb.DuckDBPyConnection, venue: str, symbol: str, day: dt.datetime
) -> tuple[pl.DataFrame, int]:
    """Value traded by hour of the day: as `volume_seasonality`, but of no date after `day`.

    That view averages over all dates in the lake; on the page of a past date it would look ahead.
    """
    traded = connection.execute(
        "select bucket::date as day, hour(bucket) as hour, sum(quote_volume) as traded"
        " from lake.bars.ohlc_5m where venue = ? and symbol = ? and bucket >= ? and bucket < ?"
        " group by all order by all",
        [venue, symbol, day - dt.timedelta(days=SEASON_DAYS - 1), day + dt.timedelta(days=1)],
    ).pl()
    days = traded["day"].unique().sort()
    grid = days.to_frame().join(
        pl.DataFrame({"hour": pl.int_range(24, dtype=pl.Int64, eager=True)}), how="cross"
    )
    filled = grid.join(traded, on=["day", "hour"], how="left").with_columns(
        pl.col("traded").fill_null(0.0)
    )
    season = (
        filled.group_by("hour")
        .agg(
            mean=pl.col("traded").mean(),
            low=pl.col("traded").quantile(0.25, "linear"),
            high=pl.col("traded").quantile(0.75, "linear"),
            today=pl.col("traded").filter(pl.col("day") == day.date()).first(),
        )
        .sort("hour")
    )
    return season, days.len()
