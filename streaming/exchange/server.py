"""The local exchange: Binance's WebSocket and REST market data on one loopback port."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from aiohttp import web

from streaming.exchange.connection import Connection
from streaming.exchange.faults import Fault, FaultKind, Faults
from streaming.exchange.history import TradeColumns, TradeHistory
from streaming.exchange.injector import Injector
from streaming.exchange.limits import (
    ATTEMPT_WINDOW_S,
    MAX_ATTEMPTS,
    RateLimit,
    RequestWeight,
    Violation,
)
from streaming.exchange.market import Instrument, Source
from streaming.exchange.pacing import MAX_SPEED, Pacer, Start
from streaming.exchange.publisher import Publisher
from streaming.exchange.recording import RecordingSource
from streaming.exchange.rest import ENDPOINTS, Endpoint, RestError, RestMarket
from streaming.exchange.subscriptions import Subscriptions
from streaming.exchange.tape import Hole, Tape

ALL_TRADES = 2**62
"""`published=ALL_TRADES`: the whole (finite) market has been made when the exchange opens."""


_LIFETIME_S = 86_400.0
_MAX_ADDRESS_BYTES = 1 << 16
"""Room for the names of 1,024 streams."""
_FAILURES = {
    400: (-1100, "Illegal characters found in a parameter."),
    418: (-1003, "Way too much request weight used; IP banned."),
    429: (-1003, "Too much request weight used."),
    500: (-1000, "An unknown error occurred while processing the request."),
}


class LocalExchange:
    """An exchange on this machine, as an asynchronous context manager.

    Args:
        source: a market, or the path of a recording.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        speed: market seconds per second; 0 as fast as the clients read.
        start: when the market starts (see `Start`); REST and subscriptions work before.
        published: so many trades were made before the exchange opened: REST has them, no
            WebSocket client gets them.
        ping_interval_s: seconds between the server's pings.
        pong_timeout_s: seconds that a ping may stay unanswered.
        faults: what goes wrong.
        max_buffer_bytes: bytes a client may leave unread before it is cut (at maximum speed the
            market waits instead).
        clock_ns: wall clock, ns since 1970.

    Example::

        async with LocalExchange(recording.SHIPPED, speed=0) as exchange:
            ...  # connect to exchange.ws_url and exchange.rest_url
            await exchange.wait_exhausted()
            assert exchange.trade_count("BTCUSDT") == 19_904
    """

    def __init__(
        self,
        source: Source | Path | str,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        speed: float = 1.0,
        start: Start = "first",
        published: int = 0,
        ping_interval_s: float = 20.0,
        pong_timeout_s: float = 60.0,
        faults: Faults | None = None,
        max_buffer_bytes: int = 32 << 20,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        if speed < 0:
            raise ValueError(f"speed {speed} is negative; 0 means as fast as the clients read")
        self._source = RecordingSource(source) if isinstance(source, str | Path) else source
        self._host, self._port = host, port
        self._ping_interval_s, self._pong_timeout_s = ping_interval_s, pong_timeout_s
        faults = faults or Faults()
        self._max_age_s = _LIFETIME_S if faults.max_age_s is None else faults.max_age_s
        self._clock_ns = clock_ns
        self._connections: dict[int, Connection] = {}
        self._opened = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._attempts: dict[str, RateLimit] = {}
        self._weights: dict[str, RequestWeight] = {}
        self._publisher = Publisher(
            max_buffer_bytes=None if speed == MAX_SPEED else max_buffer_bytes
        )
        self._tape = Tape(self._source)
        self._injector = Injector(faults, self._tape, self._connections.values())
        self._pacer = Pacer(
            self._tape,
            self._injector,
            self._publisher,
            self._connections.values(),
            speed=speed,
            start=start,
            published=published,
            now_us=self._now_us,
        )
        self._market = RestMarket(
            self._instruments, self._publisher.histories, self._tape.halted, self.venue_time_us
        )
        self._runner: web.AppRunner | None = None
        self._pacing: asyncio.Task[None] | None = None

    # --- life ---
    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/ws", self._serve_raw)
        app.router.add_get("/ws/{streams:.+}", self._serve_raw)
        app.router.add_get("/stream", self._serve_combined)
        for name, endpoint in ENDPOINTS.items():
            app.router.add_get(f"/api/v3/{name}", self._rest_handler(endpoint))
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=1.0, max_line_size=_MAX_ADDRESS_BYTES
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        self._port = self._runner.addresses[0][1]
        self._pacing = asyncio.create_task(self._pacer.run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._runner is not None
        assert self._pacing is not None
        self._pacing.cancel()
        self._injector.stop()
        (outcome,) = await asyncio.gather(self._pacing, return_exceptions=True)
        open_connections = list(self._connections.values())
        await asyncio.gather(*(each.close() for each in open_connections), return_exceptions=True)
        await self._runner.cleanup()
        if isinstance(outcome, Exception) and error is None:
            raise outcome

    # --- where it is ---
    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def ws_url(self) -> str:
        """Base of the WebSocket addresses."""
        return f"ws://{self._host}:{self._port}"

    @property
    def rest_url(self) -> str:
        """Base of the REST addresses."""
        return f"http://{self._host}:{self._port}"

    # --- what happened ---
    @property
    def symbols(self) -> list[str]:
        """The symbols it trades."""
        return list(self._instruments())

    @property
    def violations(self) -> list[Violation]:
        """Every limit that a client broke, in order; empty if all behaved."""
        return self._publisher.violations

    @property
    def connection_count(self) -> int:
        """How many WebSocket clients are connected."""
        return len(self._connections)

    @property
    def connections_made(self) -> int:
        """How many WebSocket connections were accepted so far."""
        return self._opened

    def trade_count(self, symbol: str) -> int:
        """How many trades of `symbol` were made and published so far."""
        return len(self._history(symbol))

    def trades(self, symbol: str) -> TradeColumns:
        """Every trade of `symbol` published so far: what a perfect capture would hold."""
        return self._history(symbol).columns()

    @property
    def injected(self) -> Counter[FaultKind]:
        """How often each fault happened."""
        return self._injector.injected

    def inject(self, fault: Fault) -> None:
        """Make `fault` happen now, whatever its time says."""
        self._injector.inject(fault, self._pacer.market_us, self.venue_time_us())

    def holes(self, symbol: str) -> list[Hole]:
        """The trade ids of `symbol` that the venue itself lacks, in order."""
        return list(self._tape.holes.get(symbol, []))

    def venue_time_us(self) -> int:
        """The venue's clock: the market's own time, never behind its last event."""
        return self._pacer.venue_time_us()

    async def wait_started(self) -> None:
        """Wait until the market starts."""
        await self._unless_failed(self._pacer.started)

    async def wait_exhausted(self) -> None:
        """Wait until the last event was published and every open connection took its frames.

        Raises whatever stopped the market, for example a malformed line of a recording.
        """
        await self._unless_failed(self._pacer.exhausted)
        await asyncio.gather(*(each.flush() for each in self._connections.values()))

    async def wait_idle(self) -> None:
        """Wait until no WebSocket client is connected."""
        await self._idle.wait()

    async def _unless_failed(self, event: asyncio.Event) -> None:
        assert self._pacing is not None
        reached = asyncio.create_task(event.wait())
        await asyncio.wait({reached, self._pacing}, return_when=asyncio.FIRST_COMPLETED)
        if not event.is_set():
            reached.cancel()
            self._pacing.result()

    def _history(self, symbol: str) -> TradeHistory:
        if symbol not in self._instruments():
            raise KeyError(f"symbol {symbol!r} is not traded here; there is {self.symbols}")
        return self._publisher.histories.get(symbol) or TradeHistory(symbol)

    def _instruments(self) -> Mapping[str, Instrument]:
        return {each.symbol: each for each in self._source.instruments}

    def _note_expiry(self) -> None:
        self._injector.injected[FaultKind.LIFETIME] += 1

    def _now_us(self) -> int:
        return self._clock_ns() // 1_000

    # --- WebSocket ---
    async def _serve_raw(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, _split(request.match_info.get("streams", "")), False)

    async def _serve_combined(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, _split(request.query.get("streams", "")), True)

    async def _serve(
        self, request: web.Request, streams: Iterable[str], combined: bool
    ) -> web.StreamResponse:
        peer = request.remote or "unknown"
        attempts = self._attempts.setdefault(peer, RateLimit(MAX_ATTEMPTS, ATTEMPT_WINDOW_S))
        if not attempts.allow(time.monotonic()):
            detail = f"more than {MAX_ATTEMPTS} connection attempts in {ATTEMPT_WINDOW_S:g} s"
            self.violations.append(Violation("attempts", peer, detail))
            return web.Response(status=429, headers={"Retry-After": f"{ATTEMPT_WINDOW_S:g}"})
        connection = Connection(
            request,
            Subscriptions(streams, combined=combined, microseconds=_in_microseconds(request)),
            number=self._opened,
            link=self._injector.link(self._opened),
            report=self.violations.append,
            changed=self._pacer.connections_changed,
            expired=self._note_expiry,
            ping_interval_s=self._ping_interval_s,
            pong_timeout_s=self._pong_timeout_s,
            max_age_s=self._max_age_s,
        )
        self._opened += 1
        self._connections[connection.number] = connection
        self._idle.clear()
        try:
            return await connection.serve()
        finally:
            del self._connections[connection.number]
            if not self._connections:
                self._idle.set()

    # --- REST ---
    def _rest_handler(
        self, endpoint: Endpoint
    ) -> Callable[[web.Request], asyncio.Future[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            return await self._answer(endpoint, request)

        return handle  # type: ignore[return-value]

    async def _answer(self, endpoint: Endpoint, request: web.Request) -> web.Response:
        peer = request.remote or "unknown"
        account = self._weights.setdefault(peer, RequestWeight())
        verdict = account.spend(endpoint.weight, self._clock_ns() / 1e9)
        headers = {"X-MBX-USED-WEIGHT-1M": str(verdict.used)}
        if verdict.status != 200:
            kind = "weight" if verdict.status == 429 else "banned"
            self.violations.append(Violation(kind, peer, f"{verdict.used} used at {request.path}"))
            headers["Retry-After"] = str(verdict.retry_after_s)
            body: object = {
                "code": -1003,
                "msg": f"Too much request weight used; current limit is {account.limit} request "
                "weight per 1 MINUTE. Please use WebSocket Streams for live updates to avoid "
                "polling the API.",
            }
            return _json(body, status=verdict.status, headers=headers)
        fault = self._injector.next_rest_fault() if endpoint.is_market_data else None
        if fault is not None and fault.kind is FaultKind.REST_ERROR:
            return _failure(fault, headers)
        if fault is not None and fault.kind is FaultKind.REST_EMPTY:
            return _json([], headers=headers)
        if fault is not None:
            await asyncio.sleep(fault.duration_s)
        unit_us = 1 if _in_microseconds(request) else 1_000
        try:
            return _json(endpoint.answer(self._market, request.query, unit_us), headers=headers)
        except RestError as error:
            return _json(error.body, status=error.status, headers=headers)


def _split(streams: str) -> list[str]:
    return [name for name in streams.split("/") if name]


def _in_microseconds(request: web.Request) -> bool:
    unit = request.query.get("timeUnit", request.headers.get("X-MBX-TIME-UNIT"))
    return unit is not None and unit.upper() == "MICROSECOND"


def _failure(fault: Fault, headers: dict[str, str]) -> web.Response:
    if fault.status in (418, 429):
        headers = {**headers, "Retry-After": str(fault.retry_after_s)}
    code, message = _FAILURES[fault.status]
    return _json({"code": code, "msg": message}, status=fault.status, headers=headers)


def _json(body: object, *, status: int = 200, headers: Mapping[str, str]) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(body),
        status=status,
        headers=dict(headers),
        content_type="application/json",
    )
