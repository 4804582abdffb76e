"""Our bars equal the exchange's klines field by field, and a difference is found and named."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

import pytest
from dbt.contracts.graph.manifest import Manifest
from typer.testing import CliRunner

from quant_pipeline import lake
from quant_pipeline import settings as settings_module
from quant_pipeline.cli import app
from quant_pipeline.reconcile import Bar, compare
from quant_pipeline.resident_dbt import ResidentDbt
from quant_pipeline.settings import Settings
from streaming.exchange import recording
from streaming.exchange.server import ALL_TRADES, LocalExchange

MIDNIGHT = datetime.fromisoformat("2024-08-09T00:00")
BAR = Bar(MIDNIGHT, 10.0, 12.0, 9.0, 11.0, 5.0, 52.5, 2.5, 7)


@contextmanager
def exchange_in_a_thread() -> Iterator[str]:
    """The recorded session, over: its REST address, while commands run their own event loops."""
    ready, stop = threading.Event(), threading.Event()
    addresses: list[str] = []

    async def serve() -> None:
        async with LocalExchange(recording.SHIPPED, published=ALL_TRADES) as exchange:
            addresses.append(exchange.rest_url)
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(60)
        yield addresses[0]
    finally:
        stop.set()
        thread.join(30)


@pytest.mark.timeout(600)
def test_recorded_session_backfilled_over_rest_reconciles_to_zero_and_a_planted_error_is_found(
    settings: Settings, dbt_manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def quant(*arguments: str) -> tuple[int, str]:
        settings_module.get.cache_clear()
        result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
        return result.exit_code, result.output

    whole = ("--from", "2024-08-08T23:00:00", "--to", "2024-08-09T01:00:00")
    try:
        with exchange_in_a_thread() as address:
            monkeypatch.setenv("QUANT_HOME", str(settings.home))
            monkeypatch.setenv("QUANT_CATALOG_DSN", str(settings.catalog_dsn))
            monkeypatch.setenv("QUANT_REST_URL", address)
            code, output = quant("backfill", *whole)
            assert code == 0, output
            assert "19,904" in output
            assert "14,515" in output
            dbt = ResidentDbt(settings, manifest=dbt_manifest)
            dbt.run()
            code, output = quant("reconcile", *whole)
            assert code == 0, output
            code, output = quant("reconcile")
            assert code == 0, output

            with lake.connect(settings=settings) as connection:
                connection.execute(
                    "update bars.ohlc_1m set high = high + 0.01"
                    " where symbol = 'ETHUSDT' and bucket = '2024-08-09 00:01:00'"
                )
            code, output = quant("reconcile", *whole, "--timeframe", "1m")
            assert code == 1
            (line,) = [line for line in output.splitlines() if "high" in line]
            assert "ETHUSDT" in line
            assert "2024-08-09 00:01:00" in line
    finally:
        settings_module.get.cache_clear()


def test_equal_bars_and_klines_without_trades_make_no_difference() -> None:
    quiet = replace(BAR, bucket=datetime.fromisoformat("2024-08-09T00:01"), trade_count=0)
    assert compare("BTCUSDT", "1m", [BAR], [BAR, quiet]) == (1, [])


@pytest.mark.parametrize(
    ("field", "change"),
    [
        *((name, 1e-8) for name in ("open", "high", "low", "close", "volume", "buy_volume")),
        ("quote_volume", 1e-7),
        ("trade_count", 1),
    ],
)
def test_smallest_difference_of_each_field_is_found(field: str, change: float) -> None:
    other = replace(BAR, **{field: getattr(BAR, field) + change})
    bars, (difference,) = compare("BTCUSDT", "1m", [BAR], [other])
    assert bars == 1
    assert (difference.field, difference.bucket) == (field, MIDNIGHT)
    assert (difference.ours, difference.theirs) == (getattr(BAR, field), getattr(other, field))


def test_bar_that_one_side_lacks_is_a_difference() -> None:
    for ours, theirs, counts in (([BAR], [], (7, None)), ([], [BAR], (None, 7))):
        bars, (difference,) = compare("BTCUSDT", "1m", ours, theirs)
        assert (bars, difference.field) == (1, "bar")
        assert (difference.ours, difference.theirs) == counts


def test_quote_volume_may_differ_by_what_the_venue_cuts_off() -> None:
    cut = replace(BAR, quote_volume=BAR.quote_volume - 7e-8)
    assert compare("BTCUSDT", "1m", [BAR], [cut]) == (1, [])
