"""The worker against the local exchange, over real sockets, into a real lake."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process

import numpy as np
import pytest
from capture_runs import (
    against,
    environment,
    halt,
    lake_differences,
    landed,
    running,
    until,
)
from dbt.contracts.graph.manifest import Manifest
from polars.testing import assert_frame_equal
from test_landing import batch

from quant_pipeline import lake
from quant_pipeline.extensions import ExtensionError
from quant_pipeline.resident_dbt import ResidentDbt
from quant_pipeline.settings import Settings
from streaming.batch import Batch
from streaming.exchange import recording
from streaming.exchange.faults import Fault, FaultKind, Faults, FrameRates
from streaming.exchange.server import LocalExchange
from streaming.exchange.synthetic import SyntheticSource
from streaming.fit import ids_by_symbol
from streaming.spool import Spool
from streaming.verify import verify
from streaming.worker import Worker
from tests.dbt_project.warehouse import BAR_TABLES, read

RECORDED = {
    "BTCUSDT": (3735683259, 3735703162, 19_904),
    "ETHUSDT": (1520538925, 1520553439, 14_515),
}


async def start_worker(
    settings: Settings,
    program: str = "from quant_pipeline.cli import main; main()",
    stderr: int | None = None,
) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, "stream"),
        env=os.environ | environment(settings),
        stderr=stderr,
    )


@pytest.mark.parametrize("transport", ["websockets", "picows"])
async def test_the_recorded_session_lands_exactly(settings: Settings, transport: str) -> None:
    async with LocalExchange(recording.SHIPPED, speed=0, start="all") as exchange:
        target = against(exchange, settings, transport=transport)
        async with running(target) as worker:
            await exchange.wait_exhausted()
            await until(lambda: worker.trades == 34_419)
        assert exchange.violations == []
        assert landed(target) == RECORDED
        assert lake_differences(exchange, target) == []


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
        process = await start_worker(target)
        await exchange.wait_exhausted()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 0
        assert landed(target) == RECORDED


HANGING = """
import threading
from streaming.landing import Landing
Landing.fit = Landing.commit = lambda *_, **__: threading.Event().wait()
from quant_pipeline.cli import main
main()
"""


async def test_a_commit_that_never_ends_does_not_keep_the_process(settings: Settings) -> None:
    async with LocalExchange(recording.SHIPPED, speed=0, start="all") as exchange:
        target = against(exchange, settings, drain_timeout_s=0.5)
        process = await start_worker(target, HANGING)
        await exchange.wait_exhausted()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 0
        assert landed(target) == {}
        async with running(target) as worker:
            await until(lambda: worker.committed_rows == 34_419)
        assert landed(target) == RECORDED


async def test_an_error_is_told_although_a_commit_never_ends(settings: Settings) -> None:
    async with LocalExchange(SyntheticSource(["BTCUSDT"], quotes=False)) as exchange:
        target = against(exchange, settings, symbols=("BTCUSDC",))
        Spool(target.spool_dir, 10**9).put(batch(0))
        process = await start_worker(target, HANGING, stderr=PIPE)
        _, told = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    assert b"error: symbol 'BTCUSDC' is not in binance's exchangeInfo" in told
    assert b"lake_hangs" in told


async def test_landing_that_fails_of_a_bug_ends_the_worker_and_what_was_captured_is_spooled(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_batch: Batch, *, may_be_landed: bool) -> bool:
        raise TypeError("a bug in landing")

    async with LocalExchange(SyntheticSource(3, rate=500, quotes=False), start="all") as exchange:
        target = against(exchange, settings)
        worker = Worker(target)
        task = asyncio.create_task(worker.run(asyncio.Event()))
        await until(lambda: worker.committed_rows > 500)
        monkeypatch.setattr(worker.landing, "commit", fails)
        with pytest.raises(TypeError, match="a bug in landing"):
            await asyncio.wait_for(task, 30)
        spool = Spool(target.spool_dir, 10**9)
        spooled = [ids_by_symbol(spool.read(path)) for path in spool.files()]
        with lake.connect(read_only=True, settings=target) as connection:
            for symbol, state in worker.intake.states.items():
                held = connection.execute(
                    "select trade_id from raw.ticks where symbol = ?", [symbol]
                ).fetchnumpy()["trade_id"]
                kept = np.concatenate([held, *(ids[symbol] for ids in spooled if symbol in ids)])
                made = exchange.trades(symbol).trade_id
                assert np.sort(kept).tolist() == made[made <= state.continuity.last_seen].tolist()
        async with running(target):
            halt(exchange)
            async with asyncio.timeout(60):
                while lake_differences(exchange, target):  # noqa: ASYNC110
                    await asyncio.sleep(0.3)


async def test_a_start_whose_earlier_batches_cannot_land_of_a_bug_ends_at_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(**_arguments: object) -> None:
        raise ExtensionError("DuckDB extension 'postgres' is missing")

    monkeypatch.setattr(lake, "connect", fails)
    async with LocalExchange(SyntheticSource(["BTCUSDT"], quotes=False)) as exchange:
        target = against(exchange, settings)
        path = Spool(target.spool_dir, 10**9).put(batch(0))
        with pytest.raises(ExtensionError, match="'postgres' is missing"):
            await asyncio.wait_for(Worker(target).run(asyncio.Event()), 30)
        assert list(Spool(target.spool_dir, 10**9).files()) == [path]


LOSSY = Faults(
    seed=7,
    frames=FrameRates(drop=0.10, duplicate=0.05, reorder=0.05, reorder_within_ms=200),
    event=tuple(
        Fault(kind=FaultKind.DISCONNECT_ABRUPT, after_trades=count)
        for count in (4_000, 11_000, 17_000, 25_000, 31_000)
    ),
)


async def test_a_lossy_exchange_gives_the_same_ticks_and_bars(
    settings: Settings, dbt_manifest: Manifest, recorded_lake: Settings
) -> None:
    async with LocalExchange(recording.SHIPPED, speed=60, start="all", faults=LOSSY) as exchange:
        target = against(exchange, settings, stale_after_s=1.0, reconnect_max_s=1.0)
        async with running(target) as worker:
            await exchange.wait_exhausted()
            await until(lambda: worker.committed_rows == 34_419)
        assert exchange.violations == []
        # Of what was sent: nothing is while no connection is open, and how long that is depends
        # on how busy the machine is.
        injected = exchange.injected
        received = worker.sessions[0].received - injected[FaultKind.DUPLICATE]
        dropped = injected[FaultKind.DROP]
        assert dropped / (received + dropped) == pytest.approx(0.10, abs=0.02)
        assert injected[FaultKind.DISCONNECT_ABRUPT] == 5
        assert landed(target) == RECORDED
        assert lake_differences(exchange, target) == []
    with lake.connect(read_only=True, settings=target) as connection:
        proofs = verify(connection, "binance")
        gaps = connection.execute(
            "select status, count(*), sum(trades_recovered) from raw.capture_gaps group by status"
        ).fetchall()
        reasons = connection.execute("select count(*) from raw.capture_sessions").fetchall()
    assert [(p.is_whole, p.repeated_rows) for p in proofs] == [(True, 0), (True, 0)]
    assert [status for status, *_ in gaps] == ["repaired"]
    # Not all that was dropped: a page fetched for one gap brings trades whose own gap nobody has
    # seen yet, and how many those are depends on timing. What landed is compared above.
    assert gaps[0][2] > 0
    assert reasons[0][0] >= 6
    await asyncio.to_thread(ResidentDbt(target, manifest=dbt_manifest).run)
    for table in BAR_TABLES:
        # The snapshot says when a bar's trades landed; everything else must be the same.
        lossy, clean = (read(each, table).drop("src_snapshot") for each in (target, recorded_lake))
        assert_frame_equal(lossy, clean, check_exact=True)
