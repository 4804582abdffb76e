"""`quant recompute`: compute published statistics again and compare them bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from quant_pipeline import settings as settings_module
from quant_pipeline.commands.console import console, messages

if TYPE_CHECKING:
    from quant_pipeline.research.recompute import Recomputed


def register(app: typer.Typer) -> None:
    """Add this module's command to `app`."""
    app.command()(recompute)


def recompute(
    snapshot: Annotated[
        int, typer.Option(help="Lake snapshot, as in the column lake_snapshot or on a report.")
    ],
    table: Annotated[
        str | None,
        typer.Option(help="Only adf_snapshots, correlation_snapshots or pair_snapshots."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="List the columns that are equal too.")
    ] = False,
) -> None:
    """Recompute every published row of a lake snapshot from the ticks as of that snapshot.

    Works after the snapshot has expired and files were compacted. Exits 1 if anything differs.

    Example: quant recompute --snapshot 4711
    """
    from quant_pipeline import lake
    from quant_pipeline.code_version import code_version
    from quant_pipeline.research import as_of
    from quant_pipeline.research import recompute as research
    from quant_pipeline.resident_dbt import ResidentDbt

    if table is not None and table not in research.TABLES:
        raise ValueError(f"--table {table!r} is not one of {', '.join(research.TABLES)}")
    tables = research.TABLES if table is None else (table,)
    settings = settings_module.get()
    all_equal = True
    with lake.connect(read_only=True, settings=settings) as connection:
        rows = research.find(connection, snapshot, tables)
        models = ResidentDbt(settings).compile(*as_of.MODELS)
        for found in research.again(connection, models, rows):
            _show(found, everything=everything)
            all_equal = all_equal and found.equal
            made_by = found.row["code_version"]
            if made_by != code_version():
                messages.print(
                    f"note: this row was computed by code {made_by}, and now by {code_version()}:"
                    " a difference may come from the code",
                    highlight=False,
                    soft_wrap=True,
                )
    if not all_equal:
        raise typer.Exit(1)


def _show(found: Recomputed, *, everything: bool) -> None:
    row = found.row
    series = f" {row['series']}" if "series" in row else ""
    equal = sum(column.outcome == "equal" for column in found.columns)
    console.print(
        f"{found.table}: {row['y']}/{row['x']}{series}, {row['timeframe']}, taken"
        f" {row['taken_at']:%Y-%m-%d %H:%M:%S} UTC: {equal} of {len(found.columns)} columns equal",
        highlight=False,
        soft_wrap=True,
    )
    shown = [column for column in found.columns if everything or column.outcome != "equal"]
    if not shown:
        return
    table = Table(header_style="bold")
    for name in ("column", "recorded", "recomputed", "outcome"):
        table.add_column(name)
    for column in shown:
        table.add_row(column.name, str(column.recorded), str(column.recomputed), column.outcome)
    console.print(table)
