"""`quant exchange` as a user runs it: its own process, real sockets, Ctrl-C."""

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner
from websockets.asyncio.client import connect

from quant_pipeline.cli import app

DEADLINE_S = 60


@asynccontextmanager
async def running(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The command, and the WebSocket address that it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from quant_pipeline.cli import main; main()",
        "exchange",
        "--port",
        "0",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(DEADLINE_S):
            printed = b""
            while not (found := re.search(rb"QUANT_WS_URL=(\S+)\n", printed)):
                line = await process.stdout.readline()
                assert line, "the command ended early"
                printed += line
        yield process, found[1].decode()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_simulated_market_is_served_until_interrupted() -> None:
    arguments = ["--synthetic", "--symbols", "AAAUSDT,BBBUSDT", "--rate", "200", "--trades", "500"]
    async with running(*arguments, "--speed", "max", "--seed", "3") as (process, url):
        async with connect(f"{url}/ws/aaausdt@trade/bbbusdt@trade", max_queue=None) as socket:
            ids = set()
            async with asyncio.timeout(DEADLINE_S):
                while len(ids) < 500:
                    trade = msgspec.json.decode(await socket.recv())
                    ids.add((trade["s"], trade["t"]))
        process.send_signal(signal.SIGINT)
        out, err = await asyncio.wait_for(process.communicate(), DEADLINE_S)
        assert process.returncode == 0
        assert b"500 trades on 1 connections; faults: none" in out
        assert err == b""


async def test_the_shipped_recording_is_the_default_and_faults_come_from_a_file(
    tmp_path: Path,
) -> None:
    faults = tmp_path / "faults.toml"
    faults.write_text('[[event]]\nkind = "disconnect_clean"\nafter_trades = 10\n')
    async with running("--speed", "max", "--faults", str(faults)) as (process, url):
        async with connect(f"{url}/stream?streams=btcusdt@trade") as socket:
            await asyncio.wait_for(socket.wait_closed(), DEADLINE_S)
        process.send_signal(signal.SIGTERM)
        out, _ = await asyncio.wait_for(process.communicate(), DEADLINE_S)
        assert process.returncode == 0
        assert b"faults: disconnect_clean 1" in out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--speed", "fast"], "neither a number nor 'max'"),
        (["--speed", "-1"], "negative"),
        (["--synthetic", "--loop"], "cannot go with"),
        (["--synthetic", "--symbols", "btc-usdt"], "did you mean 'BTCUSDT'"),
        (["--chaos", "--faults", "x.toml"], "chaos_every_s"),
    ],
)
def test_wrong_options_are_named(arguments: list[str], problem: str) -> None:
    result = CliRunner().invoke(app, ["exchange", "--port", "0", *arguments])
    assert result.exit_code != 0
    assert problem in " ".join(f"{result.output} {result.exception}".replace("│", " ").split())
