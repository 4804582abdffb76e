"""The warehouse at 1M, 10M and 100M ticks of history, and beside other resamplers.

    uv run --group bench python -m benchmarks.warehouse    # all sizes; 100M needs 10 GB of disk
    uv run --group bench python -m benchmarks.warehouse --sizes 1 10

Histories are synthetic (20 symbols, seeded), with as many trades in a second of a symbol as the
recorded session has in a second with trades; two more, sparser and denser, are rebuilt only. They
are kept under data/benchmarks/warehouse, so that a second run only measures; what a run adds to
them the next one takes away. Prints one table; exits 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
from rich.console import Console
from rich.table import Table

from quant_pipeline import catalog, compaction, lake, maintenance
from quant_pipeline.resident_dbt import ResidentDbt
from quant_pipeline.settings import ROOT, Settings

FOLDER = ROOT / "data" / "benchmarks" / "warehouse"
SYMBOLS = 20
# Trades in a second of a symbol: a rebuild makes a bar of so many ticks.
RECORDED_PER_SECOND = 27  # in a second with trades, of BTCUSDT and ETHUSDT in the recorded session
SPARSE_PER_SECOND = 8
DENSE_PER_SECOND = 120  # more than a block has ids: the busiest of the recorded seconds
GOAL_TICKS, GOAL_PER_S = 100_000_000, 5e6  # how fast a long history is to be rebuilt
FRESH = 50_000
SYMBOL_IDS = 1_000_000_000  # no two symbols share an id, as on an exchange
LATE_IDS = 1 << 32  # late trades take ids from here on
INSERT = 5_000_000  # ticks in a commit of the history
REPEATS = 5
REBUILDS = 3
BARS = ("ohlc_1s", "ohlc_1m", "ohlc_5m")
PEERS_TICKS = 10_000_000

_TICKS = f"""
    select
        'binance' as venue,
        'S' || lpad(cast(i % {SYMBOLS} as varchar), 2, '0') || 'USDT' as symbol,
        i % {SYMBOLS} * {SYMBOL_IDS} + i // {SYMBOLS} as trade_id,
        timestamp '2024-01-01' + to_microseconds(
            (i // {SYMBOLS}) * (1_000_000 // {{per_second}})
            + cast(hash(i) % 100_000 as bigint)) as ts,
        ts + interval '30 milliseconds' as received_at,
        round(100 + 20 * sin(i / 5e6) + (hash(i + 1) % 1000) / 1000, 2) as price,
        ((hash(i + 2) % 100_000) + 1) / 1e5 as quantity,
        hash(i + 3) % 2 = 0 as is_buyer_maker
    from range({{first}}, {{last}}) as numbers(i)
"""


@dataclass(frozen=True)
class Measurement:
    """One line of the table."""

    what: str
    value: str
    target: str
    met: bool | None


def main() -> None:
    """Measure and print; exit 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 10, 100], help="million ticks")
    parser.add_argument("--no-peers", action="store_true", help="leave pandas, Polars, chdb out")
    arguments = parser.parse_args()
    lines: list[Measurement] = []
    fresh_s: dict[int, float] = {}
    for millions in sorted(arguments.sizes):
        fresh_s[millions] = _measure_size(millions, lines)
    if len(fresh_s) > 1:
        small, large = min(fresh_s), max(fresh_s)
        ratio = fresh_s[large] / fresh_s[small]
        lines.append(
            Measurement(
                f"fresh ticks at {large}M over {small}M", f"{ratio:.2f}×", "≤ 1.5×", ratio <= 1.5
            )
        )
    if max(arguments.sizes) * 1_000_000 >= GOAL_TICKS:
        lines.append(_rebuild_only(GOAL_TICKS, SPARSE_PER_SECOND))
    lines.append(_rebuild_only(10_000_000, DENSE_PER_SECOND))
    if not arguments.no_peers:
        lines += _peers()
    _print(lines)
    sys.exit(any(line.met is False for line in lines))


def _measure_size(millions: int, lines: list[Measurement]) -> float:
    """All measurements on one history; returns the seconds that fresh ticks take."""
    ticks = landed = millions * 1_000_000
    settings = _generate(ticks, RECORDED_PER_SECOND)
    dbt = ResidentDbt(settings)
    with lake.connect(settings=settings) as connection:
        files = {each.name: each for each in compaction.table_files(connection)}
        stored = _ticks_stored(connection)
    per_tick = files["raw.ticks"].bytes / stored
    lines.append(
        Measurement(f"{millions}M: bytes per tick", f"{per_tick:.1f}", "≤ 12", per_tick <= 12)
    )
    lines.append(_measure_rebuild(dbt, stored, RECORDED_PER_SECOND))
    fresh = []
    for _ in range(REPEATS):
        landed = _land(settings, landed, landed + FRESH)
        fresh.append(_model_seconds(dbt))
    fresh_s = statistics.median(fresh)
    lines.append(Measurement(f"{millions}M: {FRESH:,} fresh ticks", f"{fresh_s:.2f} s", "", None))
    per_second = []
    for batch, share in enumerate((0.1, 1.0), start=1):
        late_s, touched, seconds = _late(settings, dbt, int(ticks * share), batch)
        per_second.append(late_s / touched)
        lines.append(
            Measurement(
                f"{millions}M: 2 % late ticks in {share:.0%} of the history",
                f"{late_s:.1f} s for {touched:,} of {seconds:,} seconds touched",
                "",
                None,
            )
        )
    ratio = per_second[1] / per_second[0]
    lines.append(
        Measurement(
            f"{millions}M: a touched second, all of the history over a tenth",
            f"{ratio:.2f}×",
            "≤ 1.5×",
            ratio <= 1.5,
        )
    )
    maintenance.run(settings, daily=False)
    read_s = _read_pair(settings)
    lines.append(
        Measurement(
            f"{millions}M: two days of 1m bars of a pair into Polars",
            f"{read_s * 1e3:.0f} ms",
            "≤ 50 ms",
            read_s <= 0.05,
        )
    )
    catalog.stop(settings)
    return fresh_s


def _rebuild_only(ticks: int, per_second: int) -> Measurement:
    """The rebuild of a history with more or fewer trades in a second, and so fewer or more bars."""
    settings = _generate(ticks, per_second)
    line = _measure_rebuild(ResidentDbt(settings), ticks, per_second)
    catalog.stop(settings)
    return line


def _measure_rebuild(dbt: ResidentDbt, ticks: int, per_second: int) -> Measurement:
    seconds = statistics.median(_model_seconds(dbt, full_refresh=True) for _ in range(REBUILDS))
    rate = ticks / seconds
    has_goal = ticks >= GOAL_TICKS and per_second == RECORDED_PER_SECOND
    return Measurement(
        f"{ticks / 1e6:.0f}M, {per_second} a second and symbol: full rebuild of 1s/1m/5m",
        f"{seconds:.1f} s, {rate / 1e6:.1f}M ticks/s",
        f"≥ {GOAL_PER_S / 1e6:.0f}M ticks/s" if has_goal else "",
        rate >= GOAL_PER_S if has_goal else None,
    )


def _generate(ticks: int, per_second: int) -> Settings:
    """Make a lake hold the first `ticks` ticks and nothing else."""
    settings = Settings(home=FOLDER / f"{ticks // 1_000_000}M-{per_second}")
    with lake.connect(settings=settings) as connection:
        landed = _ticks_stored(connection)
        if landed > ticks:
            connection.execute(
                f"delete from raw.ticks where trade_id % {SYMBOL_IDS} >= {ticks // SYMBOLS}"
            )
            # The rows get new snapshot ids, which does no harm before a rebuild.
            connection.execute(
                f"call ducklake_rewrite_data_files('{lake.LAKE}', 'ticks', schema => 'raw',"
                " delete_threshold => 0)"
            )
            landed = _ticks_stored(connection)
        while landed < ticks:
            last = min(landed + INSERT, ticks)
            connection.execute("insert into raw.ticks " + _ticks(landed, last, per_second))
            landed = last
        compaction.merge(connection, "raw", "ticks", below_bytes=None)
    maintenance.run(settings, daily=True, clock=lambda: datetime.now(UTC) + timedelta(days=4))
    return settings


def _ticks(first: int, last: int, per_second: int = RECORDED_PER_SECOND) -> str:
    return _TICKS.format(first=first, last=last, per_second=per_second)


def _ticks_stored(connection: duckdb.DuckDBPyConnection) -> int:
    row = connection.execute("select count(*) from raw.ticks").fetchone()
    assert row is not None
    return int(row[0])


def _land(settings: Settings, first: int, last: int) -> int:
    with lake.connect(settings=settings) as connection:
        connection.execute("insert into raw.ticks " + _ticks(first, last))
    return last


def _late(settings: Settings, dbt: ResidentDbt, ticks: int, batch: int) -> tuple[float, int, int]:
    """Land 2 % more, scattered; seconds of the models, seconds touched, seconds with a bar."""
    with lake.connect(settings=settings) as connection:
        # Not the last digits of the trades beside them: ids of one market would not be, either.
        first_id = batch * (LATE_IDS + RECORDED_PER_SECOND)
        connection.execute(
            f"insert into raw.ticks select * replace (trade_id + {first_id} as trade_id) from ("
            + _ticks(0, ticks)
            + ") where hash(trade_id, symbol) % 50 = 0"
        )
        snapshot = lake.current_snapshot(connection)
    seconds = _model_seconds(dbt)
    with lake.connect(read_only=True, settings=settings) as connection:
        row = connection.execute(
            "select count(*) filter (src_snapshot >= ?), count(*) from bars.ohlc_1s", [snapshot]
        ).fetchone()
    assert row is not None
    return seconds, int(row[0]), int(row[1])


def _model_seconds(dbt: ResidentDbt, *, full_refresh: bool = False) -> float:
    """Seconds that dbt reports for the bar models."""
    run = dbt.run(
        select=["stg_ticks", "ohlc_revisions", *BARS, "ohlc_1h"], full_refresh=full_refresh
    )
    return sum(node.seconds for node in run.nodes if node.name in BARS)


def _read_pair(settings: Settings) -> float:
    query = (
        "select * from bars.ohlc_1m where symbol in ('S00USDT', 'S01USDT')"
        " and bucket >= timestamp '2024-01-01' and bucket < timestamp '2024-01-03'"
    )
    with lake.connect(read_only=True, settings=settings) as connection:
        times = []
        for _ in range(REPEATS + 1):
            started = time.perf_counter()
            connection.execute(query).pl()
            times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


# --- other resamplers, on the same ten million ticks in one Parquet file ---------------------


def _peers() -> list[Measurement]:
    file = FOLDER / f"10M-{RECORDED_PER_SECOND}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        duckdb.connect().execute(
            f"copy ({_ticks(0, PEERS_TICKS)} order by symbol, ts, trade_id)"
            f" to '{file}' (compression zstd)"
        )
    peers: dict[str, Callable[[Path], int]] = {
        "DuckDB SQL": _duckdb_minutes,
        "Polars group_by_dynamic": _polars_minutes,
        "chdb": _chdb_minutes,
        "pandas groupby().resample": _pandas_minutes,
    }
    lines, counts = [], set()
    for name, resample in peers.items():
        started = time.perf_counter()
        counts.add(resample(file))
        seconds = time.perf_counter() - started
        rate = PEERS_TICKS / seconds / 1e6
        lines.append(
            Measurement(
                f"10M ticks to 1m bars: {name}", f"{seconds:.2f} s, {rate:.1f}M/s", "", None
            )
        )
    assert len(counts) == 1, f"the peers disagree on how many bars there are: {counts}"
    return lines


def _duckdb_minutes(file: Path) -> int:
    frame = duckdb.connect().sql(
        "select symbol, time_bucket(interval '1 minute', ts) as bucket,"
        " arg_min(price, ts) as open, max(price) as high, min(price) as low,"
        " arg_max(price, ts) as close, sum(quantity) as volume"
        f" from '{file}' group by all"
    )
    return frame.pl().height


def _polars_minutes(file: Path) -> int:
    price = pl.col("price")
    return (
        pl.read_parquet(file, columns=["symbol", "ts", "price", "quantity"])
        .sort("symbol", "ts")
        .group_by_dynamic("ts", every="1m", group_by="symbol")
        .agg(
            open=price.first(),
            high=price.max(),
            low=price.min(),
            close=price.last(),
            volume=pl.col("quantity").sum(),
        )
        .height
    )


def _chdb_minutes(file: Path) -> int:
    import chdb

    table = chdb.query(
        "select symbol, toStartOfMinute(ts) as bucket, argMin(price, ts) as open,"
        " max(price) as high, min(price) as low, argMax(price, ts) as close,"
        f" sum(quantity) as volume from file('{file}', Parquet) group by symbol, bucket",
        "ArrowTable",
    )
    return int(table.num_rows)


def _pandas_minutes(file: Path) -> int:
    import pandas as pd

    frame = pd.read_parquet(file, columns=["symbol", "ts", "price", "quantity"]).set_index("ts")
    resampled = frame.groupby("symbol").resample("1min")
    bars = pd.concat([resampled["price"].ohlc(), resampled["quantity"].sum()], axis=1)
    return int(bars["open"].notna().sum())


def _print(lines: list[Measurement]) -> None:
    table = Table(title="Warehouse")
    for column in ("what", "measured", "target", ""):
        table.add_column(column)
    marks = {True: "met", False: "MISSED", None: ""}
    for line in lines:
        table.add_row(line.what, line.value, line.target, marks[line.met])
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
