"""Published statistics computed again, from the ticks as of their lake snapshot, and compared."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import duckdb
import polars as pl

from quant_pipeline.research import pair_bars, pair_statistics, pair_window
from quant_pipeline.research.as_of import Moment, lake_as_of
from quant_pipeline.research.liquidity_filter import LiquidityFilter
from quant_pipeline.research.reading import Window
from quant_pipeline.settings import Pair

if TYPE_CHECKING:
    from quant_pipeline.resident_dbt import CompiledModel

TABLES: Final = ("adf_snapshots", "correlation_snapshots", "pair_snapshots")

Outcome = Literal["equal", "different", "as recorded"]
Row = Mapping[str, Any]

# Gap records change as gaps are repaired: how many were known then, nothing tells now.
_AS_RECORDED = frozenset({"gaps"})
_WINDOW = ("window_start", "window_end", "bars", "removed_y", "removed_x")
_CORRELATION = pair_window.CorrelationRow._fields
_STATIONARITY = pair_window.StationarityRow._fields


class NoSuchSnapshotError(LookupError):
    """No published row names the lake snapshot; the message lists some that there are."""


@dataclass(frozen=True)
class Column:
    """One number of a row, then and now."""

    name: str
    recorded: object
    recomputed: object

    @property
    def outcome(self) -> Outcome:
        """Whether the two are the same, bit for bit; undefined equals undefined."""
        if self.name in _AS_RECORDED:
            return "as recorded"
        return "equal" if _same(self.recorded, self.recomputed) else "different"


@dataclass(frozen=True)
class Recomputed:
    """A published row and what it says when it is computed again.

    Attributes:
        table: in the schema `analytics`.
        row: as published.
        columns: every number of it.
    """

    table: str
    row: Row
    columns: tuple[Column, ...]

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return all(column.outcome != "different" for column in self.columns)


def find(
    connection: duckdb.DuckDBPyConnection, snapshot: int, tables: Sequence[str] = TABLES
) -> list[tuple[str, Row]]:
    """Every row published from this lake snapshot, with its table.

    Raises:
        NoSuchSnapshotError: there is none.
    """
    found = [(table, row) for table in tables for row in _rows(connection, table, snapshot)]
    if found:
        return found
    newest = connection.execute(
        "select distinct lake_snapshot from ("
        + " union all ".join(f"select lake_snapshot from lake.analytics.{name}" for name in tables)
        + ") order by 1 desc limit 5"
    ).fetchall()
    there = ", ".join(str(row[0]) for row in newest) or "none yet"
    raise NoSuchSnapshotError(
        f"no row of {', '.join(tables)} was computed from lake snapshot {snapshot};"
        f" the newest there are: {there}"
    )


def again(
    connection: duckdb.DuckDBPyConnection,
    models: Sequence[CompiledModel],
    rows: Sequence[tuple[str, Row]],
) -> Iterator[Recomputed]:
    """Compute rows again from the ticks as of their snapshot.

    Args:
        connection: the lake.
        models: `as_of.MODELS`, compiled.
        rows: see `find`.

    Raises:
        as_of.CannotRecomputeError: the ticks are no longer there.
    """
    for table, row in rows:
        compute = _pair if table == "pair_snapshots" else _window
        with _past(connection, models, row) as past:
            columns = compute(past, row)
        yield Recomputed(table, row, columns)


def _rows(connection: duckdb.DuckDBPyConnection, table: str, snapshot: int) -> list[Row]:
    found = connection.execute(
        f"select * from lake.analytics.{table} where lake_snapshot = ? order by taken_at, y, x",
        [snapshot],
    )
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, values, strict=True)) for values in found.fetchall()]


@contextmanager
def _past(
    connection: duckdb.DuckDBPyConnection, models: Sequence[CompiledModel], row: Row
) -> Iterator[duckdb.DuckDBPyConnection]:
    moment = Moment(row["lake_snapshot"], row["flags_snapshot"], row["spreads_snapshot"])
    symbols = (row["y"], row["x"])
    with lake_as_of(connection, models, _read(row), symbols=symbols, moment=moment) as past:
        yield past


def _window(past: duckdb.DuckDBPyConnection, row: Row) -> tuple[Column, ...]:
    """A row of adf_snapshots or correlation_snapshots."""
    window = pair_window.load(
        past,
        pair=Pair(row["y"], row["x"]),
        timeframe=row["timeframe"],
        where=_read(row),
        liquidity_filter=bool(row["liquidity_filter"]),
    )
    names: Sequence[str] = _STATIONARITY if "series" in row else _CORRELATION
    found: dict[str, Any] = {}
    if window.frame.height:
        tests = {test.series: test for test in pair_window.stationarity(window)}
        values = tests[row["series"]] if "series" in row else pair_window.correlation(window)
        found = {**values._asdict(), **_of_window(window.pair, window.frame, window.liquidity)}
    return _columns(row, row, found, (*_WINDOW, *names))


def _pair(past: duckdb.DuckDBPyConnection, row: Row) -> tuple[Column, ...]:
    """A row of pair_snapshots; its metrics become columns of their own."""
    where = _read(row)
    bars = pair_bars.load(
        past,
        venue=where.venue,
        pair=Pair(row["y"], row["x"]),
        day=row["day"],
        timeframe=row["timeframe"],
        ticks=False,  # no published metric needs single trades
        days=(where.end - where.start).days,
        liquidity_filter=bool(row["liquidity_filter"]),
    )
    metrics = pair_statistics.analyse(bars, window=row["rolling_window"]).metrics()
    recorded: Row = row["metrics"]
    window = _of_window(bars.pair, bars.frame, bars.liquidity) if bars.n else {}
    return _columns(row, row, window, _WINDOW) + _columns(
        row, recorded, metrics, [name for name in recorded if name not in _WINDOW]
    )


def _of_window(pair: Pair, frame: pl.DataFrame, liquidity: LiquidityFilter) -> dict[str, Any]:
    y, x = (liquidity.removed.get(symbol, 0) for symbol in pair)
    first, last = frame["bucket"][0], frame["bucket"][-1]
    return dict(zip(_WINDOW, (first, last, frame.height, y, x), strict=True))


def _columns(row: Row, recorded: Row, found: Row, names: Sequence[str]) -> tuple[Column, ...]:
    # rows that are older than the liquidity filter had nothing removed
    older = row["liquidity_filter"] is None
    return tuple(
        Column(name, recorded[name], found.get(name))
        for name in names
        if not (older and name.startswith("removed_"))
    )


def _read(row: Row) -> Window:
    """The times that were read."""
    if row["read_from"] is None:
        raise ValueError(
            f"the row of {row['taken_at']:%Y-%m-%d %H:%M:%S} UTC does not say which window was read"
            " (it is older than that column), so it cannot be recomputed"
        )
    return Window(row["venue"], row["read_from"], row["read_to"])


def _same(one: object, other: object) -> bool:
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        # metrics are stored as doubles, counts among them
        return float(one) == float(other) or (math.isnan(one) and math.isnan(other))
    return one == other
