"""Reading the lake at one snapshot: bars, ticks and gaps of a UTC date."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from quant_pipeline import lake
from quant_pipeline.settings import timeframe_seconds

if TYPE_CHECKING:
    import polars as pl

BAR_COLUMNS = (
    "venue, symbol, bucket, open, high, low, close, volume, quote_volume, buy_volume,"
    " trade_count, vwap, first_trade_id, last_trade_id, src_snapshot"
)


@dataclass(frozen=True)
class Window:
    """A venue and the UTC times `start <= t < end`, naive as the lake's timestamps are."""

    venue: str
    start: dt.datetime
    end: dt.datetime


class NothingToRead(RuntimeError):  # noqa: N818 - reads as what happened
    """The lake has no table or rows to compute from; the message says what to run."""


@contextmanager
def one_snapshot(connection: duckdb.DuckDBPyConnection) -> Iterator[int]:
    """Hold one lake snapshot for several queries and yield its id.

    Raises:
        duckdb.TransactionException: the connection is already in a transaction.
    """
    with lake.transaction(connection):
        yield lake.current_snapshot(connection)


def bars_table(timeframe: str, *, live: bool) -> str:
    """Name of the bars of `timeframe`; `live` includes ticks that dbt has not consumed yet.

    Raises:
        ValueError: there is no such timeframe.
    """
    timeframe_seconds(timeframe)
    return f"lake.bars.ohlc_{timeframe}{'_live' if live else ''}"


def read_bars(
    connection: duckdb.DuckDBPyConnection,
    where: Window,
    *,
    symbols: Sequence[str],
    timeframe: str,
    live: bool = True,
) -> pl.DataFrame:
    """Bars whose bucket starts in the window, ordered by symbol and bucket.

    `is_final` is false where trades may still arrive.

    Raises:
        NothingToRead: the table does not exist yet.
    """
    table = bars_table(timeframe, live=live)
    try:
        relation = connection.execute(
            f"select {BAR_COLUMNS}, {'is_final' if live else 'true as is_final'} from {table}"
            " where venue = ? and symbol in (select unnest(?)) and bucket >= ? and bucket < ?"
            " order by symbol, bucket",
            [where.venue, list(symbols), where.start, where.end],
        )
    except duckdb.CatalogException as error:
        raise NothingToRead(
            f"the lake has no {table} yet; run `dbt run` in dbt_project/ first"
        ) from error
    return relation.pl()


def read_ticks(
    connection: duckdb.DuckDBPyConnection,
    where: Window,
    *,
    symbol: str,
) -> pl.DataFrame:
    """Trades of the window in trade order, each id once.

    Columns `ts` (UTC), `price`, `quantity` (base currency), `is_buyer_maker`.
    """
    return connection.execute(
        "select ts, price, quantity, is_buyer_maker from lake.raw.ticks"
        " where venue = ? and symbol = ? and ts >= ? and ts < ?"
        " qualify row_number() over (partition by trade_id order by received_at) = 1"
        " order by ts, trade_id",
        [where.venue, symbol, where.start, where.end],
    ).pl()


def count_ticks(
    connection: duckdb.DuckDBPyConnection,
    where: Window,
    *,
    symbols: Sequence[str],
) -> int:
    """How many rows `read_ticks` would go through."""
    row = connection.execute(
        "select count(*) from lake.raw.ticks"
        " where venue = ? and symbol in (select unnest(?)) and ts >= ? and ts < ?",
        [where.venue, list(symbols), where.start, where.end],
    ).fetchone()
    assert row is not None
    return int(row[0])


def read_gaps(
    connection: duckdb.DuckDBPyConnection,
    where: Window,
    *,
    symbols: Sequence[str],
) -> pl.DataFrame:
    """Capture gaps detected in the window, each in its newest state."""
    return connection.execute(
        "select symbol, first_id, last_id, detected_at, cause, status, repaired_at,"
        " trades_recovered from lake.raw.capture_gaps"
        " where venue = ? and symbol in (select unnest(?))"
        " and detected_at >= ? and detected_at < ?"
        " qualify row_number() over (partition by venue, symbol, first_id"
        " order by repaired_at desc nulls last, detected_at desc) = 1"
        " order by symbol, first_id",
        [where.venue, list(symbols), where.start, where.end],
    ).pl()


def read_alerts(
    connection: duckdb.DuckDBPyConnection,
    where: Window,
    *,
    subjects: Sequence[str] | None = None,
) -> pl.DataFrame:
    """Alerts whose episode touches the window, oldest first; of every subject if none is named.

    Columns `rule, subject, severity, raised_at, cleared_at` (null: open), `value, threshold,
    message`.
    """
    return connection.execute(
        "select rule, subject, severity, raised_at, cleared_at, value, threshold, message"
        " from lake.analytics.alerts where venue = $venue"
        " and ($subjects is null or subject in (select unnest($subjects::varchar[])))"
        " and observed_at < $end"
        " and (observed_at >= $start or cleared_at is null or cleared_at >= $start)"
        " order by raised_at, rule, subject",
        {
            "venue": where.venue,
            "subjects": None if subjects is None else list(subjects),
            "start": where.start,
            "end": where.end,
        },
    ).pl()


def latest_day(
    connection: duckdb.DuckDBPyConnection, *, venue: str, symbols: Sequence[str], timeframe: str
) -> dt.date:
    """The newest UTC date on which every one of `symbols` has a bar.

    Raises:
        NothingToRead: there is no such date, or the table does not exist yet.
    """
    table = bars_table(timeframe, live=True)
    try:
        row = connection.execute(
            f"select max(day) from (select bucket::date as day from {table}"
            " where venue = ? and symbol in (select unnest(?))"
            " group by day having count(distinct symbol) = ?)",
            [venue, list(symbols), len(set(symbols))],
        ).fetchone()
    except duckdb.CatalogException as error:
        raise NothingToRead(
            f"the lake has no {table} yet; run `dbt run` in dbt_project/ first"
        ) from error
    if row is None or row[0] is None:
        raise NothingToRead(
            f"no UTC date has {timeframe} bars of {' and '.join(symbols)} on {venue};"
            ' `quant sql "select distinct symbol from raw.ticks"` lists what was captured'
        )
    day = row[0]
    assert isinstance(day, dt.date)
    return day


def utc_day(venue: str, day: dt.date) -> Window:
    """The window of a UTC date."""
    return utc_days(venue, day, 1)


def utc_days(venue: str, last: dt.date, days: int) -> Window:
    """The window of so many UTC dates, of which `last` is the last.

    Raises:
        ValueError: `days` is below 1.
    """
    if days < 1:
        raise ValueError(f"days is {days}; a window has at least 1")
    end = dt.datetime.combine(last, dt.time()) + dt.timedelta(days=1)
    return Window(venue, end - dt.timedelta(days=days), end)
