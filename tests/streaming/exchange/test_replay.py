"""A replayed recording reaches real clients whole and as recorded."""

import asyncio
import gzip
from collections import Counter

import httpx
from websockets.asyncio.client import connect

from streaming.exchange.recording import SHIPPED, read_events
from streaming.exchange.server import LocalExchange
from streaming.exchange.subscriptions import Writing
from streaming.exchange.writer import Writer

TRADES = {"BTCUSDT": (3735683259, 19_904), "ETHUSDT": (1520538925, 14_515)}


def recorded_frames(kind: bytes) -> Counter[bytes]:
    frames: Counter[bytes] = Counter()
    for path in SHIPPED.glob("*.gz"):
        for line in gzip.decompress(path.read_bytes()).splitlines():
            frame = line.split(b" ", 1)[1]
            if b"@" + kind + b'"' in frame[:40]:
                frames[frame] += 1
    return frames


async def collect(url: str, count: int) -> list[bytes]:
    received: list[bytes] = []
    async with connect(url, max_queue=None) as socket, asyncio.timeout(60):
        while len(received) < count:
            received.append(await socket.recv(decode=False))
    return received


async def test_two_clients_both_get_every_recorded_trade_frame_to_the_byte() -> None:
    async with LocalExchange(SHIPPED, speed=0, start="all") as exchange:
        both = f"{exchange.ws_url}/stream?streams=btcusdt@trade/ethusdt@trade"
        raw = f"{exchange.ws_url}/ws/ethusdt@trade"
        frames, raw_frames, _ = await asyncio.gather(
            collect(both, 34_419), collect(raw, 14_515), exchange.wait_exhausted()
        )
        assert exchange.violations == []
    assert Counter(frames) == recorded_frames(b"trade")
    wrapped = [b'{"stream":"ethusdt@trade","data":' + each + b"}" for each in raw_frames]
    assert wrapped == [each for each in frames if each.startswith(b'{"stream":"eth')]


async def test_rest_serves_exactly_the_trades_published() -> None:
    async with LocalExchange(SHIPPED, speed=0) as exchange, httpx.AsyncClient() as client:
        url = f"{exchange.rest_url}/api/v3/historicalTrades"
        before = await client.get(url, params={"symbol": "BTCUSDT"})
        assert before.json() == []
        await collect(f"{exchange.ws_url}/stream?streams=ethusdt@trade", 14_515)
        await exchange.wait_exhausted()
        for symbol, (first_id, count) in TRADES.items():
            ids: list[int] = []
            while True:
                after = ids[-1] + 1 if ids else 0
                page = await client.get(
                    url, params={"symbol": symbol, "fromId": after, "limit": 1000}
                )
                if not page.json():
                    break
                ids += [row["id"] for row in page.json()]
            assert ids == list(range(first_id, first_id + count))
            assert exchange.trades(symbol).trade_id.tolist() == ids
        assert exchange.violations == []


async def test_quotes_go_out_as_recorded() -> None:
    path = SHIPPED / "btcusdt_20240808.gz"
    async with LocalExchange(path, speed=0) as exchange:
        frames = await collect(f"{exchange.ws_url}/stream?streams=btcusdt@bookTicker", 28_040)
    recorded = [line.split(b" ", 1)[1] for line in gzip.decompress(path.read_bytes()).splitlines()]
    assert frames == [frame for frame in recorded if b"@bookTicker" in frame]


def test_fields_written_again_give_the_recorded_bytes() -> None:
    streams = frozenset({"ethusdt@trade", "ethusdt@bookTicker"})
    writer = Writer(Writing(streams, combined=False, microseconds=False))
    for path in SHIPPED.glob("ethusdt*.gz"):
        events = list(read_events(path))
        again = [event._replace(raw=None) for event in events]
        assert writer.payloads(again) == [event.raw for event in events]
