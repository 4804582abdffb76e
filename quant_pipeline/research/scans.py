"""Universe scans that were published: every test with its q-values, and the latest of a pair."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import duckdb
import polars as pl

from quant_pipeline.code_version import code_version
from quant_pipeline.lake import transaction
from quant_pipeline.research.outcome import Undefined
from quant_pipeline.research.universe import UniverseStatistics
from quant_pipeline.settings import Pair

_NEVER = "No universe scan on record holds this pair; `quant report universe` makes one."


@dataclass(frozen=True)
class ScanTest:
    """Engle–Granger of one ordered pair within a scan; `qvalue_by` is the one that decides."""

    pvalue: float
    qvalue: float
    qvalue_by: float


@dataclass(frozen=True)
class PairInScan:
    """A pair in the latest scan that holds it.

    Attributes:
        taken_at: when the scan was made, UTC.
        day, days, timeframe, bars: its window.
        symbols, tests: its size; the q-values account for all `tests`.
        y_on_x, x_on_y: both directions.
        lake_snapshot: that it was computed from.
    """

    taken_at: dt.datetime
    day: dt.date
    days: int
    timeframe: str
    bars: int
    symbols: int
    tests: int
    y_on_x: ScanTest | Undefined
    x_on_y: ScanTest | Undefined
    lake_snapshot: int


def record(
    connection: duckdb.DuckDBPyConnection, statistics: UniverseStatistics, *, taken_at: dt.datetime
) -> int:
    """Append the scan's tests to `analytics.universe_scans` and return how many rows that were.

    Args:
        taken_at: UTC, without zone.
    """
    if isinstance(statistics.scan, Undefined):
        return 0
    bars = statistics.bars
    rows = statistics.scan.select(
        taken_at=pl.lit(taken_at, pl.Datetime("us")),
        venue=pl.lit(bars.venue),
        day=pl.lit(bars.day),
        days=pl.lit(bars.days),
        timeframe=pl.lit(bars.timeframe),
        bars=pl.lit(bars.closes.height),
        symbols=pl.lit(len(bars.symbols)),
        tests=pl.lit(statistics.tested),
        y="y",
        x="x",
        statistic="statistic",
        pvalue="pvalue",
        qvalue="qvalue",
        qvalue_by="qvalue_by",
        status="status",
        lake_snapshot=pl.lit(bars.snapshot),
        code_version=pl.lit(code_version()),
    )
    connection.register("scan_rows", rows.to_arrow())
    connection.execute("insert into lake.analytics.universe_scans by name from scan_rows")
    connection.unregister("scan_rows")
    return rows.height


def replace(
    connection: duckdb.DuckDBPyConnection, statistics: UniverseStatistics, *, taken_at: dt.datetime
) -> None:
    """Record a scan in the place of the one before of the same window, so that a date has one.

    Args:
        taken_at: UTC, without zone.
    """
    bars = statistics.bars
    with transaction(connection):
        connection.execute(
            "delete from lake.analytics.universe_scans"
            " where venue = ? and day = ? and days = ? and timeframe = ?",
            [bars.venue, bars.day, bars.days, bars.timeframe],
        )
        record(connection, statistics, taken_at=taken_at)


def latest(
    connection: duckdb.DuckDBPyConnection, *, venue: str, pair: Pair, snapshot: int
) -> PairInScan | Undefined:
    """The scan of the latest date with this pair, of those that the lake held at `snapshot`.

    A scan of an older date that is made later, in a backfill of Dagster's, is not the latest one.
    """
    try:
        rows = connection.execute(
            "select taken_at, day, days, timeframe, bars, symbols, tests, lake_snapshot,"
            " y, pvalue, qvalue, qvalue_by, status from lake.analytics.universe_scans"
            " where venue = $venue and snapshot_id <= $snapshot"
            " and ((y = $y and x = $x) or (y = $x and x = $y))"
            " qualify (day, taken_at) = max((day, taken_at)) over ()",
            {"venue": venue, "snapshot": snapshot, "y": pair.y, "x": pair.x},
        ).fetchall()
    except duckdb.CatalogException:
        return Undefined(_NEVER)
    if not rows:
        return Undefined(_NEVER)
    tests = {row[8]: _test(*row[9:]) for row in rows}
    missing = Undefined("The scan holds the pair the other way round only.")
    taken_at, day, days, timeframe, bars, symbols, count, lake_snapshot = rows[0][:8]
    return PairInScan(
        taken_at=taken_at,
        day=day,
        days=days,
        timeframe=timeframe,
        bars=bars,
        symbols=symbols,
        tests=count,
        y_on_x=tests.get(pair.y, missing),
        x_on_y=tests.get(pair.x, missing),
        lake_snapshot=lake_snapshot,
    )


def _test(
    pvalue: float | None, qvalue: float | None, qvalue_by: float | None, status: str
) -> ScanTest | Undefined:
    if pvalue is None or qvalue is None or qvalue_by is None:
        return Undefined(f"Not tested in the scan: {status}.")
    return ScanTest(pvalue, qvalue, qvalue_by)
