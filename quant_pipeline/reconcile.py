"""Our bars against the exchange's own klines, field by field."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

import duckdb

from quant_pipeline.code_version import code_version
from quant_pipeline.settings import timeframe_seconds
from streaming.rest import RestClient, RestError, persist
from streaming.venues import DecodeError, RestRequest, Venue, first_unlisted
from streaming.venues.binance_history import KLINES_PER_PAGE, Kline, decode_klines, klines

PRICES: Final = ("open", "high", "low", "close")
VOLUMES: Final = ("volume", "quote_volume", "buy_volume")
FIELDS: Final = (*PRICES, *VOLUMES, "trade_count")

_T = TypeVar("_T")

_UNIT = 1e-8  # in which the venue quotes quantities


class ReconcileError(RuntimeError):
    """Nothing can be compared; the message says why and what to do, and nothing was recorded."""


@dataclass(frozen=True)
class Bar:
    """A bar of ours, or a kline, with the fields that both have.

    Times UTC without zone; prices in quote currency, volumes in base (`quote_volume`: quote).
    """

    bucket: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    buy_volume: float
    trade_count: int


@dataclass(frozen=True)
class Difference:
    """One field of one bar; `field` is `bar` where a side has no such bar (None)."""

    symbol: str
    timeframe: str
    bucket: datetime
    field: str
    ours: float | None
    theirs: float | None


@dataclass
class Reconciliation:
    """Bars compared and what differed.

    Attributes:
        start, end: the range of bars, [start, end), UTC without zone.
        bars: how many either side has, klines without a trade not counted.
        unrepaired: of the trades that `raw.capture_gaps` says are missing, how many ids.
    """

    symbol: str
    timeframe: str
    start: datetime
    end: datetime
    bars: int = 0
    unrepaired: int = 0
    differences: list[Difference] = field(default_factory=list)


def compare(
    symbol: str, timeframe: str, ours: Iterable[Bar], theirs: Iterable[Bar]
) -> tuple[int, list[Difference]]:
    """Compare two sides' bars; a kline without a trade is no bar.

    Prices and counts must be equal. Volumes are sums of multiples of 1e-8: they may differ by what
    the nearest doubles differ. The venue cuts a quote volume to 1e-8 after each trade or once: it
    may differ by 1e-8 a trade.

    Returns:
        how many bars either side has, and the differences in time order.
    """
    left = {bar.bucket: bar for bar in ours}
    right = {bar.bucket: bar for bar in theirs if bar.trade_count}
    differences = []
    for bucket in sorted(left.keys() | right.keys()):
        a, b = left.get(bucket), right.get(bucket)
        if a is None or b is None:
            counts = (a.trade_count if a else None, b.trade_count if b else None)
            differences.append(Difference(symbol, timeframe, bucket, "bar", *counts))
            continue
        for name in FIELDS:
            mine, venues = getattr(a, name), getattr(b, name)
            if abs(mine - venues) > _tolerance(name, b):
                differences.append(Difference(symbol, timeframe, bucket, name, mine, venues))
    return len(left.keys() | right.keys()), differences


def _tolerance(name: str, kline: Bar) -> float:
    if name == "quote_volume":
        return _UNIT * (kline.trade_count + 1) + 1e-12 * kline.quote_volume
    if name in VOLUMES:
        return _UNIT / 2 + 1e-12 * float(getattr(kline, name))
    return 0.0


def captured_range(
    connection: duckdb.DuckDBPyConnection, venue: str, symbol: str, timeframe: str
) -> tuple[datetime, datetime] | None:
    """The last day of bars, [start, end), without the first and the newest: they may be partial.

    None if there are fewer than three bars.
    """
    row = connection.execute(
        f"select count(*), min(bucket), max(bucket) from bars.ohlc_{timeframe}"
        " where venue = ? and symbol = ?",
        [venue, symbol],
    ).fetchone()
    assert row is not None
    bars, first, newest = row
    if bars < 3:
        return None
    step = timedelta(seconds=timeframe_seconds(timeframe))
    return max(first + step, newest - timedelta(days=1)), newest


def our_bars(
    connection: duckdb.DuckDBPyConnection,
    venue: str,
    symbol: str,
    timeframe: str,
    start: datetime,
    end: datetime,
) -> list[Bar]:
    """Bars of ours that open in [start, end)."""
    timeframe_seconds(timeframe)
    rows = connection.execute(
        f"select bucket, {', '.join(FIELDS)} from bars.ohlc_{timeframe}"
        " where venue = ? and symbol = ? and bucket >= ? and bucket < ? order by bucket",
        [venue, symbol, start, end],
    ).fetchall()
    return [Bar(*row) for row in rows]


def check_bars_exist(connection: duckdb.DuckDBPyConnection, timeframes: Iterable[str]) -> None:
    """Raise ReconcileError if dbt has not made the bars of one of the timeframes."""
    rows = connection.execute(
        "select table_name from duckdb_tables()"
        " where database_name = 'lake' and schema_name = 'bars'"
    ).fetchall()
    there = {row[0] for row in rows}
    for timeframe in timeframes:
        if f"ohlc_{timeframe}" not in there:
            raise ReconcileError(
                f"bars.ohlc_{timeframe} does not exist yet: run `quant bars` first"
            )


async def check_symbols(client: RestClient, venue: Venue, symbols: Sequence[str]) -> None:
    """Read the venue's symbols and limits; raises ReconcileError for a symbol it lacks."""
    info = await _ask(client, venue.info(), venue.decode_info)
    if info.weight_per_minute is not None:
        client.budget.configure(info.weight_per_minute)
    if found := first_unlisted(symbols, info.symbols):
        symbol, hint = found
        raise ReconcileError(f"{venue.name} does not trade {symbol!r}{hint}")


async def _ask(client: RestClient, request: RestRequest, decode: Callable[[bytes], _T]) -> _T:
    async def fetch() -> _T:
        return decode(await client.get(request))

    try:
        return await persist(fetch)
    except (RestError, DecodeError) as error:
        raise ReconcileError(
            f"the venue does not answer ({error}), and nothing was recorded: see that rest_url can "
            "be reached, then run the same command again"
        ) from error


async def venue_bars(
    client: RestClient, symbol: str, timeframe: str, start: datetime, end: datetime
) -> list[Bar]:
    """The venue's klines that open in [start, end).

    Raises:
        ReconcileError: the venue does not answer.
    """
    step_ms = timeframe_seconds(timeframe) * 1000
    position, last = -(-_milliseconds(start) // step_ms) * step_ms, _milliseconds(end) - 1
    bars: list[Bar] = []
    while position <= last:
        page_end = min(position + step_ms * KLINES_PER_PAGE - 1, last)
        request = klines(symbol, timeframe, position, page_end)
        page = await _ask(client, request, decode_klines)
        bars += [_bar(kline) for kline in page]
        position += step_ms * KLINES_PER_PAGE
    return bars


async def reconcile(
    client: RestClient,
    connection: duckdb.DuckDBPyConnection,
    venue: str,
    symbol: str,
    timeframe: str,
    span: tuple[datetime, datetime],
) -> Reconciliation:
    """Compare the bars of one symbol and timeframe that open in `span`."""
    start, end = span
    result = Reconciliation(symbol, timeframe, start, end)
    ours = our_bars(connection, venue, symbol, timeframe, start, end)
    theirs = await venue_bars(client, symbol, timeframe, start, end)
    result.bars, result.differences = compare(symbol, timeframe, ours, theirs)
    if result.differences:
        result.unrepaired = _unrepaired(connection, venue, symbol)
    return result


def record(
    connection: duckdb.DuckDBPyConnection,
    venue: str,
    results: Iterable[Reconciliation],
    *,
    taken_at: datetime,
    snapshot: int,
) -> None:
    """Append results to `analytics.reconciliations`; the data-quality page shows the last ones.

    Args:
        taken_at: UTC without zone.
        snapshot: lake snapshot that our bars were read at.
    """
    for each in results:
        fields = differing_fields(each.differences)
        connection.execute(
            f"insert into lake.analytics.reconciliations values ({', '.join('?' * 12)})",
            [
                *(taken_at, venue, each.symbol, each.timeframe, each.start, each.end),
                *(each.bars, len(each.differences)),
                ", ".join(f"{name} {n}" for name, n in sorted(fields.items())),
                *(each.unrepaired, snapshot, code_version()),
            ],
        )


def _unrepaired(connection: duckdb.DuckDBPyConnection, venue: str, symbol: str) -> int:
    row = connection.execute(
        "select coalesce(sum(last_id - first_id + 1), 0) from raw.capture_gaps"
        " where venue = ? and symbol = ? and status = 'open'",
        [venue, symbol],
    ).fetchone()
    return int(row[0]) if row else 0


def differing_fields(differences: Sequence[Difference]) -> dict[str, int]:
    """How many differences each field has."""
    counts: dict[str, int] = {}
    for difference in differences:
        counts[difference.field] = counts.get(difference.field, 0) + 1
    return counts


def _bar(kline: Kline) -> Bar:
    return Bar(kline.bucket, *(getattr(kline, name) for name in FIELDS))


def _milliseconds(moment: datetime) -> int:
    return round(moment.replace(tzinfo=UTC).timestamp() * 1000)
