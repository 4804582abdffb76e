"""Reading the lake at one snapshot: bars, ticks and gaps of a UTC date."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import duckdb
import polars as pl

from quant_pipeline import lake
from quant_pipeline.settings import timeframe_seconds

BAR_COLUMNS = (
    "venue, symbol, bucket, open, high, low, close, volume, quote_volume, buy_volume,"
    " trade_count, vwap, first_trade_id, last_trade_id, src_snapshot"
)


class NothingToRead(RuntimeError):  # noqa: N818 - reads as what happened
    """The lake has no table or rows to compute from; the message says what to run."""


@contextmanager
def one_snapshot(connection: duckdb.DuckDBPyConnection) -> Iterator[int]:
    """Hold one lake snapshot for several queries and yield its id.

    Raises:
        duckdb.TransactionException: the connection is already in a transaction.
    """
    connection.begin()
    try:
        yield lake.current_snapshot(connection)
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def bars_table(timeframe: str, *, live: bool) -> str:
    """Name of the bars of `timeframe`; `live` includes ticks that dbt has not consumed yet.

    Raises:
        ValueError: there is no such timeframe.
    """
    timeframe_seconds(timeframe)
    return f"lake.bars.ohlc_{timeframe}{'_live' if live else ''}"


def read_bars(
    connection: duckdb.DuckDBPyConnection,
    *,
    venue: str,
    symbols: Sequence[str],
    start: dt.datetime,
    end: dt.datetime,
    timeframe: str,
    live: bool = True,
) -> pl.DataFrame:
    """Bars with `start <= bucket < end` (UTC, naive), ordered by symbol and bucket.

    Raises:
        NothingToRead: the table does not exist yet.
    """
    table = bars_table(timeframe, live=live)
    try:
        relation = connection.execute(
            f"select {BAR_COLUMNS} from {table}"
            " where venue = ? and symbol in (select unnest(?)) and bucket >= ? and bucket < ?"
            " order by symbol, bucket",
            [venue, list(symbols), start, end],
        )
    except duckdb.CatalogException as error:
        raise NothingToRead(
            f"the lake has no {table} yet; run `dbt run` in dbt_project/ first"
        ) from error
    return relation.pl()


def read_ticks(
    connection: duckdb.DuckDBPyConnection,
    *,
    venue: str,
    symbol: str,
    start: dt.datetime,
    end: dt.datetime,
) -> pl.DataFrame:
    """Trades with `start <= ts < end` in trade order, each id once.

    Columns `ts` (UTC), `price`, `quantity` (base currency), `is_buyer_maker`.
    """
    return connection.execute(
        "select ts, price, quantity, is_buyer_maker from lake.raw.ticks"
        " where venue = ? and symbol = ? and ts >= ? and ts < ?"
        " qualify row_number() over (partition by trade_id order by received_at) = 1"
        " order by ts, trade_id",
        [venue, symbol, start, end],
    ).pl()


def count_ticks(
    connection: duckdb.DuckDBPyConnection,
    *,
    venue: str,
    symbols: Sequence[str],
    start: dt.datetime,
    end: dt.datetime,
) -> int:
    """How many rows `read_ticks` would go through."""
    row = connection.execute(
        "select count(*) from lake.raw.ticks"
        " where venue = ? and symbol in (select unnest(?)) and ts >= ? and ts < ?",
        [venue, list(symbols), start, end],
    ).fetchone()
    assert row is not None
    return int(row[0])


def read_gaps(
    connection: duckdb.DuckDBPyConnection,
    *,
    venue: str,
    symbols: Sequence[str],
    start: dt.datetime,
    end: dt.datetime,
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
        [venue, list(symbols), start, end],
    ).pl()


def utc_day(day: dt.date) -> tuple[dt.datetime, dt.datetime]:
    """Start and end of a UTC date, naive as the lake's timestamps are."""
    start = dt.datetime.combine(day, dt.time())
    return start, start + dt.timedelta(days=1)
