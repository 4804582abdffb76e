"""Each fault is seen by a real client, and REST keeps the truth through all of them."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from streaming.exchange.faults import Fault, FaultKind, Faults, FrameRates, Schedule
from streaming.exchange.market import Event
from streaming.exchange.recording import SHIPPED
from streaming.exchange.server import LocalExchange
from streaming.exchange.synthetic import SyntheticSource
from streaming.exchange.tape import Hole

PATH = "/ws/aaausdt@trade/bbbusdt@trade"
TRADES = 3_000
START_US = 1_700_000_000_000_000
Market = TypeVar("Market", bound=SyntheticSource)
Record = Callable[[LocalExchange, str], Coroutine[Any, Any, Any]]
Key = tuple[str, int]


def market(kind: type[Market] = SyntheticSource) -> Market:
    return kind(
        ["AAAUSDT", "BBBUSDT"],
        rate=1_000,
        seed=3,
        trades=TRADES,
        quotes=False,
        start_us=START_US,
    )


def lossy(*events: Fault, **rates: float) -> LocalExchange:
    faults = Faults(seed=5, frames=FrameRates(**rates), event=events)
    return LocalExchange(market(), speed=0, faults=faults)


def keys(frames: list[bytes]) -> list[Key]:
    """Symbol and id of each frame that is a well-formed trade."""
    found = []
    for frame in frames:
        try:
            data = msgspec.json.decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if data.get("e") == "trade" and data.get("s"):
            found.append((data["s"], data["t"]))
    return found


def truth(exchange: LocalExchange) -> list[Key]:
    return sorted(
        (symbol, trade_id)
        for symbol in exchange.symbols
        for trade_id in exchange.trades(symbol).trade_id.tolist()
    )


async def rest_ids(client: httpx.AsyncClient, exchange: LocalExchange, symbol: str) -> list[int]:
    ids: list[int] = []
    while True:
        page = await client.get(
            f"{exchange.rest_url}/api/v3/historicalTrades",
            params={"symbol": symbol, "fromId": ids[-1] + 1 if ids else 0, "limit": 1000},
        )
        rows = page.raise_for_status().json()
        if not rows:
            return ids
        ids += [row["id"] for row in rows]


async def test_dropped_frames_are_missing_from_the_stream_and_present_in_rest(
    record: Record,
) -> None:
    async with lossy(drop=0.1) as exchange, httpx.AsyncClient() as client:
        session = await record(exchange, PATH)
        dropped = exchange.injected[FaultKind.DROP]
        assert 200 < dropped < 400
        assert len(keys(session.frames)) == TRADES - dropped
        for symbol in exchange.symbols:
            ids = await rest_ids(client, exchange, symbol)
            assert ids == exchange.trades(symbol).trade_id.tolist()
            assert ids == list(range(ids[0], ids[-1] + 1))
        assert len(truth(exchange)) == TRADES


async def test_duplicated_frames_come_twice(record: Record) -> None:
    async with lossy(duplicate=0.05) as exchange:
        session = await record(exchange, PATH)
        counts = Counter(keys(session.frames))
        assert sorted(counts) == truth(exchange)
        assert sum(counts.values()) - TRADES == exchange.injected[FaultKind.DUPLICATE] > 0


async def test_reordered_frames_come_late_by_no_more_than_they_may(record: Record) -> None:
    async with lossy(reorder=0.1, reorder_within_ms=200) as exchange:
        session = await record(exchange, PATH)
        assert sorted(keys(session.frames)) == truth(exchange)
        times = [msgspec.json.decode(frame)["T"] for frame in session.frames]
        behind = [newest - time for newest, time in zip(_newest(times), times, strict=True)]
        assert 50 < max(behind) <= 200


async def test_a_frame_held_back_comes_though_the_market_is_quiet(tmp_path: Path) -> None:
    path = tmp_path / "quiet"
    trade = '{"e":"trade","E":1,"s":"AAAUSDT","t":%d,"p":"1.0","q":"1.0","T":1,"m":true,"M":true}'
    path.write_text(f"1000000000 {trade % 1}\n3600000000000 {trade % 2}\n")
    faults = Faults(frames=FrameRates(reorder=1.0, reorder_within_ms=50))
    async with (
        LocalExchange(path, faults=faults) as exchange,
        connect(f"{exchange.ws_url}/ws/aaausdt@trade") as socket,
    ):
        assert b'"t":1' in await asyncio.wait_for(socket.recv(decode=False), 5)


def _newest(times: list[int]) -> list[int]:
    return list(itertools.accumulate(times, max))


@pytest.mark.parametrize("kind", [FaultKind.CORRUPT, FaultKind.TRUNCATE])
async def test_damaged_frames_are_never_json_and_their_trades_are_lost(
    kind: FaultKind, record: Record
) -> None:
    async with lossy(**{kind.value: 0.05}) as exchange:
        session = await record(exchange, PATH)
        assert len(session.frames) == TRADES
        arrived = keys(session.frames)
        assert TRADES - len(arrived) == exchange.injected[kind] > 0
        assert set(arrived) < set(truth(exchange))


async def test_a_wrong_type_is_json_that_is_no_trade(record: Record) -> None:
    class Exact(msgspec.Struct):
        s: str
        t: int
        p: str
        q: str
        T: int
        m: bool

    async with lossy(wrong_type=0.05) as exchange:
        session = await record(exchange, PATH)
        refused = 0
        for frame in session.frames:
            try:
                trade = msgspec.json.decode(frame, type=Exact)
                float(trade.p), float(trade.q)
                refused += trade.p == "NaN" or trade.q == "NaN"
            except (msgspec.DecodeError, ValueError):
                refused += 1
        assert refused == exchange.injected[FaultKind.WRONG_TYPE] > 0


async def test_unknown_events_come_beside_the_trades(record: Record) -> None:
    async with lossy(unknown_event=0.05) as exchange:
        session = await record(exchange, PATH)
        assert sorted(keys(session.frames)) == truth(exchange)
        assert len(session.frames) - TRADES == exchange.injected[FaultKind.UNKNOWN_EVENT] > 0


async def test_a_huge_frame_breaks_a_client_that_limits_them(record: Record) -> None:
    fault = Fault(kind=FaultKind.HUGE, after_trades=1_000)
    async with LocalExchange(market(), speed=20, faults=Faults(event=(fault,))) as exchange:
        session = await record(exchange, PATH)
        assert session.closed is not None
        assert session.closed.sent is not None
        assert session.closed.sent.code == 1009
        assert exchange.injected == {FaultKind.HUGE: 1}


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (FaultKind.DISCONNECT_CLEAN, 1001),
        (FaultKind.DISCONNECT_ABRUPT, None),
        (FaultKind.CUT_MID_FRAME, None),
        (FaultKind.SERVER_SHUTDOWN, 1001),
    ],
)
async def test_the_market_ends_connections(
    kind: FaultKind, code: int | None, record: Record
) -> None:
    fault = Fault(kind=kind, after_trades=1_000, duration_s=0.05)
    async with LocalExchange(market(), speed=20, faults=Faults(event=(fault,))) as exchange:
        session = await record(exchange, PATH)
        assert session.closed is not None
        received = session.closed.rcvd.code if session.closed.rcvd else None
        assert received == code
        announced = [frame for frame in session.frames if b"serverShutdown" in frame]
        assert len(announced) == (kind is FaultKind.SERVER_SHUTDOWN)
        await exchange.wait_exhausted()
        assert exchange.injected == {kind: 1}
        assert len(truth(exchange)) == TRADES
        assert exchange.violations == []


async def test_a_half_open_connection_stays_open_and_answers_nothing() -> None:
    fault = Fault(kind=FaultKind.HALF_OPEN, after_trades=1_000)
    faults = Faults(event=(fault,))
    async with (
        LocalExchange(market(), speed=20, faults=faults) as exchange,
        connect(exchange.ws_url + PATH, max_queue=None, ping_interval=None) as socket,
    ):
        await asyncio.wait_for(exchange.wait_exhausted(), 10)
        assert exchange.connection_count == 1
        pong = await socket.ping()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pong, 0.3)
        frames = [await socket.recv(decode=False) for _ in range(1_000)]
        assert len(keys(frames)) == 1_000
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.1)
        socket.transport.abort()


async def test_a_connection_lives_no_longer_than_its_lifetime() -> None:
    faults = Faults(max_age_s=0.2)
    async with (
        LocalExchange(market(), faults=faults) as exchange,
        connect(exchange.ws_url + "/ws") as socket,
    ):
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(socket.recv(), 5)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        assert exchange.injected == {FaultKind.LIFETIME: 1}


async def test_a_venue_hole_is_in_neither_stream_nor_rest(record: Record) -> None:
    fault = Fault(kind=FaultKind.VENUE_HOLE, symbol="BBBUSDT", after_trades=500, count=7)
    async with lossy(fault) as exchange, httpx.AsyncClient() as client:
        session = await record(exchange, PATH)
        assert exchange.holes("AAAUSDT") == []
        (hole,) = exchange.holes("BBBUSDT")
        assert hole.last_id - hole.first_id == 6
        ids = await rest_ids(client, exchange, "BBBUSDT")
        missing = set(range(ids[0], ids[-1] + 1)) - set(ids)
        assert missing == set(range(hole.first_id, hole.last_id + 1))
        assert sorted(keys(session.frames)) == truth(exchange)
        assert isinstance(hole, Hole)


async def test_a_clock_step_stamps_the_same_wrong_time_on_stream_and_rest(record: Record) -> None:
    fault = Fault(kind=FaultKind.CLOCK_STEP, at_s=1.0, duration_s=0.5, step_ms=-3_000)
    async with lossy(fault) as exchange, httpx.AsyncClient() as client:
        session = await record(exchange, PATH)
        times = {
            msgspec.json.decode(frame)["t"]: msgspec.json.decode(frame)["T"]
            for frame in session.frames
            if b"AAAUSDT" in frame
        }
        ordered = [times[trade_id] for trade_id in sorted(times)]
        assert min(b - a for a, b in itertools.pairwise(ordered)) < -2_900
        assert max(b - a for a, b in itertools.pairwise(ordered)) > 2_900
        url = f"{exchange.rest_url}/api/v3/historicalTrades"
        page = await client.get(url, params={"symbol": "AAAUSDT", "fromId": 0, "limit": 1000})
        assert all(times[row["id"]] == row["time"] for row in page.json())


class StandsStill(SyntheticSource):
    """The market; it makes nothing later than 1.5 s after its start until it `may_go_on`."""

    still_us = START_US + 1_500_000
    may_go_on = False

    def take(self, until_us: int | None, limit: int) -> list[Event]:
        if not self.may_go_on:
            until_us = self.still_us if until_us is None else min(until_us, self.still_us)
        return super().take(until_us, limit)


async def test_a_halted_symbol_is_silent_and_its_trades_come_when_it_is_relisted(
    record: Record,
) -> None:
    fault = Fault(kind=FaultKind.HALT, symbol="AAAUSDT", at_s=1.0, duration_s=1.0)
    faults = Faults(event=(fault,))
    source = market(StandsStill)
    async with (
        LocalExchange(source, speed=0, faults=faults) as exchange,
        httpx.AsyncClient() as client,
    ):

        async def status() -> str:
            info = (await client.get(f"{exchange.rest_url}/api/v3/exchangeInfo")).json()
            found: str = {s["symbol"]: s["status"] for s in info["symbols"]}["AAAUSDT"]
            return found

        assert await status() == "TRADING"
        async with asyncio.TaskGroup() as tasks:
            recording = tasks.create_task(record(exchange, PATH))
            async with asyncio.timeout(10):
                while await status() != "HALT":  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            source.may_go_on = True
        session = recording.result()
        assert await status() == "TRADING"
        assert sorted(keys(session.frames)) == truth(exchange)
    arrivals = keys(session.frames)
    only_b = max(len(list(run)) for symbol, run in itertools.groupby(s for s, _ in arrivals))
    assert only_b > 300


@pytest.mark.parametrize(
    ("status", "waits"), [(400, False), (418, True), (429, True), (500, False)]
)
async def test_rest_answers_with_an_error_and_then_recovers(status: int, waits: bool) -> None:
    fault = Fault(
        kind=FaultKind.REST_ERROR,
        status=status,  # type: ignore[arg-type]
        count=2,
        retry_after_s=3,
    )
    async with LocalExchange(market(), published=TRADES) as exchange, httpx.AsyncClient() as client:
        exchange.inject(fault)
        url = f"{exchange.rest_url}/api/v3/historicalTrades"
        answers = [await client.get(url, params={"symbol": "AAAUSDT"}) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [status, status, 200]
        assert answers[0].json()["code"] < 0
        assert answers[0].headers.get("Retry-After") == ("3" if waits else None)
        assert exchange.injected == {FaultKind.REST_ERROR: 2}


async def test_rest_pages_may_be_slow_or_empty() -> None:
    async with LocalExchange(market(), published=TRADES) as exchange, httpx.AsyncClient() as client:
        exchange.inject(Fault(kind=FaultKind.REST_EMPTY))
        exchange.inject(Fault(kind=FaultKind.REST_SLOW, duration_s=0.3))
        url = f"{exchange.rest_url}/api/v3/historicalTrades"
        empty = await client.get(url, params={"symbol": "AAAUSDT"})
        slow = await client.get(url, params={"symbol": "AAAUSDT"})
        assert empty.json() == []
        assert len(slow.json()) == 500
        assert slow.elapsed.total_seconds() >= 0.3


async def test_the_recording_through_a_lossy_line_keeps_its_truth(record: Record) -> None:
    cuts = tuple(
        Fault(kind=FaultKind.DISCONNECT_ABRUPT, after_trades=count)
        for count in range(5_000, 30_000, 5_000)
    )
    rates = FrameRates(drop=0.1, duplicate=0.05, reorder=0.1)
    async with LocalExchange(
        SHIPPED, speed=0, faults=Faults(seed=1, frames=rates, event=cuts)
    ) as exchange:
        path = "/stream?streams=btcusdt@trade/ethusdt@trade"
        sessions = [await record(exchange, path) for _ in range(6)]
        assert [session.closed is None for session in sessions] == [False] * 5 + [True]
        assert exchange.trade_count("BTCUSDT") == 19_904
        assert exchange.trade_count("ETHUSDT") == 14_515
        assert exchange.injected[FaultKind.DISCONNECT_ABRUPT] == 5
        assert 3_000 < exchange.injected[FaultKind.DROP] < 3_900
        assert exchange.violations == []


def test_chaos_is_seeded_and_has_every_kind() -> None:
    def first(seed: int) -> list[Fault]:
        return list(itertools.islice(Faults.chaos(seed).script(), 50))

    assert first(1) == first(1)
    assert first(1) != first(2)
    scripted = {fault.kind for fault in first(1)}
    assert scripted == set(FaultKind) - {FaultKind.LIFETIME}
    assert Faults.chaos(1).max_age_s is not None


def test_a_fault_is_due_at_the_time_it_says_is_next() -> None:
    schedule = Schedule(Faults.chaos(3))
    for _ in range(500):
        next_us = schedule.next_at_us
        assert next_us is not None
        assert schedule.due(next_us - 1, 0) == []
        assert len(schedule.due(next_us, 0)) >= 1


def test_a_script_is_read_from_toml(tmp_path: Path) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(
        "seed = 7\nmax_age_s = 30\n[frames]\ndrop = 0.1\n"
        '[[event]]\nkind = "halt"\nsymbol = "BTCUSDT"\nat_s = 12.5\n'
        '[[event]]\nkind = "rest_error"\nstatus = 429\nafter_trades = 100\n'
    )
    faults = Faults.load(path)
    assert (faults.seed, faults.max_age_s, faults.frames.drop) == (7, 30, 0.1)
    schedule = Schedule(faults)
    assert (schedule.next_at_us, schedule.next_after_trades) == (12_500_000, 100)
    assert schedule.due(12_400_000, 99) == []
    assert [fault.kind for fault in schedule.due(12_500_000, 100)] == ["halt", "rest_error"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[frames]\ndrop = 0.9\ncorrupt = 0.2\n", "sum to at most 1"),
        ("[frames]\nlose = 0.1\n", "lose"),
        ('[[event]]\nkind = "earthquake"\n', "earthquake"),
        ('[[event]]\nkind = "halt"\nat_s = 1\nafter_trades = 1\n', "give one"),
        ('[[event]]\nkind = "lifetime"\n', "max_age_s"),
        ("seed = \n", "faults.toml"),
    ],
)
def test_a_wrong_script_is_refused_with_its_file_and_reason(
    text: str, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=problem) as error:
        Faults.load(path)
    assert "faults.toml" in str(error.value)
