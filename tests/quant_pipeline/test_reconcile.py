"""Our bars equal the exchange's klines field by field, and a difference is found and named."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import cast

import pytest
from dbt.contracts.graph.manifest import Manifest
from typer.testing import CliRunner

from quant_pipeline import lake, reconcile
from quant_pipeline import settings as settings_module
from quant_pipeline.cli import app
from quant_pipeline.reconcile import Bar, compare
from quant_pipeline.resident_dbt import ResidentDbt
from quant_pipeline.settings import Settings
from streaming import rest
from streaming.exchange import recording
from streaming.exchange.server import ALL_TRADES, LocalExchange
from streaming.rest import RestClient, RestError
from tests.dbt_project.warehouse import BAR_MODELS

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


@pytest.mark.timeout(600)
def test_comparing_nothing_is_an_error_in_words_and_is_not_recorded(
    settings: Settings, dbt_manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def quant(*arguments: str) -> str:
        settings_module.get.cache_clear()
        result = CliRunner().invoke(app, ["reconcile", "--timeframe", "1m", *arguments])
        assert result.exit_code == 1
        return str(result.exception)

    def land(first: int) -> None:
        with lake.connect(settings=settings) as connection:
            connection.execute(
                "insert into raw.ticks select 'binance', 'BTCUSDT', ? + r,"
                " timestamp '2024-08-09' + to_minutes(r::bigint), now()::timestamp, 1, 1, true"
                " from range(5) t (r)",
                [first],
            )

    monkeypatch.setenv("QUANT_HOME", str(settings.home))
    monkeypatch.setenv("QUANT_CATALOG_DSN", str(settings.catalog_dsn))
    monkeypatch.setattr(rest, "_FIRST_WAIT_S", 0.001)
    try:
        with exchange_in_a_thread() as address:
            monkeypatch.setenv("QUANT_REST_URL", address)
            assert "run `quant bars` first" in quant()
            land(1)
            ResidentDbt(settings, manifest=dbt_manifest).run(select=BAR_MODELS)
            backwards = quant("--from", "2024-08-09", "--to", "2024-08-08")
            assert "--to 2024-08-08 00:00:00 is not after --from 2024-08-09" in backwards
            assert "is not after --from 2031" in quant("--from", "2031-01-01")
            span = ("--from", "2024-08-08", "--to", "2024-08-09")
            for dates in ((), span):
                unknown = quant("--symbol", "BTCUSD", *dates)
                assert unknown == "binance does not trade 'BTCUSD'; did you mean 'BTCUSDT'?"
            assert "nothing was compared" in quant("--from", "2024-01-01", "--to", "2024-01-02")
            assert "nothing was compared" in quant("--symbol", "ETHUSDT")
        assert "see that rest_url can be reached" in quant()
        with lake.connect(settings=settings) as connection:
            assert connection.sql("from analytics.reconciliations").fetchall() == []
    finally:
        settings_module.get.cache_clear()


def test_venue_is_asked_again_before_it_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Flaky:
        asked = 0

        async def get(self, request: object) -> bytes:
            self.asked += 1
            if self.asked < 4:
                raise RestError(f"{request}: HTTP 503")
            return b"[]"

    monkeypatch.setattr(rest, "_FIRST_WAIT_S", 0.001)
    client = Flaky()
    end = MIDNIGHT + timedelta(minutes=5)
    bars = reconcile.venue_bars(cast(RestClient, client), "BTCUSDT", "1m", MIDNIGHT, end)
    assert asyncio.run(bars) == []
    assert client.asked == 4


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
