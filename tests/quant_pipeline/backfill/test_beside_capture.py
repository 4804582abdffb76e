"""`quant backfill` fills in history while a worker captures what comes after it."""

from __future__ import annotations

import asyncio
import os
import sys

from quant_pipeline import lake
from quant_pipeline.settings import Settings
from streaming.exchange import recording
from streaming.exchange.server import LocalExchange
from tests.streaming.capture_runs import against, environment, running, until

QUANT = (sys.executable, "-m", "quant_pipeline")
HISTORY = 17_000  # of 34,419 recorded trades: what was before capture began
FIRST, LAST = 3735683259, 3735703162


async def _backfill(settings: Settings) -> tuple[int, str]:
    arguments = ("backfill", "--symbol", "BTCUSDT", "--from", "2024-08-08", "--to", "2024-08-10")
    process = await asyncio.create_subprocess_exec(
        *QUANT,
        *arguments,
        env=os.environ | environment(settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_history_and_what_comes_are_whole_and_each_trade_is_there_once(
    settings: Settings,
) -> None:
    async with LocalExchange(
        recording.SHIPPED, speed=15.0, start="all", published=HISTORY
    ) as exchange:
        target = against(exchange, settings)
        async with running(target) as worker:
            exhausted = asyncio.create_task(exchange.wait_exhausted())
            await until(lambda: worker.committed_rows > 0)
            exit_code, output = await _backfill(target)
            assert exit_code == 0, output
            assert not exhausted.done()  # there was capture all the time
            await asyncio.wait_for(exhausted, 60)
        assert exchange.violations == []
    with lake.connect(read_only=True, settings=settings) as connection:
        held = connection.execute(
            "select min(trade_id), max(trade_id), count(distinct trade_id) from raw.ticks"
            " where symbol = 'BTCUSDT'"
        ).fetchone()
    assert held == (FIRST, LAST, LAST - FIRST + 1)
