"""The worker against the local exchange, over real sockets, into a real lake."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from quant_pipeline import lake
from quant_pipeline.settings import Settings
from streaming.exchange import recording
from streaming.exchange.server import LocalExchange
from streaming.worker import Worker

RECORDED = {
    "BTCUSDT": (3735683259, 3735703162, 19_904),
    "ETHUSDT": (1520538925, 1520553439, 14_515),
}
FAST = {"flush_interval_s": 0.2, "reorder_window_s": 0.2, "metrics_port": 0}


async def until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait for a condition with a deadline."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def against(exchange: LocalExchange, settings: Settings, **overrides: object) -> Settings:
    """`settings` with a worker's addresses and short intervals."""
    values = settings.model_dump() | FAST | {"pairs": settings.pairs}
    return Settings(
        **values | {"ws_url": exchange.ws_url, "rest_url": exchange.rest_url} | overrides
    )


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Worker]:
    """A worker that captures inside the block and has drained after it."""
    worker = Worker(settings)
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(stop))
    watch: Awaitable[None] = task
    try:
        yield worker
    finally:
        stop.set()
        await watch


def landed(settings: Settings) -> dict[str, tuple[int, int, int]]:
    """Per symbol first id, last id and number of rows in the lake."""
    with lake.connect(read_only=True, settings=settings) as connection:
        rows = connection.execute(
            "select symbol, min(trade_id), max(trade_id), count(*) from raw.ticks group by symbol"
        ).fetchall()
    return {symbol: (first, last, count) for symbol, first, last, count in rows}


@pytest.mark.parametrize("transport", ["websockets", "picows"])
async def test_the_recorded_session_lands_exactly(settings: Settings, transport: str) -> None:
    async with LocalExchange(recording.SHIPPED, speed=0, start="all") as exchange:
        target = against(exchange, settings, transport=transport)
        async with running(target) as worker:
            await exchange.wait_exhausted()
            await until(lambda: worker.trades == 34_419)
        assert exchange.violations == []
        assert landed(target) == RECORDED


async def test_a_second_run_of_the_same_market_adds_nothing(settings: Settings) -> None:
    for _ in range(2):
        async with LocalExchange(recording.SHIPPED, speed=0, start="all") as exchange:
            target = against(exchange, settings)
            async with running(target) as worker:
                await exchange.wait_exhausted()
                await until(lambda worker=worker: worker.sessions[0].received == 34_419)
    assert landed(target) == RECORDED


async def test_sigterm_lands_what_is_buffered_and_exits_0(settings: Settings) -> None:
    async with LocalExchange(recording.SHIPPED, speed=0, start="all") as exchange:
        target = against(exchange, settings, flush_interval_s=60.0)
        names = ("home", "catalog_dsn", "ws_url", "rest_url", "flush_interval_s", "metrics_port")
        environment = {f"QUANT_{name.upper()}": str(getattr(target, name)) for name in names}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "from quant_pipeline.cli import main; main()",
            "stream",
            env=os.environ | environment,
        )
        await exchange.wait_exhausted()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 0
        assert landed(target) == RECORDED
