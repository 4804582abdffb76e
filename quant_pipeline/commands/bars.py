"""`quant bars`: bring bars and liquidity tables up to date, once or for as long as it runs."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from quant_pipeline import settings as settings_module
from quant_pipeline.commands.console import console

if TYPE_CHECKING:
    from quant_pipeline.resident_dbt import Run


def register(app: typer.Typer) -> None:
    """Add this module's command to `app`."""
    app.command()(bars)


def bars(
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay resident; run whenever new ticks have landed.")
    ] = False,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Rebuild every table from the ticks first.")
    ] = False,
) -> None:
    """Run the dbt models in this process, by the same definitions as `dbt run`.

    Example: quant bars --watch
    """
    from quant_pipeline.resident_dbt import ResidentDbt
    from quant_pipeline.resident_loop import keep_fresh

    settings = settings_module.get()
    dbt = ResidentDbt(settings)
    if full_refresh or not watch:
        _tell(dbt.run(full_refresh=full_refresh))
    if not watch:
        return
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    keep_fresh(settings, dbt, stopping, on_run=_tell)


def _tell(run: Run) -> None:
    tables = ", ".join(node.name for node in run.nodes)
    console.print(f"bars up to date in {run.seconds:.1f} s: {tables}", highlight=False)
