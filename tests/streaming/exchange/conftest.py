"""A real client that records what a market sends until it ends."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from streaming.exchange.server import LocalExchange

DEADLINE_S = 30.0
LAST = '{"method":"LIST_SUBSCRIPTIONS","id":"last"}'


@dataclass
class Session:
    """What one connection received, and how it ended if it did not outlive the market."""

    frames: list[bytes] = field(default_factory=list)
    closed: ConnectionClosed | None = None


Record = Callable[[LocalExchange, str], Awaitable[Session]]


async def _ask_last(exchange: LocalExchange, send: Callable[[str], Awaitable[None]]) -> None:
    """The answer to a request sent after the market's end comes after its last frame."""
    await exchange.wait_exhausted()
    with contextlib.suppress(ConnectionClosed):
        await send(LAST)


@pytest.fixture
def record() -> Record:
    """Receive on `exchange.ws_url + path` until the market or the connection ends."""

    async def run(exchange: LocalExchange, path: str) -> Session:
        session = Session()
        async with (
            asyncio.timeout(DEADLINE_S),
            connect(exchange.ws_url + path, max_queue=None) as socket,
        ):
            asking = asyncio.create_task(_ask_last(exchange, socket.send))
            try:
                while True:
                    frame = await socket.recv(decode=False)
                    if b'"id":"last"' in frame:
                        break
                    session.frames.append(frame)
            except ConnectionClosed as closed:
                session.closed = closed
            finally:
                asking.cancel()
        return session

    return run


TcpClient = Callable[
    [LocalExchange, str], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
]


@pytest.fixture
def tcp_client() -> TcpClient:
    """Open a WebSocket by hand: a client that does only what the test makes it do."""

    async def open_socket(
        exchange: LocalExchange, path: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", exchange.port)
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101")
        return reader, writer

    return open_socket
