"""What making a report costs: CPU time and peak memory of this process.

    uv run python -m benchmarks.reports

The pair-day has 86,400 one-second bars; the universe 50 symbols of 1,440 one-minute bars, all 2,450
ordered pairs scanned. Imports are listed apart: a long-lived process pays them once.
"""

from __future__ import annotations

import datetime as dt
import resource
import time

import numpy as np
import polars as pl

START = dt.datetime(2024, 8, 8)  # noqa: DTZ001 - the lake's times are naive UTC


def main() -> None:
    """Measure and print one line each."""
    meter = Meter()
    from quant_pipeline.research import pair, universe
    from quant_pipeline.settings import Pair
    from reports import pair as pair_page
    from reports import universe as universe_page
    from reports import vega
    from reports.context import Context

    vega.runtime()
    meter.lap("imports")
    context = Context(code_version="benchmark")

    names = Pair("AAAUSDT", "BBBUSDT")
    legs = pair_day(names)
    bars = pair.PairBars(
        venue="binance",
        pair=names,
        day=START.date(),
        timeframe="1s",
        frame=pair.align(legs, 1),
        legs=legs,
        snapshot=1,
    )
    meter.lap("synthetic bars")
    statistics = pair.analyse(bars, window=60)
    meter.lap("pair-day, statistics")
    page = pair_page.render(statistics, context)
    meter.lap(f"pair-day, page of {len(page) / 1e6:.1f} MB")

    closes = universe.arrange(
        many(50, 1_440), venue="binance", day=START.date(), days=1, timeframe="1m", snapshot=1
    )
    meter.lap("synthetic universe")
    found = universe.analyse(closes)
    meter.lap("universe, scan")
    page = universe_page.render(found, context)
    meter.lap(f"universe, page of {len(page) / 1e6:.1f} MB")


class Meter:
    """Prints CPU seconds since the last lap and the process's peak memory so far."""

    def __init__(self) -> None:
        self._last = time.process_time()

    def lap(self, name: str) -> None:
        now = time.process_time()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{name:<28} {now - self._last:6.2f} s CPU   peak {peak:5.0f} MB", flush=True)
        self._last = time.process_time()


def pair_day(names: tuple[str, str], n: int = 86_400) -> dict[str, pl.DataFrame]:
    """Bars of two related random walks."""
    rng = np.random.default_rng(1)
    x = np.cumsum(rng.normal(0, 1e-4, n)) + 8
    y = 0.9 * x + np.cumsum(rng.normal(0, 3e-5, n)) + 3
    return {
        leg: bars(symbol, np.exp(level), 1)
        for leg, symbol, level in zip(("y", "x"), names, (y, x), strict=True)
    }


def many(symbols: int, n: int) -> pl.DataFrame:
    """Bars of many random walks with a common part."""
    rng = np.random.default_rng(2)
    market = np.cumsum(rng.normal(0, 4e-4, n))
    return pl.concat(
        bars(f"S{i:02d}USDT", np.exp(3 + market + np.cumsum(rng.normal(0, 5e-4, n))), 60)
        for i in range(symbols)
    )


def bars(symbol: str, price: np.ndarray, seconds: int) -> pl.DataFrame:
    """Bars with one trade each."""
    n = len(price)
    clock = pl.datetime_range(
        START,
        START + dt.timedelta(seconds=seconds * (n - 1)),
        f"{seconds}s",
        time_unit="us",
        eager=True,
    )
    return pl.DataFrame(
        {
            "symbol": pl.repeat(symbol, n, eager=True),
            "bucket": clock,
            "open": price,
            "high": price,
            "low": price,
            "close": price,
            "volume": np.ones(n),
            "quote_volume": price,
            "buy_volume": np.full(n, 0.5),
            "trade_count": np.ones(n, dtype=np.int64),
        }
    )


if __name__ == "__main__":
    main()
