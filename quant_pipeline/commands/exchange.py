"""`quant exchange`: a local exchange that speaks Binance's protocol."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quant_pipeline import settings as settings_module
from quant_pipeline.commands.console import console, messages

if TYPE_CHECKING:
    from streaming.exchange.faults import Faults
    from streaming.exchange.market import Source
    from streaming.exchange.server import LocalExchange


class Start(StrEnum):
    """When the market starts."""

    FIRST = "first"
    ALL = "all"
    NOW = "now"


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
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="Serve a simulated market instead of a recording.")
    ] = False,
    symbols: Annotated[
        str, typer.Option(help="Synthetic: how many symbols, or their names: BTCUSDT,ETHUSDT.")
    ] = "2",
    rate: Annotated[
        float, typer.Option(help="Synthetic: trades a second over all symbols.")
    ] = 100.0,
    seed: Annotated[int, typer.Option(help="Seed of the synthetic market and of --chaos.")] = 0,
    trades: Annotated[
        int | None, typer.Option(help="Synthetic: the market ends after so many; default: never.")
    ] = None,
    quotes: Annotated[bool, typer.Option(help="Synthetic: make bookTicker events too.")] = True,
    chaos: Annotated[
        bool,
        typer.Option("--chaos", help="Random faults of every kind, after --seed; see the docs."),
    ] = False,
    faults: Annotated[
        Path | None, typer.Option(help="TOML file of fault rates and scripted faults.")
    ] = None,
    speed: Annotated[
        str, typer.Option(help="Market seconds per second; 'max' or 0: as fast as clients read.")
    ] = "1",
    start: Annotated[
        Start,
        typer.Option(help="Start at the first subscription, when all symbols have one, or now."),
    ] = Start.FIRST,
    port: Annotated[
        int | None, typer.Option(help="Port, default: the setting exchange_port; 0: a free one.")
    ] = None,
) -> None:
    """Serve a recorded or simulated market over Binance's WebSocket and REST protocol.

    Example: quant exchange --synthetic --symbols 20 --rate 5000
    """
    settings = settings_module.get()
    if synthetic and (recording is not None or loop):
        raise typer.BadParameter("--synthetic cannot go with --recording or --loop")
    if chaos and faults is not None:
        raise typer.BadParameter("--chaos cannot go with --faults; set chaos_every_s in the file")
    source = (
        _simulated(symbols, rate, seed, trades, quotes) if synthetic else _recorded(recording, loop)
    )
    asyncio.run(
        _serve(
            source,
            host=settings.host,
            port=settings.exchange_port if port is None else port,
            speed=_speed(speed),
            start=start.value,
            faults=_faults(faults, chaos, seed),
        )
    )


def _recorded(recording: Path | None, loop: bool) -> Source:
    from streaming.exchange.recording import SHIPPED, RecordingSource

    return RecordingSource(recording or SHIPPED, loop=loop)


def _faults(path: Path | None, chaos: bool, seed: int) -> Faults | None:
    from streaming.exchange.faults import Faults

    if path is not None:
        return Faults.load(path)
    return Faults.chaos(seed) if chaos else None


def _simulated(symbols: str, rate: float, seed: int, trades: int | None, quotes: bool) -> Source:
    from streaming.exchange.synthetic import SyntheticSource

    named = [] if symbols.isdigit() else [*map(settings_module.check_symbol, symbols.split(","))]
    return SyntheticSource(
        named or int(symbols),
        rate=rate,
        seed=seed,
        trades=trades,
        quotes=quotes,
    )


async def _serve(source: Source, **options: Any) -> None:
    from streaming.exchange.server import LocalExchange

    stop = asyncio.Event()
    running = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        running.add_signal_handler(number, stop.set)
    async with LocalExchange(source, **options) as server:
        shown = ", ".join(server.symbols[:10]) + (", …" if len(server.symbols) > 10 else "")
        console.print(
            f"exchange: {len(server.symbols)} symbols ({shown})\n"
            f"QUANT_WS_URL={server.ws_url}\nQUANT_REST_URL={server.rest_url}",
            highlight=False,
            soft_wrap=True,
        )
        await stop.wait()
        _report(server)


def _report(server: LocalExchange) -> None:
    counts = ", ".join(f"{kind} {count}" for kind, count in sorted(server.injected.items()))
    console.print(
        f"{sum(map(server.trade_count, server.symbols))} trades on "
        f"{server.connections_made} connections; faults: {counts or 'none'}",
        highlight=False,
        soft_wrap=True,
    )
    for kind, number in sorted(Counter(v.kind for v in server.violations).items()):
        example = next(v for v in server.violations if v.kind == kind)
        messages.print(
            f"limit broken: {kind}, {number} times; first: {example.detail}", style="red"
        )
