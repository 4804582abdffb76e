"""Markets that never were: a seeded month of twenty symbols, and what would be captured of it."""

from __future__ import annotations

import datetime as dt

import duckdb
import numpy as np
import polars as pl

from quant_pipeline.research import pair, snapshots, symbol, universe
from quant_pipeline.research.outcome import Undefined
from quant_pipeline.settings import Pair

PAIR = Pair("BTCUSDT", "ETHUSDT")
MONTH_START = dt.datetime(2024, 7, 1)  # noqa: DTZ001 - the lake's times are naive UTC
MONTH_END = dt.date(2024, 7, 30)

_CAPTURE = """
insert into raw.capture_sessions
select 's' || day, 'writer', 'binance', 'wss://example',
    (select list(printf('SYM%02dUSDT', i)) from range(20) names (i)),
    timestamp '2024-07-01' + day * interval 1 day,
    timestamp '2024-07-02' + day * interval 1 day, 'rollover', 20 * 864
from range(30) days (day);
insert into raw.ticks
select 'binance', printf('SYM%02dUSDT', i), r, timestamp '2024-07-01' + r * interval 100 second,
    ts + interval 40 millisecond, 20 + i + sin(r / 50), 1 + r % 7, r % 3 = 0
from range(20) names (i), range(30 * 864) trades (r),
    lateral (select timestamp '2024-07-01' + r * interval 100 second as ts)
where r % 5000 <> 77;
insert into raw.capture_gaps
select 'binance', printf('SYM%02dUSDT', i), r, r, timestamp '2024-07-01' + r * interval 100 second,
    'reconnect', 'venue_hole', null, 0
from range(20) names (i), range(77, 30 * 864, 5000) holes (r)
"""


def capture_month(connection: duckdb.DuckDBPyConnection) -> None:
    """Put thirty days of twenty captured symbols, with a hole every 5,000 trades, into a lake."""
    for statement in _CAPTURE.split(";"):
        connection.execute(statement)


def pair_of_month() -> pair.PairBars:
    """Two neighbours of the month of which one follows the other."""
    month = synthetic_month()
    names = Pair("SYM01USDT", "SYM00USDT")
    legs = {
        leg: month.filter(pl.col("symbol") == name)
        for leg, name in zip(("y", "x"), names, strict=True)
    }
    return pair.PairBars(
        venue="binance",
        pair=names,
        day=MONTH_END,
        timeframe="1h",
        frame=pair.align(legs, 3600),
        legs=legs,
        snapshot=7,
        days=30,
    )


def symbol_of_month() -> symbol.SymbolBars:
    """One symbol's last date of the month."""
    bars = synthetic_month().filter(
        (pl.col("symbol") == "SYM00USDT") & (pl.col("bucket").dt.date() == MONTH_END)
    )
    return symbol.SymbolBars(
        venue="binance",
        symbol="SYM00USDT",
        day=MONTH_END,
        timeframe="1h",
        frame=bars,
        snapshot=7,
        ticks=Undefined("The month has bars only."),
    )


def universe_of_month() -> universe.UniverseBars:
    """All twenty symbols of the month."""
    return universe.arrange(
        synthetic_month(), venue="binance", day=MONTH_END, days=30, timeframe="1h", snapshot=7
    )


def synthetic_month(symbols: int = 20) -> pl.DataFrame:
    """Thirty days of hourly bars of a seeded market; every fifth symbol follows its neighbour."""
    rng = np.random.default_rng(20)
    n = 30 * 24
    market = np.cumsum(rng.normal(0, 4e-3, n))
    clock = [MONTH_START + dt.timedelta(hours=hour) for hour in range(n)]
    frames, before = [], market
    for i in range(symbols):
        noise = rng.normal(0, 5e-3, n)
        own = np.convolve(noise, 0.7 ** np.arange(20))[:n] if i % 5 == 1 else np.cumsum(noise)
        level = (before if i % 5 == 1 else market * (0.4 + 0.06 * i)) + own
        before = level
        price = np.exp(3 + level)
        volume = rng.gamma(2.0, 40.0, n)
        frames.append(
            pl.DataFrame(
                {
                    "symbol": [f"SYM{i:02d}USDT"] * n,
                    "bucket": pl.Series(clock, dtype=pl.Datetime("us")),
                    "open": price,
                    "high": price * 1.002,
                    "low": price * 0.998,
                    "close": price,
                    "volume": volume,
                    "quote_volume": volume * price,
                    "buy_volume": volume / 2,
                    "trade_count": np.full(n, 50),
                }
            )
        )
    return pl.concat(frames)


def snapshot_history() -> snapshots.SnapshotHistory:
    """Two days of hourly snapshots whose relation breaks half-way."""
    times = pl.Series(
        [MONTH_START + dt.timedelta(hours=hour) for hour in range(48)], dtype=pl.Datetime("us")
    )
    pvalue = np.where(np.arange(48) < 24, 0.012, 0.41) + np.linspace(0, 0.02, 48)
    tests = pl.concat(
        pl.DataFrame(
            {
                "taken_at": times,
                "series": [series] * 48,
                "statistic": -3.9 + 4 * pvalue,
                "pvalue": (pvalue + offset) / (1 + offset),
                "lags": [2] * 48,
                "bars": [1440] * 48,
                "critical_5pct": [-3.34] * 48,
                "lake_snapshot": np.arange(48) + 100,
            }
        )
        for series, offset in (("BTCUSDT", 1.5), ("ETHUSDT", 0.6), ("spread", 0.0))
    ).sort("taken_at", "series")
    correlation = np.where(np.arange(48) < 24, 0.85, 0.55)
    moves = pl.DataFrame(
        {
            "taken_at": times,
            "correlation": correlation,
            "lower_95": correlation - 0.05,
            "upper_95": correlation + 0.04,
            "observations": [1439] * 48,
            "lake_snapshot": np.arange(48) + 100,
        }
    )
    return snapshots.SnapshotHistory("binance", PAIR, tests, moves, 150)


def without_overlap() -> pair.PairBars:
    """Two legs that never trade at the same time."""
    legs = {
        leg: pl.DataFrame(
            {
                "symbol": [name],
                "bucket": pl.Series(
                    [MONTH_START + dt.timedelta(seconds=second)], dtype=pl.Datetime("us")
                ),
                "close": [100.0],
                "volume": [1.0],
                "quote_volume": [100.0],
                "buy_volume": [0.5],
                "trade_count": [1],
            }
        )
        for leg, name, second in (("y", PAIR.y, 0), ("x", PAIR.x, 9))
    }
    return pair.PairBars(
        venue="binance",
        pair=PAIR,
        day=MONTH_START.date(),
        timeframe="1s",
        frame=pair.align(legs, 1),
        legs=legs,
        snapshot=1,
    )
