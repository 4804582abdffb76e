"""`quant stream`: capture live trades into the lake."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Annotated

import typer

from quant_pipeline import settings as settings_module


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.command()(stream)


def stream(
    until_idle: Annotated[
        float | None,
        typer.Option(
            help="Stop by itself once no trade has come for so many seconds and none is missing.",
            metavar="SECONDS",
        ),
    ] = None,
) -> None:
    """Capture every trade of the configured symbols until Ctrl-C or SIGTERM.

    Both land what is buffered before the process ends with exit code 0.

    Example: QUANT_SYMBOLS=BTCUSDT,ETHUSDT,SOLUSDT quant stream
    """
    from streaming.logs import configure
    from streaming.worker import Worker

    settings = settings_module.get()
    configure()

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await Worker(settings).run(stop, until_idle_s=until_idle)

    if settings.transport == "picows" and sys.platform != "win32":
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())
