"""The catalog goes away under load and the disk quota is hit: bounded memory, nothing lost.

`pytest -m slow tests/streaming/test_outage.py` keeps the catalog away for 60 s.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import pytest
from capture_runs import against, lake_differences, running, until

from quant_pipeline import catalog
from quant_pipeline.settings import Settings
from streaming.exchange.server import LocalExchange
from streaming.exchange.synthetic import SyntheticSource

TRADES_PER_S = 5_000
CAP = 20_000
ONE_READ = 5_000  # trades that one read of a socket may bring beyond the cap
GROWTH_MB = 100.0  # of resident memory; the trades at the cap are 2 MB of it
HISTORY_MB_PER_S = 1.0  # the exchange, in this process too, keeps what it has made


def resident_mb() -> float:
    """Memory of this process."""
    return psutil.Process().memory_info().rss / 1e6


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("outage_s", "market_s"), [(4, 14), pytest.param(60, 90, marks=pytest.mark.slow)]
)
async def test_an_outage_under_load_keeps_memory_bounded_and_loses_nothing(
    tmp_path: Path, outage_s: int, market_s: int
) -> None:
    own = Settings(home=tmp_path / "catalog")
    dsn = await asyncio.to_thread(catalog.ensure, own)
    source = SyntheticSource(10, rate=TRADES_PER_S, trades=TRADES_PER_S * market_s, quotes=False)
    try:
        async with LocalExchange(source, speed=1.0, start="all") as exchange:
            target = against(
                exchange,
                Settings(home=tmp_path / "data", catalog_dsn=dsn),
                max_buffered_trades=CAP,
                spool_max_mb=0.5,
                stale_after_s=2.0,
                ping_interval_s=3.0,
                ping_timeout_s=3.0,
                reconnect_max_s=1.0,
            )
            peak = 0
            async with running(target) as worker:
                await until(lambda: worker.committed_rows > 0)
                await asyncio.to_thread(catalog.stop, own)
                memory_mb = -resident_mb()
                paused_s = 0.0
                async with asyncio.timeout(120):
                    while paused_s < outage_s:
                        peak = max(peak, worker.recorder.waiting_rows)
                        paused_s += 0.0 if worker.flow.is_open.is_set() else 0.05
                        await asyncio.sleep(0.05)
                memory_mb += resident_mb()
                assert "spool_max_mb" in (worker.backlog.alarm or "")
                await asyncio.to_thread(catalog.ensure, own)
                await exchange.wait_exhausted()
                made = sum(map(exchange.trade_count, exchange.symbols))
                await until(lambda: worker.committed_rows == made, timeout_s=300)
                assert worker.backlog.spooled_files == 0
            assert peak <= CAP + ONE_READ
            assert memory_mb <= GROWTH_MB + HISTORY_MB_PER_S * outage_s
            assert lake_differences(exchange, target) == []
    finally:
        await asyncio.to_thread(catalog.destroy, own)
