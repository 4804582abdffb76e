"""`quant backfill`, `quant maintain`, `quant restore` and `quant reconcile`: keep the lake."""

from __future__ import annotations

import signal
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from quant_pipeline import catalog, lake
from quant_pipeline import settings as settings_module
from quant_pipeline.commands.console import console, messages
from quant_pipeline.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quant_pipeline.backfill.files import FileReport, Options
    from quant_pipeline.maintenance import Report


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.command()(backfill)
    app.command()(maintain)
    app.command()(restore)


def backfill(
    files: Annotated[
        list[Path] | None,
        typer.Option("--files", help="A .zip, .csv, .csv.gz or .parquet file, or a folder."),
    ] = None,
    symbol: Annotated[
        str | None, typer.Option(help="Symbol; archive files carry it in their name.")
    ] = None,
    kind: Annotated[
        Literal["trades", "agg_trades"] | None,
        typer.Option(help="What the rows are; archive files carry it in their name."),
    ] = None,
    columns: Annotated[
        str, typer.Option("--map", help="Columns as ours=theirs, or ours=position from 0.")
    ] = "",
    require_checksum: Annotated[
        bool, typer.Option(help="Refuse files without a .CHECKSUM that matches.")
    ] = False,
    again: Annotated[bool, typer.Option(help="Read files again that were landed before.")] = False,
    rejects: Annotated[
        Path | None, typer.Option(help="Where refused rows go; default: HOME/rejects/….csv")
    ] = None,
) -> None:
    """Land past trades, each once, beside the live worker; interrupted, run it again.

    Exits 1 if a row was refused or a file is not whole.

    Example: quant backfill --files BTCUSDT-trades-2024-08-08.zip --files more/
    """
    from quant_pipeline.backfill.files import Options
    from quant_pipeline.backfill.layouts import parse_mapping

    settings = settings_module.get()
    log_path = rejects or settings.rejects_dir / f"backfill-{datetime.now(UTC):%Y%m%dT%H%M%S}.csv"
    if not files:
        raise ValueError("nothing to backfill: give --files")
    options = Options(
        venue=settings.venue,
        symbol=symbol,
        kind=kind,
        mapping=parse_mapping(columns),
        require_checksum=require_checksum,
        again=again,
    )
    reports = _backfill_files(settings, _expand(files), options, log_path)
    console.print(_file_table(reports))
    _tell(reports, log_path)
    if not all(report.is_clean for report in reports):
        raise typer.Exit(1)


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
        typer.Option(help="Stay, and repeat after so many seconds; 0: maintenance_interval_s."),
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
        report = maintenance.run(settings, daily=daily, dry_run=dry_run)
        console.print(
            f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {'daily' if report.daily else 'small files'}: "
            f"{report.files_before:,} → {report.files_after:,} files in {report.seconds:.2f} s"
            + "".join(f"; {note}" for note in report.notes),
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
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
        catalog.advisory_lock(catalog.ensure(settings), "backfill"),
    ):
        ticks = retention.restore(connection, day.date())
    console.print(f"{ticks:,} ticks of {day:%Y-%m-%d} are in the lake again", highlight=False)


def _stop_on_signal() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


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
        messages.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)


def _backfill_files(
    settings: Settings, paths: Sequence[Path], options: Options, log_path: Path
) -> list[FileReport]:
    from quant_pipeline.backfill import files as file_backfill
    from quant_pipeline.backfill.landing import Lander
    from quant_pipeline.backfill.rejects import RejectLog
    from quant_pipeline.backfill.sources import text_bytes

    total = sum(text_bytes(path) for path in paths if path.is_file())
    with (
        lake.connect(settings=settings) as connection,
        catalog.advisory_lock(catalog.ensure(settings), "backfill"),
        RejectLog(log_path) as log,
        _progress() as progress,
    ):
        task = progress.add_task("backfill", total=total, rate="")
        rows = 0

        def advance(report: FileReport, done_bytes: int) -> None:
            nonlocal rows
            rows += report.new + report.duplicate + report.rejected - seen.get(report.name, 0)
            seen[report.name] = report.new + report.duplicate + report.rejected
            elapsed = progress.tasks[task].elapsed or 0
            rate = f"{rows:,} rows, {rows / elapsed:,.0f}/s" if elapsed else ""
            progress.update(task, advance=done_bytes, description=report.name, rate=rate)

        seen: dict[str, int] = {}
        lander = Lander(connection, clock=_utc_now)
        return file_backfill.backfill_files(paths, options, lander, log, on_progress=advance)


def _expand(paths: Sequence[Path]) -> list[Path]:
    """Folders become the data files in them, by name: a stable order for a resumed run."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = [
                entry
                for entry in sorted(path.rglob("*"))
                if entry.suffix in {".zip", ".csv", ".parquet"} or entry.name.endswith(".csv.gz")
            ]
            if not inside:
                raise ValueError(f"{path} holds no .zip, .csv, .csv.gz or .parquet file")
            found += inside
        else:
            found.append(path)
    return found


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        console=messages,
        transient=True,
    )


def _file_table(reports: Sequence[FileReport]) -> Table:
    table = Table(header_style="bold")
    table.add_column("file", overflow="fold")
    table.add_column("outcome")
    for column in ("new", "duplicate", "malformed", "landed before"):
        table.add_column(column, justify="right")
    for report in reports:
        counts = (report.new, report.duplicate, report.rejected, report.skipped)
        table.add_row(report.name, report.status, *(f"{count:,}" for count in counts))
    return table


def _tell(reports: Sequence[FileReport], log_path: Path) -> None:
    for report in reports:
        for note in report.notes:
            messages.print(f"note: {report.name}: {note}", markup=False, highlight=False)
        for reason, rows in report.reasons.most_common():
            messages.print(
                f"refused: {report.name}: {rows:,} × {reason}", markup=False, highlight=False
            )
        if report.problem:
            messages.print(f"problem: {report.problem}", style="red", markup=False, highlight=False)
    if log_path.exists():
        messages.print(f"refused rows, with reasons: {log_path}", markup=False, highlight=False)


def _utc_now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
