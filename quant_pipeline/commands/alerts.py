"""`quant alerts`: what was raised, and whether a message reaches you."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from quant_pipeline import settings as settings_module
from quant_pipeline.commands.console import console, messages
from quant_pipeline.commands.lake import OutputFormat
from quant_pipeline.commands.revisions import parse_since

if TYPE_CHECKING:
    import polars as pl

app = typer.Typer(invoke_without_command=True)
_COLOURS = {"critical": "red", "warning": "yellow", "info": "cyan"}


def register(root: typer.Typer) -> None:
    """Add this module's commands to `root`."""
    root.add_typer(app, name="alerts")


@app.callback()
def alerts(
    context: typer.Context,
    only_open: Annotated[bool, typer.Option("--open", help="Only those still open.")] = False,
    since: Annotated[
        str, typer.Option(help="UTC time (2024-08-09T12:00), or an age: 90s, 30m, 24h, 7d.")
    ] = "24h",
    output: Annotated[
        OutputFormat, typer.Option("--format", help="How rows are printed.")
    ] = OutputFormat.TABLE,
) -> None:
    """List alerts: what was raised, cleared or still open since then, newest first.

    Example: quant alerts --open; quant alerts --since 7d --format csv
    """
    if context.invoked_subcommand is not None:
        return
    from quant_pipeline import lake
    from quant_pipeline.alerts import store

    settings = settings_module.get()
    moment = parse_since(since, datetime.now(UTC))
    with lake.connect(read_only=True, settings=settings) as connection:
        rows = store.read(connection, settings.venue, since=moment, only_open=only_open)
    if output is OutputFormat.CSV:
        sys.stdout.write(rows.write_csv())
    elif output is OutputFormat.JSON:
        sys.stdout.write(rows.write_json() + "\n")
    else:
        console.print(_table(rows))
        is_open = rows["cleared_at"].null_count()
        messages.print(f"{rows.height} alerts, {is_open} of them open", highlight=False)


@app.command()
def test() -> None:
    """Send a test message to every address in alert_urls; exits 1 if one did not take it.

    Example: QUANT_ALERT_URLS="json://localhost:8080/" quant alerts test
    """
    from quant_pipeline.alerts import delivery

    to = delivery.destinations(settings_module.get().alert_urls)
    if not to:
        raise ValueError(
            "alert_urls is unset: export QUANT_ALERT_URLS or write it in quant.toml; "
            "docs/alerts.md has examples"
        )
    outcomes = delivery.send_test(to)
    for name, error in outcomes.items():
        console.print(f"{name}: {error or 'delivered'}", highlight=False)
    if any(outcomes.values()):
        raise typer.Exit(1)


def _table(rows: pl.DataFrame) -> Table:
    table = Table(header_style="bold")
    for column in ("raised (UTC)", "cleared (UTC)", "severity", "rule", "what", "sent"):
        table.add_column(column, no_wrap=column.endswith("(UTC)"))
    for row in rows.iter_rows(named=True):
        severity = row["severity"]
        sent = [row["raised_delivery"], row["cleared_delivery"]]
        table.add_row(
            f"{row['raised_at']:%Y-%m-%d %H:%M:%S}",
            "open" if row["cleared_at"] is None else f"{row['cleared_at']:%Y-%m-%d %H:%M:%S}",
            Text(severity, style=_COLOURS[severity]),
            row["rule"],
            row["message"],
            ", ".join(state for state in sent if state),
        )
    return table
