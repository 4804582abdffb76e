"""Everything goes wrong at once, and the lake still holds each trade once.

A synthetic market of 20 symbols at 5,000 trades/s over an exchange that injects a fault of every
kind at random, and a worker that is killed with -9 again and again. The default suite runs one
short version; `pytest -m slow tests/streaming/test_chaos.py` runs ten minutes for each of 3 seeds.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from asyncio.subprocess import Process

import pytest
from capture_runs import against, environment, lake_differences, landed, process_log

from quant_pipeline import lake
from quant_pipeline.settings import Settings
from streaming.exchange.faults import Faults
from streaming.exchange.server import LocalExchange
from streaming.exchange.synthetic import SyntheticSource

SYMBOLS, TRADES_PER_S = 20, 5_000
QUANT = (sys.executable, "-c", "from quant_pipeline.cli import main; main()")
LONG = [pytest.param(600, 12, 1.0, seed, marks=pytest.mark.slow) for seed in (1, 2, 3)]


async def start_worker(settings: Settings) -> Process:
    settings.home.mkdir(parents=True, exist_ok=True)
    with process_log(settings).open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *QUANT, "stream", env=os.environ | environment(settings), stdout=log, stderr=log
        )


async def first_commit(settings: Settings) -> None:
    """Wait until capture has begun: what was made before it is nobody's yet."""
    with lake.connect(read_only=True, settings=settings) as connection:
        query = "select count(distinct symbol) from raw.ticks"
        seen = None
        while seen != (SYMBOLS,):
            await asyncio.sleep(0.1)
            seen = await asyncio.to_thread(lambda: connection.execute(query).fetchone())


async def kill_again_and_again(
    settings: Settings, exhausted: asyncio.Task[None], kills: int, seconds: float, seed: int
) -> Process:
    """Kill and restart the worker at random times while the market runs; the last one lives."""
    chance = random.Random(seed)
    worker = await start_worker(settings)
    await first_commit(settings)
    for _ in range(kills):
        await asyncio.sleep(chance.uniform(0.2, 1.0) * seconds / kills)
        worker.kill()
        await worker.wait()
        worker = await start_worker(settings)
    await exhausted
    return worker


def open_gaps(settings: Settings) -> int:
    """Gaps that are not yet repaired, nor confirmed to be the venue's own."""
    with lake.connect(read_only=True, settings=settings) as connection:
        query = "select count(*) from raw.capture_gaps where status = 'open'"
        row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


async def caught_up(exchange: LocalExchange, settings: Settings, timeout_s: float) -> None:
    """Wait until the lake holds as many rows as were made and no gap is open, or time is up."""
    made = sum(map(exchange.trade_count, exchange.symbols))
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                rows = await asyncio.to_thread(landed, settings)
                whole = sum(count for _, _, count in rows.values()) >= made
                if whole and not await asyncio.to_thread(open_gaps, settings):
                    return
                await asyncio.sleep(3.0)  # each look reads the whole lake
    except TimeoutError:
        return  # the comparison that follows says what is missing


@pytest.mark.timeout(2400)
@pytest.mark.parametrize(
    ("seconds", "kills", "fault_every_s", "seed"), [pytest.param(20, 2, 0.5, 1), *LONG]
)
async def test_chaos_loses_and_doubles_nothing(
    settings: Settings, seconds: int, kills: int, fault_every_s: float, seed: int
) -> None:
    source = SyntheticSource(
        SYMBOLS, rate=TRADES_PER_S, seed=seed, trades=seconds * TRADES_PER_S, quotes=False
    )
    faults = Faults.chaos(seed, every_s=fault_every_s)
    async with LocalExchange(source, speed=1.0, start="all", faults=faults) as exchange:
        target = against(
            exchange,
            settings,
            flush_interval_s=1.0,
            reorder_window_s=0.5,
            stale_after_s=2.0,
            ping_interval_s=2.0,
            ping_timeout_s=2.0,
            reconnect_max_s=2.0,
            connection_max_age_s=30.0,
        )
        exhausted = asyncio.create_task(exchange.wait_exhausted())
        worker = await kill_again_and_again(target, exhausted, kills, seconds, seed)
        # What a killed worker missed comes back at the pace of the REST budget: at most 190,000
        # trades a minute, while the market makes 300,000.
        await caught_up(exchange, target, timeout_s=180 + 1.5 * seconds)
        worker.terminate()
        assert await asyncio.wait_for(worker.wait(), 60) == 0
        differences = lake_differences(exchange, target)
        injected = dict(exchange.injected)
    proof = await asyncio.to_thread(
        subprocess.run,
        [*QUANT, "verify"],
        env=os.environ | environment(target),
        capture_output=True,
        text=True,
        check=False,
    )
    print(proof.stdout)
    print(f"{kills} kills; injected { {kind.value: n for kind, n in injected.items()} }")
    print(process_log(target).read_text()[-3000:])
    assert differences == []
    assert proof.returncode == 0
    assert exchange.violations == []
