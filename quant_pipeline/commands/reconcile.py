"""`quant reconcile`: our bars against the exchange's klines."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from quant_pipeline import lake
from quant_pipeline import settings as settings_module
from quant_pipeline.commands.backfill import TIMES, rest_client
from quant_pipeline.commands.console import console, messages
from quant_pipeline.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quant_pipeline.reconcile import Reconciliation


def register(app: typer.Typer) -> None:
    """Add this module's command to `app`."""
    app.command()(reconcile)


def reconcile(
    symbol: Annotated[
        list[str] | None, typer.Option(help="Symbol, repeatable; default: the settings' symbols.")
    ] = None,
    timeframe: Annotated[
        list[str] | None, typer.Option(help="Bars, repeatable; default: the settings' timeframes.")
    ] = None,
    start: Annotated[
        datetime | None,
        typer.Option("--from", formats=TIMES, help="First bar (UTC); default: the last day."),
    ] = None,
    end: Annotated[
        datetime | None,
        typer.Option("--to", formats=TIMES, help="Bars before this (UTC); default: the newest."),
    ] = None,
    show: Annotated[int, typer.Option(help="Differences printed.")] = 20,
) -> None:
    """Compare our bars with the exchange's own klines, field by field.

    Exits 1 on a difference, and if there was nothing to compare.

    Without --from the first captured bar, without --to the newest one, is left out as partial.
    Results are kept in analytics.reconciliations and shown by `quant report quality`.

    Example: quant reconcile --symbol BTCUSDT --timeframe 1m
    """
    settings = settings_module.get()
    symbols = [settings_module.check_symbol(each) for each in symbol or settings.symbols]
    timeframes = timeframe or list(settings.timeframes)
    for each in timeframes:
        settings_module.timeframe_seconds(each)
    if start is not None and end is not None:
        _check_order(start, end)
    results, snapshot = asyncio.run(_reconcile(settings, symbols, timeframes, (start, end)))
    _record(settings, results, snapshot)
    _show_reconciliation(results, show)
    if any(result.differences for result in results):
        raise typer.Exit(1)


async def _reconcile(
    settings: Settings,
    symbols: Sequence[str],
    timeframes: Sequence[str],
    span: tuple[datetime | None, datetime | None],
) -> tuple[list[Reconciliation], int]:
    from quant_pipeline import reconcile as reconciling
    from streaming.venues import by_name

    results = []
    venue = by_name(settings.venue)
    with lake.connect(read_only=True, settings=settings) as connection:
        snapshot = lake.current_snapshot(connection)
        reconciling.check_bars_exist(connection, timeframes)
        async with rest_client(settings, venue) as client:
            await reconciling.check_symbols(client, venue, symbols)
            for symbol in symbols:
                for timeframe in timeframes:
                    wanted = _span(
                        span,
                        reconciling.captured_range(connection, settings.venue, symbol, timeframe),
                    )
                    if wanted is None:
                        messages.print(f"note: {symbol} {timeframe}: fewer than three bars")
                        continue
                    result = await reconciling.reconcile(
                        client, connection, settings.venue, symbol, timeframe, wanted
                    )
                    if result.bars:
                        results.append(result)
                    else:
                        where = f"{symbol} {timeframe}, {wanted[0]} to {wanted[1]}"
                        messages.print(f"note: {where}: no bars on either side", highlight=False)
    if not results:
        raise reconciling.ReconcileError(
            "nothing was compared: fill the range with `quant backfill` and `quant bars`, or "
            "choose one that has bars with --symbol, --timeframe, --from and --to"
        )
    return results, snapshot


def _record(settings: Settings, results: Sequence[Reconciliation], snapshot: int) -> None:
    from quant_pipeline import reconcile as reconciling

    now = datetime.now(UTC).replace(tzinfo=None)
    with lake.connect(settings=settings) as connection:
        reconciling.record(connection, settings.venue, results, taken_at=now, snapshot=snapshot)


def _show_reconciliation(results: Sequence[Reconciliation], show: int) -> None:
    summary = Table(header_style="bold")
    for column in ("symbol", "bars", "from", "to"):
        summary.add_column(column)
    for column in ("compared", "differences"):
        summary.add_column(column, justify="right")
    for each in results:
        summary.add_row(
            *(each.symbol, each.timeframe, str(each.start), str(each.end)),
            *(f"{each.bars:,}", f"{len(each.differences):,}"),
        )
        if each.differences and each.unrepaired:
            messages.print(
                f"note: {each.unrepaired:,} trades of {each.symbol} are known to be missing: "
                "`quant backfill` fetches them",
                highlight=False,
            )
    console.print(summary)
    found = [difference for each in results for difference in each.differences]
    if not found:
        return
    table = Table(header_style="bold", title=f"first {min(show, len(found))} of {len(found)}")
    for column in ("symbol", "bars", "bucket", "field", "ours", "theirs"):
        table.add_column(column)
    for difference in found[:show]:
        sides = [
            "no bar" if value is None else f"{value:.12g}"
            for value in (difference.ours, difference.theirs)
        ]
        table.add_row(
            *(difference.symbol, difference.timeframe, str(difference.bucket), difference.field),
            *sides,
        )
    console.print(table)


def _span(
    wanted: tuple[datetime | None, datetime | None], captured: tuple[datetime, datetime] | None
) -> tuple[datetime, datetime] | None:
    """The range asked for, its open ends taken from what was captured; None: nothing was."""
    start, end = wanted
    if start is not None and end is not None:
        return start, end
    if captured is None:
        return None
    start, end = start or captured[0], end or captured[1]
    _check_order(start, end)
    return start, end


def _check_order(start: datetime, end: datetime) -> None:
    if end <= start:
        raise ValueError(
            f"--to {end} is not after --from {start}: --from is the first bar, and bars before "
            "--to are compared"
        )
