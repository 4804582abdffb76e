"""Published universe scans: what a pair page reads is what the scan found."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl

from quant_pipeline import lake
from quant_pipeline.research import scans, universe
from quant_pipeline.research.outcome import Undefined
from quant_pipeline.settings import Pair, Settings

DAY = dt.date(2024, 8, 8)
TAKEN = dt.datetime(2024, 8, 9, 1)  # noqa: DTZ001 - the lake's times are naive UTC


def market(seed: int, day: dt.date = DAY) -> universe.UniverseStatistics:
    rng = np.random.default_rng(seed)
    n = 300
    first = np.cumsum(rng.normal(0, 1e-3, n))
    levels = {"AAA": first, "BBB": first + rng.normal(0, 1e-3, n), "FLAT": np.zeros(n)}
    clock = pl.Series(
        [dt.datetime.combine(day, dt.time()) + dt.timedelta(minutes=i) for i in range(n)],
        dtype=pl.Datetime("us"),
    )
    bars = pl.concat(
        pl.DataFrame(
            {
                "symbol": [name] * n,
                "bucket": clock,
                **{field: np.exp(3 + level) for field in ("open", "high", "low", "close")},
                "quote_volume": np.ones(n),
                "trade_count": np.ones(n, dtype=np.int64),
            }
        )
        for name, level in levels.items()
    )
    return universe.analyse(
        universe.arrange(bars, venue="binance", day=day, days=1, timeframe="1m", snapshot=4)
    )


def test_the_latest_scan_of_a_pair_is_read_back_as_it_was_then(settings: Settings) -> None:
    pair = Pair("AAA", "BBB")
    old, new = market(1), market(2)
    with lake.connect(settings=settings) as connection:

        def latest(names: Pair, snapshot: int | None = None) -> scans.PairInScan | Undefined:
            at = lake.current_snapshot(connection) if snapshot is None else snapshot
            return scans.latest(connection, venue="binance", pair=names, snapshot=at)

        never = latest(pair)
        assert isinstance(never, Undefined)
        assert "quant report universe" in never.reason
        assert scans.record(connection, old, taken_at=TAKEN) == 6
        between = lake.current_snapshot(connection)
        scans.record(connection, new, taken_at=TAKEN + dt.timedelta(days=1))
        older = market(3, DAY - dt.timedelta(days=1))
        scans.record(connection, older, taken_at=TAKEN + dt.timedelta(days=2))

        for statistics, found in ((new, latest(pair)), (old, latest(pair, between))):
            assert isinstance(found, scans.PairInScan)
            assert isinstance(statistics.scan, pl.DataFrame)
            assert found.tests == statistics.tested == 2
            assert (found.symbols, found.timeframe, found.lake_snapshot) == (3, "1m", 4)
            for test, y in ((found.y_on_x, "AAA"), (found.x_on_y, "BBB")):
                row = statistics.scan.filter(y=y, x="BBB" if y == "AAA" else "AAA").row(
                    0, named=True
                )
                assert test == scans.ScanTest(row["pvalue"], row["qvalue"], row["qvalue_by"])
        turned = latest(Pair("BBB", "AAA"))
        straight = latest(pair)
        assert isinstance(turned, scans.PairInScan)
        assert isinstance(straight, scans.PairInScan)
        assert turned.y_on_x == straight.x_on_y
        flat = latest(Pair("AAA", "FLAT"))
        assert isinstance(flat, scans.PairInScan)
        assert flat.y_on_x == Undefined("Not tested in the scan: constant.")
        assert isinstance(latest(Pair("AAA", "ZZZ")), Undefined)
