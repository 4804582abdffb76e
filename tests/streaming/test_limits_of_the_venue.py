"""Several hundred symbols stay inside what the venue allows; the exchange counts."""

from __future__ import annotations

from capture_runs import against, lake_differences, running, until

from quant_pipeline.settings import Settings
from streaming.exchange.server import LocalExchange
from streaming.exchange.synthetic import SyntheticSource
from streaming.session import shards

SYMBOLS = 500


async def test_500_symbols_are_subscribed_within_the_limits(settings: Settings) -> None:
    source = SyntheticSource(SYMBOLS, rate=2_000, seed=3, trades=6_000, quotes=False)
    async with LocalExchange(source, speed=1.0, start="all") as exchange:
        target = against(exchange, settings, streams_per_connection=200)
        async with running(target) as worker:
            await exchange.wait_exhausted()
            made = sum(map(exchange.trade_count, exchange.symbols))
            await until(lambda: worker.committed_rows == made)
            assert [len(session.symbols) for session in worker.sessions] == [167, 167, 166]
        assert made == 6_000
        assert exchange.violations == []
        assert lake_differences(exchange, target) == []


def test_symbols_are_dealt_evenly() -> None:
    assert shards("ABCDEFG", 3) == [("A", "D", "G"), ("B", "E"), ("C", "F")]
    assert shards("AB", 1024) == [("A", "B")]
