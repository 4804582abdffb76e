"""`quant maintain` and `quant restore`, and the other commands that keep the lake."""

from __future__ import annotations

import signal
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from quant_pipeline import lake
from quant_pipeline import settings as settings_module
from quant_pipeline.commands import backfill, reconcile
from quant_pipeline.commands.console import console, messages

if TYPE_CHECKING:
    from quant_pipeline.maintenance import Report


def register(app: typer.Typer) -> None:
    """Add the commands that fill, check and keep the lake to `app`."""
    backfill.register(app)
    reconcile.register(app)
    app.command()(maintain)
    app.command()(restore)


def maintain(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would be done.")
    ] = False,
    daily: Annotated[
        bool | None,
        typer.Option(help="Do the daily work too (merge all, expire, remove); default: if due."),
    ] = None,
    every: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=604_800,
            help="Stay, and repeat after so many seconds; 0: maintenance_interval_s.",
        ),
    ] = None,
) -> None:
    """Merge small files, expire old snapshots, remove files nobody reads, retire old ticks.

    Safe beside the worker, dbt and readers. Retention is off unless tick_retention_days is set.

    Example: quant maintain --dry-run --daily
    """
    from quant_pipeline import maintenance

    settings = settings_module.get()
    if every is None:
        _show_maintenance(maintenance.run(settings, daily=daily, dry_run=dry_run))
        return
    interval_s = every or settings.maintenance_interval_s
    stop = _stop_on_signal()
    while not stop.is_set():
        try:
            line = _one_line(maintenance.run(settings, daily=daily, dry_run=dry_run))
        except maintenance.PASSING_ERRORS as error:
            line = f"failed, and is tried again: {error}"
        now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
        console.print(f"{now} {line}", highlight=False, soft_wrap=True)
        stop.wait(interval_s)


def restore(
    day: Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], help="A day (UTC).")],
) -> None:
    """Bring the ticks of a day that retention archived back into the lake.

    Example: quant restore 2024-08-08
    """
    from quant_pipeline import retention

    settings = settings_module.get()
    with (
        lake.connect(settings=settings) as connection,
        backfill.exclusively(settings),
    ):
        ticks = retention.restore(connection, day.date())
    console.print(f"{ticks:,} ticks of {day:%Y-%m-%d} are in the lake again", highlight=False)


def _stop_on_signal() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _one_line(report: Report) -> str:
    tier = "daily" if report.daily else "small files"
    files = f"{report.files_before:,} → {report.files_after:,} files in {report.seconds:.2f} s"
    return "; ".join([f"{tier}: {files}", *report.notes])


def _show_maintenance(report: Report) -> None:
    would = "would be " if report.dry_run else ""
    table = Table(header_style="bold")
    table.add_column("table")
    for column in ("files", f"{would}after", "bytes", "after"):
        table.add_column(column, justify="right")
    for each in report.tables:
        counts = (each.files_before, each.files_after, each.bytes_before, each.bytes_after)
        table.add_row(each.name, *(f"{count:,}" for count in counts))
    totals = (report.files_before, report.files_after, report.bytes_before, report.bytes_after)
    table.add_section()
    table.add_row("all", *(f"{count:,}" for count in totals))
    console.print(table)
    if report.daily:
        console.print(
            f"{would}expired: {report.snapshots_expired:,} snapshots; {would}removed: "
            f"{report.files_removed:,} replaced files, {report.orphans_removed:,} orphans",
            highlight=False,
        )
    for day in report.archived:
        console.print(f"{would}archived: {day.day} to {day.path}", highlight=False, soft_wrap=True)
    for note in report.notes:
        messages.print(f"note: {note}", highlight=False, soft_wrap=True)
