"""Over REST exactly the missing trades are fetched, from the local exchange's real endpoints."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from quant_pipeline.backfill import rest
from quant_pipeline.backfill.landing import Lander
from quant_pipeline.backfill.missing import Ids, missing_ids
from quant_pipeline.backfill.rejects import RejectLog
from quant_pipeline.backfill.rest import BackfillError, RestBackfill
from streaming.budget import WeightBudget
from streaming.clock import SystemClock
from streaming.exchange import recording
from streaming.exchange.faults import Fault, FaultKind
from streaming.exchange.server import ALL_TRADES, LocalExchange
from streaming.rest import RestClient
from streaming.venues.binance import Binance

FIRST, LAST = 3735683259, 3735703162
START, END = datetime.fromisoformat("2024-08-08T23:00"), datetime.fromisoformat("2024-08-09T01:00")
NOON = datetime.fromisoformat("2024-08-10T12:00")


class CountingClient(RestClient):
    """Remembers which addresses were asked."""

    paths: list[str]

    async def get(self, request: object, *, share: float = 1.0) -> bytes:
        self.paths.append(request.path)  # type: ignore[attr-defined]
        return await super().get(request, share=share)  # type: ignore[arg-type]


@asynccontextmanager
async def open_backfill(
    source: Path, connection: duckdb.DuckDBPyConnection, rejects: Path, **options: object
) -> AsyncIterator[tuple[RestBackfill, CountingClient, LocalExchange]]:
    venue = Binance()
    async with LocalExchange(source, published=ALL_TRADES) as exchange:
        client = CountingClient(exchange.rest_url, venue, WeightBudget(share=0.5), SystemClock())
        client.paths = []
        async with client:
            with RejectLog(rejects) as log:
                lander = Lander(connection, clock=lambda: NOON)
                yield (
                    RestBackfill(
                        client,
                        venue,
                        connection,
                        lander,
                        log,
                        clock=lambda: NOON,
                        **options,  # type: ignore[arg-type]
                    ),
                    client,
                    exchange,
                )
        assert exchange.violations == []


@pytest.fixture
def rejects(tmp_path: Path) -> Path:
    return tmp_path / "rejects.csv"


@pytest.fixture(scope="session")
def holed_recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recorded BTCUSDT session as a venue that lacks five trade ids."""
    folder = tmp_path_factory.mktemp("holed")
    for path in recording.SHIPPED.glob("btcusdt_*.gz"):
        kept = []
        for line in gzip.decompress(path.read_bytes()).splitlines(keepends=True):
            data = json.loads(line.split(b" ", 1)[1])["data"]
            if data.get("e") == "trade" and FIRST + 4000 <= data["t"] < FIRST + 4005:
                continue
            kept.append(line)
        (folder / path.name).write_bytes(gzip.compress(b"".join(kept), 1))
    return folder


async def test_a_range_lands_whole_and_a_second_time_asks_for_no_trades(
    connection: duckdb.DuckDBPyConnection, rejects: Path
) -> None:
    async with open_backfill(recording.SHIPPED, connection, rejects) as (backfill, client, market):
        report = await backfill.fetch("BTCUSDT", START, END)
        assert report.wanted == Ids(FIRST, LAST)
        assert (report.held, report.new, report.is_clean) == (0, 19_904, True)
        client.paths.clear()
        again = await backfill.fetch("BTCUSDT", START, END)
        assert (again.held, again.new) == (19_904, 0)
        assert not [path for path in client.paths if "historicalTrades" in path]
        venue = market.trades("BTCUSDT")
    stored = connection.execute(
        "select trade_id, epoch_us(ts), round(price * 1e8)::bigint, round(quantity * 1e8)::bigint,"
        " is_buyer_maker from raw.ticks order by trade_id"
    ).fetchall()
    columns = (venue.trade_id, venue.time_us, venue.price_e8, venue.quantity_e8)
    expected = zip(*(c.tolist() for c in (*columns, venue.is_buyer_maker)), strict=True)
    assert stored == list(expected)


async def test_only_the_trades_between_the_times_are_fetched(
    connection: duckdb.DuckDBPyConnection, rejects: Path
) -> None:
    start = datetime.fromisoformat("2024-08-08T23:58")
    end = datetime.fromisoformat("2024-08-09T00:00")
    async with open_backfill(recording.SHIPPED, connection, rejects) as (backfill, _, market):
        report = await backfill.fetch("BTCUSDT", start, end)
        times = market.trades("BTCUSDT").time_us
    span = connection.execute(
        "select min(ts) >= ?, max(ts) < ?, count(*) from raw.ticks", [start, end]
    ).fetchone()
    inside = ((times >= 1723161480_000000) & (times < 1723161600_000000)).sum()
    assert span == (True, True, inside)
    assert report.new == inside


async def test_range_without_trades_is_told(
    connection: duckdb.DuckDBPyConnection, rejects: Path
) -> None:
    late = datetime.fromisoformat("2024-09-01"), datetime.fromisoformat("2024-09-02")
    early = datetime.fromisoformat("2024-08-01"), datetime.fromisoformat("2024-08-02")
    async with open_backfill(recording.SHIPPED, connection, rejects) as (backfill, *_):
        for span in (late, early):
            report = await backfill.fetch("BTCUSDT", *span)
            assert (report.wanted, report.is_clean) == (None, True)


async def test_interrupted_run_goes_on_with_what_is_missing(
    connection: duckdb.DuckDBPyConnection, rejects: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "_COMMIT_TRADES", 4000)

    class KilledError(Exception):
        pass

    def kill(done: int, total: int) -> None:
        if done > 9000:
            raise KilledError

    async with open_backfill(recording.SHIPPED, connection, rejects, on_progress=kill) as (
        backfill,
        *_,
    ):
        with pytest.raises(KilledError):
            await backfill.fetch("BTCUSDT", START, END)
    (held,) = connection.execute("select count(*) from raw.ticks").fetchone() or (0,)
    assert held == 8000
    async with open_backfill(recording.SHIPPED, connection, rejects) as (backfill, *_):
        report = await backfill.fetch("BTCUSDT", START, END)
    assert (report.held, report.new, report.duplicate) == (8000, 19_904 - 8000, 0)


async def test_gap_left_by_the_worker_is_filled_and_closed_and_the_venues_hole_recorded(
    connection: duckdb.DuckDBPyConnection, rejects: Path, holed_recording: Path
) -> None:
    gap = Ids(FIRST + 3500, FIRST + 4499)
    async with open_backfill(holed_recording, connection, rejects) as (backfill, client, _):
        await backfill.fetch("BTCUSDT", START, END)
        connection.execute("delete from raw.capture_gaps")
        connection.execute("delete from raw.ticks where trade_id between ? and ?", [*gap])
        connection.execute(
            "insert into raw.capture_gaps values"
            " ('binance', 'BTCUSDT', ?, ?, now(), 'long_absence', 'open', null, 0)",
            [*gap],
        )
        client.paths.clear()
        report = await backfill.fetch("BTCUSDT", START, END)
        assert (report.new, report.venue_holes, report.gaps_closed) == (995, 5, 1)
        assert report.is_clean
        asked = [path for path in client.paths if "historicalTrades" in path]
        assert len(asked) <= 3
        client.paths.clear()
        again = await backfill.fetch("BTCUSDT", START, END)
        assert (again.new, again.venue_holes) == (0, 0)
        assert not [path for path in client.paths if "historicalTrades" in path]
    rows = connection.execute(
        "select first_id - ?, last_id - ?, status, trades_recovered from raw.capture_gaps"
        " order by first_id",
        [FIRST, FIRST],
    ).fetchall()
    assert rows == [
        (3500, 3999, "repaired", 500),
        (4000, 4004, "venue_hole", 0),
        (4005, 4499, "repaired", 495),
    ]


@pytest.mark.parametrize("later_first", [False, True])
async def test_gap_across_two_ranges_is_closed_once_both_are_there(
    connection: duckdb.DuckDBPyConnection, rejects: Path, holed_recording: Path, later_first: bool
) -> None:
    gap = Ids(FIRST + 3500, 3735693100)  # over the venue's hole and over midnight
    midnight = datetime.fromisoformat("2024-08-09T00:00")
    ranges = [(START, midnight), (midnight, END)]
    connection.execute(
        "insert into raw.capture_gaps values"
        " ('binance', 'BTCUSDT', ?, ?, now(), 'long_absence', 'open', null, 0)",
        [*gap],
    )
    async with open_backfill(holed_recording, connection, rejects) as (backfill, *_):
        one, other = ranges[::-1] if later_first else ranges
        assert (await backfill.fetch("BTCUSDT", *one)).gaps_closed == 0
        assert (await backfill.fetch("BTCUSDT", *other)).gaps_closed == 1
    rows = connection.execute(
        "select first_id, last_id, status from raw.capture_gaps order by first_id"
    ).fetchall()
    assert rows == [
        (gap.first, FIRST + 3999, "repaired"),
        (FIRST + 4000, FIRST + 4004, "venue_hole"),
        (FIRST + 4005, gap.last, "repaired"),
    ]


async def test_unknown_symbol_and_archived_day_are_refused_by_name(
    connection: duckdb.DuckDBPyConnection, rejects: Path
) -> None:
    connection.execute("insert into raw.archived_days values ('2024-08-08', now(), 'x', 1)")
    async with open_backfill(recording.SHIPPED, connection, rejects) as (backfill, *_):
        with pytest.raises(BackfillError, match="did you mean 'BTCUSDT'"):
            await backfill.check_symbols(["BTCUSD"])
        with pytest.raises(BackfillError, match="quant restore 2024-08-08"):
            await backfill.fetch("BTCUSDT", START, END)


async def test_a_request_that_the_venue_calls_wrong_is_not_sent_again(
    connection: duckdb.DuckDBPyConnection, rejects: Path
) -> None:
    async with open_backfill(recording.SHIPPED, connection, rejects) as (backfill, _, exchange):
        exchange.inject(Fault(kind=FaultKind.REST_ERROR, status=400, count=2))
        with pytest.raises(BackfillError, match="HTTP 400"):
            await backfill.fetch("BTCUSDT", START, END)
        assert exchange.injected == {FaultKind.REST_ERROR: 1}


def test_missing_ids_are_the_complement_of_ticks_and_venue_holes(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    assert missing_ids(connection, "binance", "BTCUSDT", Ids(1, 9), START, END) == [Ids(1, 9)]
    for trade_id in (1, 2, 2, 5, 9, 12):
        connection.execute(
            "insert into raw.ticks values ('binance', 'BTCUSDT', ?, ?, now(), 1, 1, true)",
            [trade_id, START],
        )
    connection.execute(
        "insert into raw.capture_gaps values"
        " ('binance', 'BTCUSDT', 6, 7, now(), 'x', 'venue_hole', now(), 0)"
    )
    found = missing_ids(connection, "binance", "BTCUSDT", Ids(2, 10), START, END)
    assert found == [Ids(3, 4), Ids(8, 8), Ids(10, 10)]
