"""`quant up`: the whole pipeline in one terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from quant_pipeline import settings as settings_module
from quant_pipeline.commands.console import console
from quant_pipeline.settings import ROOT, Settings

if TYPE_CHECKING:
    from quant_pipeline import supervision


def register(app: typer.Typer) -> None:
    """Add this module's command to `app`."""
    app.command()(up)


def up(
    replay: Annotated[
        bool,
        typer.Option(
            "--replay", help="Capture from a local exchange that loops the recorded session."
        ),
    ] = False,
) -> None:
    """Capture live, keep bars and statistics fresh, serve the Dagster UI; Ctrl-C stops it all.

    Example: quant up --replay
    """
    from quant_pipeline import catalog, supervision

    settings = settings_module.get()
    settings.log_dir.mkdir(parents=True, exist_ok=True)
    catalog.ensure(settings)
    source = "the local exchange's recorded session" if replay else settings.ws_url
    console.print(
        f"capturing {', '.join(settings.symbols)} from {source}\n"
        f"Dagster UI: http://{settings.host}:{settings.dagster_port}   "
        f"reports: http://{settings.host}:{settings.dagster_port}/reports/\n"
        "Ctrl-C stops everything",
        highlight=False,
        soft_wrap=True,
    )
    try:
        code = supervision.run(processes(settings, replay=replay))
    finally:
        if settings.catalog_dsn is None:
            catalog.stop(settings, only_if_idle=True)
    raise typer.Exit(code)


def processes(settings: Settings, *, replay: bool) -> list[supervision.Process]:
    """What runs: the exchange if it is local, worker, resident dbt, maintenance and Dagster."""
    from quant_pipeline.supervision import Process, quant

    feed = {}
    local = []
    if replay:
        address = f"{settings.host}:{settings.exchange_port}"
        feed = {"QUANT_WS_URL": f"ws://{address}", "QUANT_REST_URL": f"http://{address}"}
        local = [Process("exchange", quant("exchange", "--loop", "--start", "all"))]
    dagster = [sys.executable, "-m", "dagster", "dev", "-w", str(ROOT / "workspace.yaml")]
    return [
        *local,
        Process("worker", quant("stream"), environment=feed),
        Process("bars", quant("bars", "--watch")),
        Process("maintenance", quant("maintain", "--every", "0")),
        Process(
            "dagster",
            [*dagster, "-h", settings.host, "-p", str(settings.dagster_port)],
            restart=False,
        ),
    ]
