"""`quant demo`: the main job on the shipped recording."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from quant_pipeline import settings as settings_module
from quant_pipeline.commands.console import console, messages

if TYPE_CHECKING:
    from quant_pipeline.demo import Result


def register(app: typer.Typer) -> None:
    """Add this module's command to `app`."""
    app.command()(demo)


def demo(
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start from an empty data folder.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With --fresh: delete captured trades too.")
    ] = False,
) -> None:
    """Run the whole pipeline on a recorded session, offline, and show what it made.

    Example: quant demo --fresh
    """
    from quant_pipeline import demo as pipeline

    settings = settings_module.get()
    if fresh:
        pipeline.clear(settings, force=force)
    with Progress(
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=messages,
    ) as progress:
        watch = _Bars(progress)
        result = pipeline.run(settings, watch)
        watch.finish()
    _show(result)


class _Bars:
    """Draws the demo's stages as progress bars."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._current: tuple[int, int | None] | None = None

    def stage(self, title: str, total: int | None = None) -> None:
        self.finish()
        task = self._progress.add_task(title, total=total)
        self._current = (task, total)

    def advance(self, done: int) -> None:
        assert self._current is not None
        self._progress.update(self._current[0], completed=done)  # type: ignore[arg-type]

    def finish(self) -> None:
        if self._current is not None:
            task, total = self._current
            self._progress.update(task, total=total or 1, completed=total or 1)  # type: ignore[arg-type]
            self._current = None


def _show(result: Result) -> None:
    captured = Table(title="Captured", title_justify="left", header_style="bold")
    for column in ("symbol", "trades", "first id", "last id"):
        captured.add_column(column, justify="left" if column == "symbol" else "right")
    for symbol, (trades, first, last) in result.ticks.items():
        captured.add_row(symbol, f"{trades:,}", str(first), str(last))
    console.print(captured)

    bars = Table(title="Bars", title_justify="left", header_style="bold")
    for timeframe in result.bars:
        bars.add_column(timeframe, justify="right")
    bars.add_row(*(f"{count:,}" for count in result.bars.values()))
    console.print(bars)

    statistics = Table(title="Statistics, BTCUSDT/ETHUSDT", title_justify="left")
    statistics.add_column("statistic")
    for day, _ in result.statistics:
        statistics.add_column(str(day), justify="right")
    for name in result.statistics[0][1]:
        cells = [metrics.get(name) for _, metrics in result.statistics]
        statistics.add_row(name, *("—" if cell is None else f"{cell:,.6g}" for cell in cells))
    console.print(statistics)

    stages = Table(title="Seconds per stage", title_justify="left", header_style="bold")
    stages.add_column("stage")
    stages.add_column("s", justify="right")
    for title, seconds in result.seconds.items():
        stages.add_row(title, f"{seconds:.1f}")
    stages.add_row("total", f"{sum(result.seconds.values()):.1f}", style="bold")
    console.print(stages)

    for report in result.reports:
        console.print(f"report: {report}", highlight=False, soft_wrap=True)
    console.print("see it in the Dagster UI: uv run dagster dev", highlight=False)
