"""The `quant` command."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from quant_pipeline.commands import (
    alerts,
    bars,
    demo,
    exchange,
    lake,
    recompute,
    report,
    revisions,
    stream,
    up,
    warehouse,
)
from quant_pipeline.commands.console import print_error

app = typer.Typer(
    name="quant",
    help="Live trades into a DuckDB lake, exact bars, pairs statistics, reports.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for part in (
    *(demo, up, stream, report, alerts, bars, revisions, recompute),
    *(exchange, warehouse, lake),
):
    part.register(app)

_debug = False


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"quant {version('quant-pipeline')}")
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    global _debug
    _debug = debug


def main() -> None:
    """Run the command; an error is one readable line and exit code 1."""
    try:
        app()
    except Exception as error:
        if _debug:
            raise
        print_error(error)
        sys.exit(1)
