"""What the worker tells about itself, and what the lake proves."""

from __future__ import annotations

import aiohttp
import pytest
from capture_runs import against, landed, running, until

from quant_pipeline import lake
from quant_pipeline.settings import Settings
from streaming.continuity import Span
from streaming.exchange.server import LocalExchange
from streaming.exchange.synthetic import SyntheticSource
from streaming.verify import Absence, explain, verify
from streaming.worker import Worker


def has_all(worker: Worker, ends: dict[str, int]) -> bool:
    """Whether a worker has landed every trade up to these ids."""
    states = worker.intake.states
    seen = all(states[name].continuity.last_contiguous == last for name, last in ends.items())
    return seen and not worker.recorder.waiting_rows


async def test_two_workers_tell_what_they_do_and_land_each_trade(settings: Settings) -> None:
    source = SyntheticSource(2, rate=400, trades=1_200, quotes=False)
    async with LocalExchange(source, speed=1.0, start="all") as exchange:
        first = against(exchange, settings)
        second = against(exchange, settings, home=settings.home / "second")
        second = second.model_copy(update={"data_path": first.lake_path})
        async with running(first) as worker, running(second) as twin:
            await exchange.wait_exhausted()
            ends = {
                symbol: int(exchange.trades(symbol).trade_id[-1]) for symbol in exchange.symbols
            }
            await until(lambda: has_all(worker, ends) and has_all(twin, ends))
            # Whoever comes second continues where the lake ends by then.
            assert max(worker.committed_rows, twin.committed_rows) == 1_200
            assert min(worker.committed_rows, twin.committed_rows) > 0
            twice = worker.committed_rows + twin.committed_rows - 1_200
            base = f"http://127.0.0.1:{worker.status_server.port}"
            async with aiohttp.ClientSession() as http:
                health = await http.get(f"{base}/healthz")
                metrics = await (await http.get(f"{base}/metrics")).text()
                status = await (await http.get(f"{base}/status")).json()
            assert (health.status, await health.text()) == (200, "ok\n")
            assert f"quant_trades_landed_total {worker.committed_rows}.0" in metrics
            assert "quant_loop_lag_seconds_bucket" in metrics
            assert status["landed"] == worker.committed_rows
            assert status["problems"] == []
            assert set(status["symbols"]) == set(exchange.symbols)
    assert sum(rows for _, _, rows in landed(first).values()) == 1_200 + twice
    with lake.connect(read_only=True, settings=first) as connection:
        proofs = verify(connection, "binance")
        with pytest.raises(ValueError, match="no trade of symbol 'DOGEUSDT'"):
            verify(connection, "binance", ["DOGEUSDT"])
    assert sum(proof.trades for proof in proofs) == 1_200
    assert sum(proof.repeated_rows for proof in proofs) == twice
    assert all(proof.is_whole for proof in proofs)


def test_a_hole_is_explained_by_what_is_on_record() -> None:
    recorded = [("venue_hole", 12, 13), ("open", 15, 16), ("repaired", 17, 18)]
    assert sorted(explain([Span(10, 18)], recorded), key=lambda a: a.span) == [
        Absence(Span(10, 11), "unexplained"),
        Absence(Span(12, 13), "venue_hole"),
        Absence(Span(14, 14), "unexplained"),
        Absence(Span(15, 16), "open"),
        Absence(Span(17, 18), "unexplained"),
    ]
