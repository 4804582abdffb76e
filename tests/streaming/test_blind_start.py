"""A worker that starts while the catalog is away captures into the spool and resumes later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from capture_runs import against, halt, lake_differences, running, until

from quant_pipeline import catalog, lake
from quant_pipeline.settings import Settings
from streaming.backlog import SPOOL_DAMAGED
from streaming.exchange.server import LocalExchange
from streaming.exchange.synthetic import SyntheticSource
from streaming.spool import Spool
from streaming.verify import verify

RATE = 500


@pytest.fixture
async def own_catalog(tmp_path: Path) -> AsyncIterator[Settings]:
    """Settings of a catalog that the test may stop."""
    own = Settings(home=tmp_path / "catalog")
    yield own
    await asyncio.to_thread(catalog.destroy, own)


async def test_a_start_without_the_catalog_loses_nothing_even_if_a_spooled_file_is_damaged(
    own_catalog: Settings, tmp_path: Path
) -> None:
    dsn = await asyncio.to_thread(catalog.ensure, own_catalog)
    source = SyntheticSource(3, rate=RATE, quotes=False)
    async with LocalExchange(source, speed=1.0, start="all") as exchange:
        target = against(
            exchange,
            Settings(home=tmp_path / "data", catalog_dsn=dsn),
            drain_timeout_s=0.2,
            lake_patience_s=0.3,
        )
        async with running(target.model_copy(update={"lake_patience_s": 60.0})) as worker:
            await until(lambda: worker.committed_rows > RATE)
        await asyncio.to_thread(catalog.stop, own_catalog)
        async with running(target) as worker:
            await until(lambda: worker.backlog.spooled_files >= 4)
            assert worker.committed_rows == 0
        files = list(Spool(target.spool_dir, 10**9).files())
        assert len(files) >= 5  # what was in memory at the end is there too
        files[2].write_bytes(files[2].read_bytes()[:-1])
        async with running(target) as worker:
            await until(lambda: worker.backlog.spooled_files > len(files) and worker.trades > RATE)
            await asyncio.to_thread(catalog.ensure, own_catalog)
            await until(lambda: worker.recorder.has_resumed)
            halt(exchange)
            async with asyncio.timeout(60):
                while lake_differences(exchange, target):  # noqa: ASYNC110
                    await asyncio.sleep(0.3)
        assert exchange.violations == []
    with lake.connect(read_only=True, settings=target) as connection:
        proofs = verify(connection, "binance")
        causes = dict(
            connection.execute(
                "select cause, string_agg(distinct status) from raw.capture_gaps group by cause"
            ).fetchall()
        )
    assert [(proof.is_whole, proof.repeated_rows) for proof in proofs] == [(True, 0)] * 3
    assert causes == {"restart": "repaired", SPOOL_DAMAGED: "repaired"}


async def test_a_full_disk_at_the_start_is_an_alarm_and_reading_stops(
    own_catalog: Settings, tmp_path: Path
) -> None:
    dsn = await asyncio.to_thread(catalog.ensure, own_catalog)
    await asyncio.to_thread(catalog.stop, own_catalog)
    source = SyntheticSource(3, rate=2_000, quotes=False)
    async with LocalExchange(source, speed=1.0, start="all") as exchange:
        target = against(
            exchange,
            Settings(home=tmp_path / "data", catalog_dsn=dsn),
            drain_timeout_s=0.2,
            lake_patience_s=0.3,
            max_buffered_trades=2_000,
            spool_max_mb=0.01,
        )
        async with running(target) as worker:
            await until(lambda: not worker.flow.is_open.is_set())
            await until(lambda: worker.backlog.alarm is not None)
            address = f"http://127.0.0.1:{worker.status_server.port}/healthz"
            async with aiohttp.ClientSession() as http:
                health = await http.get(address)
                text = await health.text()
        assert health.status == 503
        assert "spool_max_mb" in text
        assert "sockets are not read" in text
