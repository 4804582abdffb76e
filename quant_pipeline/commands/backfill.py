"""`quant backfill`: past trades into the lake, from files or over REST."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from quant_pipeline import catalog, lake
from quant_pipeline import settings as settings_module
from quant_pipeline.commands.console import console, messages
from quant_pipeline.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from quant_pipeline.backfill.files import FileReport, Options
    from quant_pipeline.backfill.rest import RangeReport
    from streaming.rest import RestClient
    from streaming.venues import Venue

TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"]
"""How a time is written on the command line; UTC."""


def register(app: typer.Typer) -> None:
    """Add this module's command to `app`."""
    app.command()(backfill)


def backfill(
    files: Annotated[
        list[Path] | None,
        typer.Option("--files", help="A .zip, .csv, .csv.gz or .parquet file, or a folder."),
    ] = None,
    more_files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILES]...", help="Files or folders, as --files."),
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
    start: Annotated[
        datetime | None,
        typer.Option("--from", formats=TIMES, help="Over REST: trades at or after this (UTC)."),
    ] = None,
    end: Annotated[
        datetime | None,
        typer.Option("--to", formats=TIMES, help="Over REST: trades before this (UTC); now."),
    ] = None,
    again: Annotated[bool, typer.Option(help="Read files again that were landed before.")] = False,
    rejects: Annotated[
        Path | None, typer.Option(help="Where refused rows go; default: HOME/rejects/….csv")
    ] = None,
) -> None:
    """Land past trades, each once, beside the live worker; interrupted, run it again.

    From files (--files), or over REST the trades that the lake lacks (--from, --to). Exits 1 if a
    row was refused, a file is not whole or the venue left something unanswered.

    Example: quant backfill --symbol BTCUSDT --from 2024-08-08 --to 2024-08-09

    Example: quant backfill --files BTCUSDT-trades-2024-08-*.zip more/
    """
    from quant_pipeline.backfill.files import Options
    from quant_pipeline.backfill.layouts import parse_mapping

    settings = settings_module.get()
    log_path = rejects or settings.rejects_dir / f"backfill-{datetime.now(UTC):%Y%m%dT%H%M%S}.csv"
    if log_path.is_dir():
        raise ValueError(f"--rejects {log_path} is a folder; name a file, as in {log_path}/x.csv")
    files = [*(files or ()), *(more_files or ())]
    if files and (start or end):
        raise ValueError("give either files or --from and --to, not both")
    if start is not None:
        for option, is_given in {
            "--kind": kind,
            "--map": columns,
            "--require-checksum": require_checksum,
            "--again": again,
        }.items():
            if is_given:
                raise ValueError(f"{option} is for files; leave it out with --from")
        symbols = [settings_module.check_symbol(symbol)] if symbol else list(settings.symbols)
        _show_ranges(
            asyncio.run(_backfill_ranges(settings, symbols, (start, end or _utc_now()), log_path)),
            log_path,
        )
        return
    if not files:
        raise ValueError("nothing to backfill: give --files, or --from and --to")
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
        exclusively(settings),
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
                if entry.name.lower().endswith((".zip", ".csv", ".csv.gz", ".parquet"))
                and not entry.name.startswith("._")  # what macOS puts beside a file
            ]
            if not inside:
                raise ValueError(f"{path} holds no .zip, .csv, .csv.gz or .parquet file")
            found += inside
        else:
            found.append(path)
    return found


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
            messages.print(f"note: {report.name}: {note}", highlight=False)
        for reason, rows in report.reasons.most_common():
            messages.print(f"refused: {report.name}: {rows:,} × {reason}", highlight=False)
        if report.problem:
            messages.print(f"problem: {report.problem}", style="red", highlight=False)
    if log_path.exists():
        messages.print(f"refused rows, with reasons: {log_path}", highlight=False)


async def _backfill_ranges(
    settings: Settings, symbols: Sequence[str], span: tuple[datetime, datetime], log_path: Path
) -> list[RangeReport]:
    from quant_pipeline.backfill.landing import Lander
    from quant_pipeline.backfill.rejects import RejectLog
    from quant_pipeline.backfill.rest import RestBackfill
    from streaming.venues import by_name

    start, end = span
    if end <= start:
        raise ValueError(f"--to {end} is not after --from {start}")
    venue = by_name(settings.venue)
    with (
        lake.connect(settings=settings) as connection,
        exclusively(settings),
        RejectLog(log_path) as log,
        _progress() as progress,
    ):
        task = progress.add_task("backfill", total=None, rate="")

        def advance(done: int, total: int) -> None:
            elapsed = progress.tasks[task].elapsed or 0
            rate = f"{done:,} trades, {done / elapsed:,.0f}/s" if elapsed else ""
            progress.update(task, completed=done, total=total, rate=rate)

        async with rest_client(settings, venue) as client:
            backfill = RestBackfill(
                client,
                venue,
                connection,
                Lander(connection, clock=_utc_now),
                log,
                clock=_utc_now,
                on_progress=advance,
            )
            await backfill.check_symbols(symbols)
            reports = []
            for symbol in symbols:
                progress.reset(task, description=symbol, total=None)
                reports.append(await backfill.fetch(symbol, start, end))
            return reports


def _show_ranges(reports: Sequence[RangeReport], log_path: Path) -> None:
    table = Table(header_style="bold")
    table.add_column("symbol")
    columns = ("first id", "last id", "held", "new", "duplicate", "malformed", "venue holes")
    for column in (*columns, "unanswered", "gaps closed"):
        table.add_column(column, justify="right")
    for each in reports:
        if each.wanted is None:
            table.add_row(each.symbol, "no trades in the range")
            continue
        counts = (each.held, each.new, each.duplicate, each.rejected, each.venue_holes)
        table.add_row(
            each.symbol,
            *(str(end) for end in each.wanted),
            *(f"{count:,}" for count in (*counts, each.unanswered, each.gaps_closed)),
        )
    console.print(table)
    if log_path.exists():
        messages.print(f"refused rows, with reasons: {log_path}", highlight=False)
    if not all(report.is_clean for report in reports):
        raise typer.Exit(1)


def rest_client(settings: Settings, venue: Venue) -> RestClient:
    """A client that leaves the live worker, which shares the address, most of the budget."""
    from streaming.budget import WeightBudget
    from streaming.clock import SystemClock
    from streaming.rest import RestClient

    budget = WeightBudget(share=settings.backfill_weight_share)
    return RestClient(settings.rest_url, venue, budget, SystemClock())


@contextmanager
def exclusively(settings: Settings) -> Iterator[None]:
    """Wait, and say so, until no other process adds past trades or takes any away."""
    dsn = catalog.ensure(settings)
    with ExitStack() as stack:
        if not stack.enter_context(catalog.advisory_lock(dsn, "backfill", wait=False)):
            messages.print("waiting for another backfill, restore or retention to end")
            stack.enter_context(catalog.advisory_lock(dsn, "backfill"))
        yield


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


def _utc_now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
