"""Runs of the worker against the local exchange, and the comparison of what both hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from quant_pipeline import lake
from quant_pipeline.settings import Settings
from streaming.exchange.faults import Fault, FaultKind
from streaming.exchange.server import LocalExchange
from streaming.worker import Worker

FAST = {
    "flush_interval_s": 0.2,
    "reorder_window_s": 0.2,
    "metrics_port": 0,
    "lake_patience_s": 120.0,  # however busy the machine is
}


async def until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait for a condition with a deadline."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def against(exchange: LocalExchange, settings: Settings, **overrides: object) -> Settings:
    """`settings` with the exchange's addresses and short intervals."""
    values = settings.model_dump() | FAST | {"pairs": (), "symbols": tuple(exchange.symbols)}
    addresses = {"ws_url": exchange.ws_url, "rest_url": exchange.rest_url}
    return Settings(**values | addresses | overrides)


def environment(settings: Settings) -> dict[str, str]:
    """The settings that differ from the defaults, as a worker's process reads them."""
    changed = settings.model_dump(exclude_defaults=True) | {"home": settings.home}
    changed |= {"symbols": ",".join(settings.symbols), "pairs": ""}
    return {f"QUANT_{name.upper()}": str(value) for name, value in changed.items()}


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Worker]:
    """A worker that captures inside the block and has drained after it."""
    worker = Worker(settings)
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(stop))
    try:
        yield worker
    finally:
        stop.set()
        await task


def halt(exchange: LocalExchange) -> None:
    """Let an endless market make no more trades."""
    for symbol in exchange.symbols:
        exchange.inject(Fault(kind=FaultKind.HALT, symbol=symbol, duration_s=3600.0))


def landed(settings: Settings) -> dict[str, tuple[int, int, int]]:
    """Per symbol first id, last id and number of rows in the lake."""
    with lake.connect(read_only=True, settings=settings) as connection:
        rows = connection.execute(
            "select symbol, min(trade_id), max(trade_id), count(*) from raw.ticks group by symbol"
        ).fetchall()
    return {symbol: (first, last, count) for symbol, first, last, count in rows}


def lake_differences(exchange: LocalExchange, settings: Settings) -> list[str]:
    """Symbols of which the lake does not hold exactly what the exchange made, and how."""
    differences = []
    with lake.connect(read_only=True, settings=settings) as connection:
        for symbol in exchange.symbols:
            ours = connection.execute(
                "select trade_id, epoch_us(ts) as ts, price, quantity, is_buyer_maker"
                " from raw.ticks where symbol = ? order by trade_id",
                [symbol],
            ).fetchnumpy()
            theirs = exchange.trades(symbol)
            expected = (
                theirs.trade_id,
                theirs.time_us,
                theirs.price_e8 / 1e8,
                theirs.quantity_e8 / 1e8,
                theirs.is_buyer_maker,
            )
            if len(ours["trade_id"]) != len(theirs):
                lost = np.setdiff1d(theirs.trade_id, ours["trade_id"])
                differences.append(
                    f"{symbol}: {len(theirs)} made, {len(ours['trade_id'])} rows,"
                    f" {len(lost)} lost {lost[:5].tolist()}"
                )
                continue
            differences += [
                f"{symbol}: column {name} differs"
                for (name, column), wanted in zip(ours.items(), expected, strict=True)
                if not np.array_equal(column, wanted)
            ]
    return differences


def process_log(settings: Settings) -> Path:
    """Where a worker's process writes its log in a test."""
    return settings.home / "worker.log"
