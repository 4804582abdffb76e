"""The venue's limits are enforced as the venue does, and written down."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from streaming.exchange.limits import RateLimit, RequestWeight
from streaming.exchange.server import LocalExchange
from streaming.exchange.synthetic import SyntheticSource


def market(**options: Any) -> SyntheticSource:
    return SyntheticSource(2, rate=1_000, seed=1, trades=2_000, quotes=False, **options)


def kinds(exchange: LocalExchange) -> list[str]:
    return [violation.kind for violation in exchange.violations]


async def close_code(url: str, *messages: str) -> int:
    async with connect(url, max_queue=None) as socket:
        for message in messages:
            await socket.send(message)
        await asyncio.wait_for(socket.wait_closed(), 5)
        assert socket.close_code is not None
        return socket.close_code


async def test_1024_streams_are_allowed_and_one_more_ends_the_connection() -> None:
    streams = [f"s{number:04d}usdt@trade" for number in range(1_025)]
    async with LocalExchange(market(), start="all") as exchange:
        async with connect(f"{exchange.ws_url}/stream?streams={'/'.join(streams[:512])}") as s:
            rest = ",".join(f'"{name}"' for name in streams[512:1_024])
            await s.send(f'{{"method":"SUBSCRIBE","params":[{rest}],"id":1}}')
            assert await asyncio.wait_for(s.recv(), 5) == '{"result":null,"id":1}'
            assert kinds(exchange) == []
        everything = ",".join(f'"{name}"' for name in streams)
        request = f'{{"method":"SUBSCRIBE","params":[{everything}],"id":1}}'
        assert await close_code(f"{exchange.ws_url}/ws", request) == 1008
        assert kinds(exchange) == ["streams"]


async def test_a_sixth_message_in_a_second_ends_the_connection() -> None:
    request = '{"method":"LIST_SUBSCRIPTIONS","id":1}'
    async with LocalExchange(market(), start="all") as exchange:
        assert await close_code(f"{exchange.ws_url}/ws", *[request] * 6) == 1008
        assert kinds(exchange) == ["messages"]


async def test_pings_count_as_messages() -> None:
    async with (
        LocalExchange(market(), start="all") as exchange,
        connect(f"{exchange.ws_url}/ws", ping_interval=None) as socket,
    ):
        for _ in range(6):
            await socket.ping()
        await asyncio.wait_for(socket.wait_closed(), 5)
        assert kinds(exchange) == ["messages"]


async def test_the_301st_connection_attempt_is_refused() -> None:
    async with LocalExchange(market(), start="all") as exchange:
        for _ in range(300):
            async with connect(f"{exchange.ws_url}/ws"):
                pass
        assert kinds(exchange) == []
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"{exchange.ws_url}/ws"):
                pass
        assert refused.value.response.status_code == 429
        assert kinds(exchange) == ["attempts"]


async def test_request_weight_is_told_and_beyond_it_requests_are_refused() -> None:
    now_ns = 1_700_000_040_000_000_000  # a whole minute
    async with (
        LocalExchange(market(), published=2_000, clock_ns=lambda: now_ns) as exchange,
        httpx.AsyncClient(base_url=exchange.rest_url) as client,
    ):
        page = {"symbol": "BTCUSDT", "limit": 1}
        for number in range(1, 241):
            answer = await client.get("/api/v3/historicalTrades", params=page)
            assert answer.status_code == 200
            assert answer.headers["X-MBX-USED-WEIGHT-1M"] == str(25 * number)
        refused = await client.get("/api/v3/ping")
        assert refused.status_code == 429
        assert refused.headers["Retry-After"] == "60"
        assert refused.json()["code"] == -1003
        for _ in range(10):
            banned = await client.get("/api/v3/ping")
        assert banned.status_code == 418
        assert banned.headers["Retry-After"] == "120"
        assert kinds(exchange) == ["weight"] * 10 + ["banned"]
        now_ns += 60_000_000_000
        assert (await client.get("/api/v3/ping")).status_code == 418
        now_ns += 60_000_000_000
        assert (await client.get("/api/v3/ping")).status_code == 200


def test_bans_double() -> None:
    weight = RequestWeight(limit=1)
    bans = []
    now_s = 0.0
    for _ in range(3):
        while (verdict := weight.spend(1, now_s)).status != 418:
            pass
        bans.append(verdict.retry_after_s)
        now_s += verdict.retry_after_s
    assert bans == [120, 240, 480]


def test_a_rate_limit_slides() -> None:
    limit = RateLimit(2, 1.0)
    assert [limit.allow(t) for t in (0.0, 0.5, 0.9, 1.1, 2.2)] == [True, True, False, False, True]


async def test_a_client_that_does_not_read_is_cut(tcp_client: Callable[..., Any]) -> None:
    source = SyntheticSource(2, rate=200_000, seed=1, quotes=False)
    async with LocalExchange(source, max_buffer_bytes=1 << 20) as exchange:
        _, writer = await tcp_client(exchange, "/ws/btcusdt@trade/ethusdt@trade")
        await asyncio.wait_for(exchange.wait_idle(), 20)
        writer.close()
        assert kinds(exchange) == ["slow_client"]


async def test_at_maximum_speed_the_market_waits_for_the_slowest_client(
    tcp_client: Callable[..., Any],
) -> None:
    source = SyntheticSource(2, rate=1_000, seed=1, trades=200_000, quotes=False)
    async with LocalExchange(source, speed=0) as exchange:
        reader, writer = await tcp_client(exchange, "/ws/btcusdt@trade/ethusdt@trade")
        await exchange.wait_started()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(exchange.wait_exhausted(), 1)
        held_back = sum(map(exchange.trade_count, exchange.symbols))
        assert held_back < 150_000
        received = 0
        async with asyncio.timeout(60):
            tail = b""
            while received < 200_000:
                block = tail + await reader.read(1 << 20)
                received += block.count(b'"e":"trade"')
                tail = block[-10:]
            await exchange.wait_exhausted()
        writer.close()
        assert kinds(exchange) == []
