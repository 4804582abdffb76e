"""A worker that was away continues where the lake ends; its commands say how it goes."""

from __future__ import annotations

import asyncio
import json

import pytest
from capture_runs import against, halt, lake_differences, running, until
from typer.testing import CliRunner, Result

from quant_pipeline import lake
from quant_pipeline import settings as settings_module
from quant_pipeline.cli import app
from quant_pipeline.settings import Settings
from streaming.exchange.server import LocalExchange
from streaming.exchange.synthetic import SyntheticSource
from streaming.gaps import LONG_ABSENCE

SYMBOL = "BTCUSDT"
AWAY_TRADES = 1_500  # more than a page of REST


async def quant(monkeypatch: pytest.MonkeyPatch, settings: Settings, *arguments: str) -> Result:
    """A `quant` command with these settings, in a thread so that the worker can answer it."""
    monkeypatch.setattr(settings_module, "get", lambda: settings)
    return await asyncio.to_thread(CliRunner().invoke, app, list(arguments))


@pytest.mark.parametrize(
    ("resume_max_s", "cause", "status"),
    [(3600.0, "restart", "repaired"), (0.01, LONG_ABSENCE, "open")],
)
async def test_an_absence_is_repaired_unless_it_is_too_long(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    resume_max_s: float,
    cause: str,
    status: str,
) -> None:
    source = SyntheticSource([SYMBOL], rate=2_000, quotes=False)
    async with LocalExchange(source, speed=1.0, start="all") as exchange:
        target = against(exchange, settings, resume_max_s=resume_max_s)
        async with running(target) as worker:
            await until(lambda: worker.committed_rows > 500)
        seen = exchange.trade_count(SYMBOL)
        await until(lambda: exchange.trade_count(SYMBOL) > seen + AWAY_TRADES)
        async with running(target) as worker:
            await until(lambda: worker.committed_rows > 500)
            halt(exchange)
            last_id = int(exchange.trades(SYMBOL).trade_id[-1])
            continuity = worker.intake.states[SYMBOL].continuity
            await until(lambda: continuity.last_seen == last_id)
            if status == "repaired":
                await until(lambda: continuity.last_contiguous == last_id)
            await until(lambda: not worker.recorder.waiting_rows and not len(worker.backlog))
            served = target.model_copy(update={"metrics_port": worker.status_server.port})
            shown = await quant(monkeypatch, served, "status", "--once")
            told = await quant(monkeypatch, served, "status", "--json")
        gone = await quant(monkeypatch, served, "status", "--once")
        differences = lake_differences(exchange, target)
    with lake.connect(read_only=True, settings=target) as connection:
        gaps = connection.execute("select cause, status from raw.capture_gaps").fetchall()
    proved = await quant(monkeypatch, target, "verify", "--symbol", SYMBOL)
    assert gaps == [(cause, status)]
    assert shown.exit_code == told.exit_code == 0
    assert SYMBOL in shown.stdout
    assert "1 of 1 connections up" in " ".join(shown.stdout.split())
    state = json.loads(told.stdout)
    assert state["symbols"][SYMBOL]["last_id"] == last_id
    assert state["symbols"][SYMBOL]["gaps_open"] == (status == "open")
    assert "start one with `quant stream`" in str(gone.exception)
    if status == "repaired":
        assert differences == []
        assert state["trades_repaired"] > AWAY_TRADES
        assert (proved.exit_code, "whole" in proved.stdout) == (0, True)
    else:
        assert state["symbols"][SYMBOL]["missing"] > AWAY_TRADES
        assert proved.exit_code == 1
        assert "run `quant backfill`" in " ".join(proved.stdout.split())
