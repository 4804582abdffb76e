"""The lake as it was at a snapshot, for a few symbols and hours, rebuilt in memory from the ticks.

`raw.ticks where snapshot_id <= N` is what the lake held at snapshot N: ticks are append-only, and
the id of a row's snapshot survives expiry and compaction, unlike DuckLake's time travel. The bars
are made of those ticks by dbt's own SELECTs, and a bar depends on nothing but its ticks.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import duckdb

from quant_pipeline import schema
from quant_pipeline.research.reading import Window

if TYPE_CHECKING:
    from quant_pipeline.resident_dbt import CompiledModel

_BARS: Final = tuple(
    f"ohlc_{size}{live}" for live in ("", "_live") for size in ("1s", "1m", "5m", "1h")
)
MODELS: Final = ("stg_ticks", *_BARS, "illiquidity_1h", "liquidity_flags")
"""What `ResidentDbt.compile` is asked for."""

_TICK_COLUMNS = "venue, symbol, trade_id, ts, received_at, price, quantity, is_buyer_maker"
_SPREADS = "illiquidity_1h"
_FLAGS = "liquidity_flags"


class CannotRecomputeError(RuntimeError):
    """The lake no longer holds what is needed; the message says what and why."""


@dataclass(frozen=True)
class Moment:
    """Which ticks were there: by snapshot, for the bars and for the two inputs of the flags.

    Attributes:
        snapshot: of the lake when the bars were read.
        flags_snapshot, spreads_snapshot: see `LiquidityFilter`; None where it was off.
    """

    snapshot: int
    flags_snapshot: int | None = None
    spreads_snapshot: int | None = None


@contextmanager
def lake_as_of(
    connection: duckdb.DuckDBPyConnection,
    models: Sequence[CompiledModel],
    where: Window,
    *,
    symbols: Sequence[str],
    moment: Moment,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB in memory whose `lake` holds ticks and bars of `where` as they were.

    Everything in `quant_pipeline.research` reads it as it reads the lake. Capture gaps are not in
    it: their records change as they are repaired.

    Args:
        connection: the lake.
        models: MODELS, compiled.
        where: the times that were read.
        symbols: the symbols that were read.
        moment: what was there.

    Raises:
        CannotRecomputeError: the ticks of a date are archived, or were when `moment` had passed.
    """
    _check_ticks_are_there(connection, where, moment.snapshot)
    with closing(
        duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false"})
    ) as past:
        past.execute("set TimeZone = 'UTC'")
        past.execute("attach ':memory:' as lake")
        past.execute("use lake")
        _copy_ticks(connection, past, where, symbols, moment.snapshot)
        spreads = _at(past, models, _SPREADS, moment.spreads_snapshot)
        flags = _at(past, models, _FLAGS, moment.flags_snapshot, {_SPREADS: spreads})
        _build(past, models, moment.snapshot, {_SPREADS: spreads, _FLAGS: flags})
        yield past


def _check_ticks_are_there(
    connection: duckdb.DuckDBPyConnection, where: Window, snapshot: int
) -> None:
    for table, since, state in (
        ("archived_days", -1, "are archived"),
        ("restored_days", snapshot, "were archived and restored after this snapshot"),
    ):
        days = connection.execute(
            f"select distinct day from lake.raw.{table}"
            " where day >= ?::date and day < ? and snapshot_id > ? order by day",
            [where.start, where.end, since],
        ).fetchall()
        if days:
            named = ", ".join(str(day) for (day,) in days)
            raise CannotRecomputeError(
                f"the ticks of {named} {state}: those of snapshot {snapshot} cannot be told apart"
                " any more"
            )


def _copy_ticks(
    connection: duckdb.DuckDBPyConnection,
    past: duckdb.DuckDBPyConnection,
    where: Window,
    symbols: Sequence[str],
    snapshot: int,
) -> None:
    """The window's ticks in whole hours, and what its first bars are judged by: the spread of the
    hour before, and the last tick before that, which ends a silence."""
    start = where.start.replace(minute=0, second=0, microsecond=0) - dt.timedelta(hours=1)
    end = where.end + dt.timedelta(hours=1)
    ticks = connection.execute(
        f"select {_TICK_COLUMNS}, snapshot_id from lake.raw.ticks"
        " where venue = $venue and list_contains($symbols, symbol) and snapshot_id <= $snapshot"
        " and ts >= $start and ts < $end"
        " union all"
        f" (select {_TICK_COLUMNS}, snapshot_id from lake.raw.ticks"
        " where venue = $venue and list_contains($symbols, symbol) and snapshot_id <= $snapshot"
        " and ts < $start"
        " qualify row_number() over (partition by symbol order by ts desc, trade_id desc) = 1)",
        {
            "venue": where.venue,
            "symbols": list(symbols),
            "snapshot": snapshot,
            "start": start,
            "end": end,
        },
    ).to_arrow_table()
    _create_tables(past)
    past.register("copied_ticks", ticks)
    past.execute("create table raw.every_tick as from copied_ticks")
    past.unregister("copied_ticks")


def _create_tables(past: duckdb.DuckDBPyConnection) -> None:
    """The lake's base tables, empty, but for the ticks, which are a view, and the scans."""
    for statement in schema.STATEMENTS:
        if statement.lstrip().startswith("CREATE"):
            past.execute(statement)
    past.execute("drop table raw.ticks")
    past.execute("drop table analytics.universe_scans")  # read by their snapshots


def _at(
    past: duckdb.DuckDBPyConnection,
    models: Sequence[CompiledModel],
    name: str,
    snapshot: int | None,
    given: dict[str, str | None] | None = None,
) -> str | None:
    """A copy of one model's rows as its ticks up to `snapshot` make them; None without one."""
    if snapshot is None:
        return None
    _build(past, models, snapshot, given or {})
    (model,) = [each for each in models if each.name == name]
    past.execute(f"create table main.{name} as from {model.schema}.{name}")
    return f"lake.main.{name}"


def _build(
    past: duckdb.DuckDBPyConnection,
    models: Sequence[CompiledModel],
    snapshot: int,
    given: dict[str, str | None],
) -> None:
    """Make every model of the ticks up to `snapshot`; those in `given` are taken from there."""
    past.execute(
        "create or replace view lake.raw.ticks as"
        f" select * from lake.raw.every_tick where snapshot_id <= {snapshot:d}"
    )
    # reading.one_snapshot asks the lake which snapshot it reads
    past.execute(
        "create or replace macro ducklake_current_snapshot(name) as table"
        f" select {snapshot:d} as id"
    )
    for model in models:
        past.execute(f"create schema if not exists {model.schema}")
        source = given.get(model.name)
        select = f"from {source}" if source else model.sql
        past.execute(f"create or replace table {model.schema}.{model.name} as {select}")
