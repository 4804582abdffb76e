"""Load: 50,000 trades a second for under half a core, and chaos that a client can repair."""

import asyncio
import multiprocessing
import re
import time
from collections import Counter
from multiprocessing.connection import Connection

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from streaming.exchange.faults import FRAME_KINDS, FaultKind, Faults
from streaming.exchange.server import LocalExchange
from streaming.exchange.synthetic import SyntheticSource

_TRADE = re.compile(
    rb'"s":"(\w+)","t":(\d+),"p":"[\d.]+","q":"[\d.]+","T":\d+,"m":(?:true|false),"M":true}$'
)
RATE = 50_000
SECONDS = 20


def _serve(pipe: Connection) -> None:
    async def serve() -> None:
        source = SyntheticSource(20, rate=RATE, seed=1, quotes=False)
        async with LocalExchange(source) as exchange:
            pipe.send((exchange.port, exchange.symbols))
            await asyncio.to_thread(pipe.recv)
            pipe.send((time.process_time(), exchange.violations))

    asyncio.run(serve())


@pytest.mark.slow
async def test_50_000_trades_a_second_reach_a_client_for_under_half_a_core() -> None:
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,))
    process.start()
    port, symbols = await asyncio.to_thread(ours.recv)
    streams = "/".join(f"{symbol.lower()}@trade" for symbol in symbols)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"GET /ws/{streams} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    trades, tail, began = 0, b"", time.monotonic()
    while time.monotonic() - began < SECONDS:
        block = tail + await reader.read(1 << 20)
        trades += block.count(b'"e":"trade"')
        tail = block[-10:]
    ours.send("stop")
    cpu_s, violations = await asyncio.to_thread(ours.recv)
    writer.close()
    await asyncio.to_thread(process.join, 30)
    assert violations == []
    assert trades / SECONDS == pytest.approx(RATE, rel=0.03)
    assert cpu_s / SECONDS < 0.5


async def test_through_chaos_rest_has_every_trade_and_a_client_that_behaves_breaks_no_limit() -> (
    None
):
    faults = Faults.chaos(seed=11, every_s=1.0)
    source = SyntheticSource(4, rate=1_000, seed=2, trades=60_000, quotes=False)
    seen: Counter[tuple[str, int]] = Counter()
    async with (
        # Faster, and a slow machine's reconnects would take most of the market's time.
        LocalExchange(source, speed=5, faults=faults) as exchange,
        httpx.AsyncClient(base_url=f"{exchange.rest_url}/api/v3") as client,
    ):
        ended = asyncio.create_task(exchange.wait_exhausted())
        reading = asyncio.create_task(_read(exchange, seen))
        while not ended.done():
            await client.get("/klines", params={"symbol": "BTCUSDT", "interval": "1s", "limit": 5})
            await asyncio.wait({ended}, timeout=0.1)
        await ended
        reading.cancel()
        for symbol in exchange.symbols:
            made = exchange.trades(symbol).trade_id.tolist()
            missing = set(range(made[0], made[-1] + 1)) - set(made)
            assert missing == {
                trade_id
                for hole in exchange.holes(symbol)
                for trade_id in range(hole.first_id, hole.last_id + 1)
            }
            assert {i for s, i in seen if s == symbol} <= set(made)
            assert await _rest_ids(client, symbol, len(made)) == made
        # Frames to be damaged may be lost with the connection that they were to be sent on.
        always = set(FaultKind) - {FaultKind.LIFETIME} - set(FRAME_KINDS)
        assert set(exchange.injected) >= always
        assert len(set(exchange.injected) & set(FRAME_KINDS)) >= 4
        assert exchange.violations == []
        assert len(seen) > 30_000


async def _read(exchange: LocalExchange, seen: Counter[tuple[str, int]]) -> None:
    streams = "/".join(f"{symbol.lower()}@trade" for symbol in exchange.symbols)
    while True:
        try:
            async with connect(
                f"{exchange.ws_url}/ws/{streams}", max_queue=None, ping_interval=None
            ) as socket:
                while True:
                    # A half-open connection is silent, and silence is all that shows it.
                    frame = await asyncio.wait_for(socket.recv(decode=False), 0.3)
                    found = _TRADE.search(frame)
                    if found is not None:
                        seen[(found[1].decode(), int(found[2]))] += 1
        except (ConnectionClosed, TimeoutError, OSError):
            await asyncio.sleep(0.02)


async def _rest_ids(client: httpx.AsyncClient, symbol: str, count: int) -> list[int]:
    ids: list[int] = []
    async with asyncio.timeout(60):
        while len(ids) < count:  # leftover faults answer with errors and empty pages
            page = await client.get(
                "/historicalTrades",
                params={"symbol": symbol, "fromId": ids[-1] + 1 if ids else 0, "limit": 1000},
            )
            if page.status_code == 200:
                ids += [row["id"] for row in page.json()]
    return ids
