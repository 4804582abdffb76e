"""`quant exchange`: a local exchange that speaks Binance's protocol."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer

from quant_pipeline import settings as settings_module
from quant_pipeline.commands.console import console


def register(app: typer.Typer) -> None:
    """Add this module's command to `app`."""
    app.command()(exchange)


def _speed(text: str) -> float:
    if text == "max":
        return 0.0
    try:
        speed = float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither a number nor 'max'") from None
    if speed < 0:
        raise typer.BadParameter(f"{text} is negative; 0 or 'max' is as fast as clients read")
    return speed


def exchange(
    recording: Annotated[
        Path | None,
        typer.Option(
            help="File or folder of '<receive ns> <raw frame>' lines, plain or gzipped; "
            "default: the shipped BTCUSDT/ETHUSDT session of 2024-08-08."
        ),
    ] = None,
    loop: Annotated[
        bool, typer.Option("--loop", help="Play the recording again and again.")
    ] = False,
    speed: Annotated[
        str, typer.Option(help="Market seconds per second; 'max' or 0: as fast as clients read.")
    ] = "1",
    start: Annotated[
        str,
        typer.Option(
            help="Start at the 'first' subscription, when 'all' symbols have one, or 'now'."
        ),
    ] = "first",
    port: Annotated[
        int | None, typer.Option(help="Port, default: the setting exchange_port; 0: a free one.")
    ] = None,
) -> None:
    """Serve a recorded market over Binance's WebSocket and REST protocol.

    Example: quant exchange --speed 20 --loop
    """
    from streaming.exchange.pacing import Start
    from streaming.exchange.recording import SHIPPED, RecordingSource
    from streaming.exchange.server import LocalExchange

    settings = settings_module.get()
    starts: dict[str, Start] = {"first": "first", "all": "all", "now": "now"}
    if start not in starts:
        raise typer.BadParameter(f"--start {start!r} is none of {', '.join(starts)}")
    server = LocalExchange(
        RecordingSource(recording or SHIPPED, loop=loop),
        host=settings.host,
        port=settings.exchange_port if port is None else port,
        speed=_speed(speed),
        start=starts[start],
    )
    asyncio.run(_serve(server))


async def _serve(server: object) -> None:
    from streaming.exchange.server import LocalExchange

    assert isinstance(server, LocalExchange)
    stop = asyncio.Event()
    running = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        running.add_signal_handler(number, stop.set)
    async with server:
        console.print(
            f"exchange: {', '.join(server.symbols)}\n"
            f"QUANT_WS_URL={server.ws_url}\nQUANT_REST_URL={server.rest_url}",
            highlight=False,
            soft_wrap=True,
        )
        await stop.wait()
