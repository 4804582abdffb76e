"""Streams and subscriptions as the venue documents them, seen through a real client."""

import asyncio
import gzip
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect

from streaming.exchange.faults import Fault, FaultKind
from streaming.exchange.recording import SHIPPED
from streaming.exchange.server import LocalExchange
from streaming.exchange.synthetic import SyntheticSource

Record = Callable[[LocalExchange, str], Awaitable[Any]]


def market(trades: int = 2_000, *, quotes: bool = False) -> SyntheticSource:
    return SyntheticSource(
        ["AAAUSDT", "BBBUSDT"],
        rate=1_000,
        seed=3,
        trades=trades,
        quotes=quotes,
        start_us=1_700_000_000_000_000,
    )


async def ask(socket: ClientConnection, request: str) -> Any:
    await socket.send(request)
    return msgspec.json.decode(await asyncio.wait_for(socket.recv(), 5))


async def test_subscribe_list_and_unsubscribe() -> None:
    async with (
        LocalExchange(market(), start="all") as exchange,
        connect(f"{exchange.ws_url}/ws") as socket,
    ):
        request = '{"method":"SUBSCRIBE","params":["aaausdt@trade","aaausdt@aggTrade"],"id":1}'
        assert await ask(socket, request) == {"result": None, "id": 1}
        request = '{"method":"UNSUBSCRIBE","params":["aaausdt@aggTrade"],"id":"x-2"}'
        assert await ask(socket, request) == {"result": None, "id": "x-2"}
        assert await ask(socket, '{"method":"LIST_SUBSCRIPTIONS","id":3}') == {
            "result": ["aaausdt@trade"],
            "id": 3,
        }


async def test_a_subscription_starts_and_ends_its_messages() -> None:
    async with (
        LocalExchange(market(), speed=1) as exchange,
        connect(f"{exchange.ws_url}/ws") as socket,
    ):
        await ask(socket, '{"method":"SUBSCRIBE","params":["bbbusdt@trade"],"id":1}')
        for _ in range(20):
            assert msgspec.json.decode(await asyncio.wait_for(socket.recv(), 5))["s"] == "BBBUSDT"
        await socket.send('{"method":"UNSUBSCRIBE","params":["bbbusdt@trade"],"id":2}')
        async with asyncio.timeout(5):
            while b'"id":2' not in await socket.recv(decode=False):
                pass
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.2)


async def test_the_combined_property_switches_the_wrapping() -> None:
    async with (
        LocalExchange(market(), start="all") as exchange,
        connect(f"{exchange.ws_url}/stream") as socket,
    ):
        get = '{"method":"GET_PROPERTY","params":["combined"],"id":1}'
        assert await ask(socket, get) == {"result": True, "id": 1}
        off = '{"method":"SET_PROPERTY","params":["combined",false],"id":2}'
        assert await ask(socket, off) == {"result": None, "id": 2}
        assert await ask(socket, get.replace("1}", "3}")) == {"result": False, "id": 3}


@pytest.mark.parametrize(
    ("request_text", "code", "message"),
    [
        ("{not json", 3, "Invalid JSON"),
        ("[1]", 2, "Invalid request"),
        ('{"id":1}', 2, "missing field `method`"),
        ('{"method":"BUY","id":1}', 2, "unknown variant `BUY`, expected one of `SUBSCRIBE`"),
        ('{"method":"SUBSCRIBE","params":[1],"id":1}', 2, "must be strings"),
        ('{"method":"SUBSCRIBE","params":["a@trade"],"id":1.5}', 2, "unsigned integer"),
        ('{"method":"SET_PROPERTY","params":["colour",true],"id":1}', 0, "Unknown property"),
        ('{"method":"SET_PROPERTY","params":["combined","yes"],"id":1}', 1, "expected Boolean"),
        ('{"method":"GET_PROPERTY","params":["combined",1],"id":1}', 2, "too many parameters"),
        ('{"method":"GET_PROPERTY","params":[],"id":1}', 2, "property name must be a string"),
    ],
)
async def test_a_malformed_request_gets_the_venues_error_and_changes_nothing(
    request_text: str, code: int, message: str
) -> None:
    async with (
        LocalExchange(market(), start="all") as exchange,
        connect(f"{exchange.ws_url}/ws/aaausdt@trade") as socket,
    ):
        reply = await ask(socket, request_text)
        assert reply["error"]["code"] == code
        assert message in reply["error"]["msg"]
        listed = await ask(socket, '{"method":"LIST_SUBSCRIPTIONS","id":9}')
        assert listed == {"result": ["aaausdt@trade"], "id": 9}


async def test_raw_streams_carry_the_payload_and_combined_ones_wrap_it(record: Record) -> None:
    async with LocalExchange(market(), speed=0, start="all") as exchange:
        raw, combined = await asyncio.gather(
            record(exchange, "/ws/aaausdt@trade"),
            record(exchange, "/stream?streams=aaausdt@trade/bbbusdt@trade"),
        )
    wrapped = [b'{"stream":"aaausdt@trade","data":%b}' % frame for frame in raw.frames]
    assert wrapped == [frame for frame in combined.frames if frame.startswith(b'{"stream":"aaa')]
    first = msgspec.json.decode(raw.frames[0])
    assert list(first) == ["e", "E", "s", "t", "p", "q", "T", "m", "M"]


async def test_microseconds_are_the_same_times_in_another_unit(record: Record) -> None:
    async with LocalExchange(market(), speed=0, start="all") as exchange:
        _, ms, us = await asyncio.gather(
            record(exchange, "/ws/bbbusdt@trade"),
            record(exchange, "/ws/aaausdt@trade"),
            record(exchange, "/stream?streams=aaausdt@trade&timeUnit=MICROSECOND"),
        )
        times = exchange.trades("AAAUSDT").time_us.tolist()
    assert [msgspec.json.decode(frame)["data"]["T"] for frame in us.frames] == times
    assert [msgspec.json.decode(f)["T"] for f in ms.frames] == [time // 1000 for time in times]


async def test_microseconds_of_a_recording_made_in_milliseconds(record: Record) -> None:
    path = SHIPPED / "ethusdt_20240808.gz"
    async with LocalExchange(path, speed=0) as exchange:
        session = await record(exchange, "/ws/ethusdt@trade?timeUnit=microsecond")
    recorded = [
        msgspec.json.decode(line.split(b" ", 1)[1])["data"]
        for line in gzip.decompress(path.read_bytes()).splitlines()
        if b"@trade" in line
    ]
    expected = [{**each, "T": each["T"] * 1000, "E": each["E"] * 1000} for each in recorded]
    assert [msgspec.json.decode(frame) for frame in session.frames] == expected


async def test_aggregate_trades_sum_consecutive_fills_of_one_side_price_and_time(
    record: Record,
) -> None:
    async with LocalExchange(market(), speed=0) as exchange:
        session = await record(exchange, "/ws/aaausdt@trade/aaausdt@aggTrade?timeUnit=MICROSECOND")
    messages = [msgspec.json.decode(frame) for frame in session.frames]
    trades = [each for each in messages if each["e"] == "trade"]
    aggregates = [each for each in messages if each["e"] == "aggTrade"]
    expected = []
    runs = itertools.groupby(trades, key=lambda each: (each["T"], each["p"], each["m"]))
    for number, ((made_us, price, maker), group) in enumerate(runs, 1):
        fills = list(group)
        quantity = sum(round(float(fill["q"]) * 1e8) for fill in fills)
        expected.append((number, made_us, price, maker, fills[0]["t"], fills[-1]["t"], quantity))
    assert len(expected) < len(trades)
    assert expected == [
        (a["a"], a["T"], a["p"], a["m"], a["f"], a["l"], round(float(a["q"]) * 1e8))
        for a in aggregates
    ]


async def test_quotes_surround_the_trades_they_follow(record: Record) -> None:
    async with LocalExchange(market(quotes=True), speed=0) as exchange:
        session = await record(exchange, "/ws/aaausdt@bookTicker")
    quotes = [msgspec.json.decode(frame) for frame in session.frames]
    assert list(quotes[0]) == ["u", "s", "b", "B", "a", "A"]
    assert all(float(quote["b"]) < float(quote["a"]) for quote in quotes)
    updates = [quote["u"] for quote in quotes]
    assert updates == sorted(set(updates))


async def test_shutdown_is_announced_in_both_forms() -> None:
    async with (
        LocalExchange(market(), start="all") as exchange,
        connect(f"{exchange.ws_url}/ws/aaausdt@trade") as raw,
        connect(f"{exchange.ws_url}/stream?streams=aaausdt@trade") as combined,
    ):
        exchange.inject(Fault(kind=FaultKind.SERVER_SHUTDOWN, duration_s=0))
        plain = msgspec.json.decode(await asyncio.wait_for(raw.recv(), 5))
        wrapped = msgspec.json.decode(await asyncio.wait_for(combined.recv(), 5))
        assert plain["e"] == "serverShutdown"
        assert wrapped["stream"] == "!serverShutdown"
        assert wrapped["data"]["e"] == "serverShutdown"
        await asyncio.wait_for(asyncio.gather(raw.wait_closed(), combined.wait_closed()), 5)


async def test_the_server_pings_and_a_client_that_answers_stays() -> None:
    async with (
        LocalExchange(market(), start="all", ping_interval_s=0.4, pong_timeout_s=0.6) as exchange,
        connect(f"{exchange.ws_url}/ws/aaausdt@trade", ping_interval=None) as socket,
    ):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 1.5)
        assert exchange.connection_count == 1
        assert exchange.violations == []


async def test_a_client_that_answers_no_ping_is_cut(tcp_client: Callable[..., Any]) -> None:
    async with LocalExchange(
        market(), start="all", ping_interval_s=0.1, pong_timeout_s=0.3
    ) as exchange:
        reader, writer = await tcp_client(exchange, "/ws/aaausdt@trade")
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 5)
        writer.close()
        assert [violation.kind for violation in exchange.violations] == ["no_pong"]


async def test_a_market_that_follows_the_clock_trades_now() -> None:
    source = SyntheticSource(2, rate=1_000, seed=1, quotes=False)
    async with (
        LocalExchange(source) as exchange,
        httpx.AsyncClient(base_url=exchange.rest_url) as client,
    ):
        waiting = (await client.get("/api/v3/time")).json()["serverTime"]
        assert abs(waiting - time.time() * 1000) < 2_000
        async with connect(f"{exchange.ws_url}/ws/btcusdt@trade") as socket:
            trade = msgspec.json.decode(await asyncio.wait_for(socket.recv(), 5))
            assert abs(trade["T"] - time.time() * 1000) < 2_000
            assert trade["T"] >= waiting
