"""`quant stream`, `quant status` and `quant verify`: capture trades, watch it, prove it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.live import Live
from rich.table import Table
from rich.text import Text

from quant_pipeline import settings as settings_module
from quant_pipeline.commands.console import console, print_error

if TYPE_CHECKING:
    from streaming.verify import SymbolProof

_REFRESH_S = 1.0
_SHOWN_ABSENCES = 20


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.command()(stream)
    app.command()(status)
    app.command()(verify)


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
    from streaming.footprint import freeze_startup, keep_pandas_out

    keep_pandas_out()
    from streaming.logs import configure
    from streaming.worker import Worker

    settings = settings_module.get()
    configure()
    freeze_startup()
    worker = Worker(settings)

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await worker.run(stop, until_idle_s=until_idle)

    run = asyncio.run
    if settings.transport == "picows" and sys.platform != "win32":
        import uvloop

        run = uvloop.run
    code = 0
    try:
        run(main())
    except Exception as error:
        if not worker.backlog.is_stuck:
            raise
        print_error(error)
        code = 1
    if worker.backlog.is_stuck:
        # All is parked and logged; Python itself would wait for the thread that hangs in the lake.
        os._exit(code)


def status(
    once: Annotated[bool, typer.Option("--once", help="Print once and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print once, as JSON.")] = False,
) -> None:
    """Show what the running worker is doing; Ctrl-C ends.

    Exits 1 if no worker answers or something is wrong with it.

    Example: quant status --once
    """
    settings = settings_module.get()
    url = f"http://{settings.host}:{settings.metrics_port}/status"
    state = _fetch(url)
    if as_json:
        sys.stdout.write(json.dumps(state, indent=2) + "\n")
    elif once or not console.is_terminal:
        console.print(_status_table(state))
    else:
        with Live(_status_table(state), console=console, screen=False) as live:
            try:
                while True:
                    time.sleep(_REFRESH_S)
                    state = _fetch(url)
                    live.update(_status_table(state))
            except KeyboardInterrupt:
                return
    if state["problems"]:
        raise typer.Exit(1)


def verify(
    symbol: Annotated[
        list[str] | None, typer.Option(help="Only this symbol; may be repeated.")
    ] = None,
    since: Annotated[
        datetime | None, typer.Option(help="Only trades at or after this time (UTC).")
    ] = None,
) -> None:
    """Prove from the lake that no captured trade is missing.

    Trade ids must be contiguous but for holes of the venue's own. Lists what is not; exits 1 if
    anything is lost.

    Example: quant verify --symbol BTCUSDT --since 2026-07-01
    """
    from quant_pipeline import lake
    from streaming.verify import verify as prove

    settings = settings_module.get()
    symbols = None if not symbol else [settings_module.check_symbol(name) for name in symbol]
    with lake.connect(read_only=True, settings=settings) as connection:
        proofs = prove(connection, settings.venue, symbols, since)
    if not proofs:
        console.print("the lake holds no trades yet: run `quant stream`")
        raise typer.Exit(1)
    _print_proofs(proofs)
    if not all(proof.is_whole for proof in proofs):
        raise typer.Exit(1)


def _fetch(url: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - http on loopback
            state: dict[str, Any] = json.load(answer)
            return state
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise RuntimeError(
            f"no worker answers at {url} ({reason}): start one with `quant stream`, "
            "or set 'metrics_port' to the one it uses"
        ) from error


def _status_table(state: dict[str, Any]) -> Table:
    ages = [each["age_s"] for each in state["connections"]]
    connected = [age for age in ages if age is not None]
    oldest = f", oldest {_duration(max(connected))}" if connected else ""
    lines = [
        f"{state['trades']:,} trades in, {state['landed']:,} landed in {state['commits']:,} commits"
        f" (last {state['commit_s'] * 1e3:.0f} ms), {state['buffered']:,} buffered, spool"
        f" {state['spool_files']:,} files {state['spool_bytes'] / 1e6:.1f} MB",
        f"{len(connected)} of {len(ages)} connections up{oldest}; gaps closed"
        f" {state['gaps_closed']:,} ({state['trades_repaired']:,} trades,"
        f" {state['venue_hole_ids']:,} venue holes); REST weight {state['weight_used']:,}"
        f" of {state['weight_allowed']:,}; rejected {sum(state['frames_rejected'].values()):,}",
    ]
    caption = Text("\n".join(lines), style="table.caption")
    for problem in state["problems"]:
        caption.append(f"\n{problem}", style="red")
    table = Table(
        title=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC  writer {state['writer']}",
        caption=caption,
        caption_justify="left",
        header_style="bold",
    )
    table.add_column("symbol")
    for name in ("last id", "age", "trades/s", "missing", "gaps open", "duplicates"):
        table.add_column(name, justify="right")
    for name, row in state["symbols"].items():
        table.add_row(
            name,
            "–" if row["last_id"] is None else str(row["last_id"]),
            _duration(row["silent_s"]),
            f"{row['trades_per_s']:,.1f}",
            f"{row['missing']:,}",
            f"{row['gaps_open']:,}",
            f"{row['duplicates']:,}",
        )
    return table


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, _ = divmod(int(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def _print_proofs(proofs: list[SymbolProof]) -> None:
    table = Table(header_style="bold")
    table.add_column("symbol", overflow="fold")
    for name in ("first id", "last id", "trades", "repeated", "venue holes", "open", "lost"):
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("verdict")
    for proof in proofs:
        table.add_row(
            proof.symbol,
            str(proof.first_id),
            str(proof.last_id),
            f"{proof.trades:,}",
            f"{proof.repeated_rows:,}",
            f"{proof.absent('venue_hole'):,}",
            f"{proof.absent('open'):,}",
            f"{proof.absent('unexplained'):,}",
            Text("whole", style="green")
            if proof.is_whole
            else Text("trades are missing", style="red"),
        )
    console.print(table)
    lacking = [
        (proof.symbol, absence)
        for proof in proofs
        for absence in proof.absences
        if absence.explanation != "venue_hole"
    ]
    for symbol, absence in lacking[:_SHOWN_ABSENCES]:
        what = (
            "recorded, not repaired yet: the worker tries again, or run `quant backfill`"
            if absence.explanation == "open"
            else "not recorded anywhere"
        )
        first, last = absence.span
        console.print(f"{symbol} {first}-{last} ({absence.span.width:,} trades): {what}")
    if len(lacking) > _SHOWN_ABSENCES:
        console.print(f"… and {len(lacking) - _SHOWN_ABSENCES:,} more")
