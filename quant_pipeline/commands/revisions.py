"""`quant revisions`: which published bars late trades have changed."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated

import duckdb
import typer
from rich.table import Table

from quant_pipeline.commands.console import console, messages
from quant_pipeline.commands.lake import OutputFormat
from quant_pipeline.settings import check_symbol, timeframe_seconds

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SELECTED = """
    select timeframe, venue, symbol, bucket, revised_at, src_snapshot,
           old_open, new_open, old_high, new_high, old_low, new_low, old_close, new_close,
           old_volume, new_volume, old_trade_count, new_trade_count
    from bars.ohlc_revisions
    where revised_at >= $since
      and ($symbol is null or symbol = $symbol)
      and ($timeframe is null or timeframe = $timeframe)
    order by revised_at, timeframe, venue, symbol, bucket
"""
_SHOWN = ("open", "high", "low", "close", "volume", "trade_count")


def register(app: typer.Typer) -> None:
    """Add this module's command to `app`."""
    app.command()(revisions)


def revisions(
    since: Annotated[
        str, typer.Option(help="UTC time (2024-08-09T12:00), or an age: 90s, 30m, 24h, 7d.")
    ],
    symbol: Annotated[str | None, typer.Option(help="Only this symbol.")] = None,
    timeframe: Annotated[str | None, typer.Option(help="Only these bars: 1s, 1m, 5m, 1h.")] = None,
    output: Annotated[
        OutputFormat, typer.Option("--format", help="How rows are printed.")
    ] = OutputFormat.TABLE,
) -> None:
    """List the final bars that late trades have changed: what was published, what holds now.

    Example: quant revisions --since 24h --symbol BTCUSDT
    """
    from quant_pipeline import lake

    if timeframe is not None:
        timeframe_seconds(timeframe)  # or it does not exist
    values = {
        "since": parse_since(since, datetime.now(UTC)),
        "symbol": None if symbol is None else check_symbol(symbol),
        "timeframe": timeframe,
    }
    with lake.connect(read_only=True) as connection:
        try:
            rows = connection.execute(_SELECTED, values).pl()
        except duckdb.CatalogException as error:
            raise RuntimeError(
                "bars.ohlc_revisions does not exist yet: run `quant bars` first"
            ) from error
    if output is OutputFormat.CSV:
        sys.stdout.write(rows.write_csv())
    elif output is OutputFormat.JSON:
        sys.stdout.write(rows.write_json() + "\n")
    else:
        console.print(_table(rows.to_dicts()))
        messages.print(f"{rows.height} revisions since {values['since']} UTC", highlight=False)


def parse_since(text: str, now: datetime) -> datetime:
    """The UTC time that `text` names, without a zone: an ISO time, or an age counted from `now`.

    Raises:
        ValueError: it is neither, or lies before all time.
    """
    try:
        return _moment(text, now)
    except OverflowError as error:
        raise ValueError(
            f"--since {text!r} is before the year 1; choose a shorter age, as 24h or 7d"
        ) from error


def _moment(text: str, now: datetime) -> datetime:
    age = re.fullmatch(r"(\d+)([smhd])", text)
    if age:
        moment = now - timedelta(**{_UNITS[age[2]]: int(age[1])})
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise ValueError(
                f"--since {text!r} is neither a time, as in 2024-08-09T12:00, nor an age, as in 24h"
            ) from error
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment


def _table(rows: list[dict[str, object]]) -> Table:
    table = Table(header_style="bold")
    for column in ("bars", "symbol", "bucket (UTC)", "revised at (UTC)", "published → now"):
        table.add_column(column, no_wrap=column != "published → now")
    for row in rows:
        changes = ", ".join(
            f"{name} {'none' if row[f'old_{name}'] is None else row[f'old_{name}']}"
            f" → {row[f'new_{name}']}"
            for name in _SHOWN
            if row[f"old_{name}"] != row[f"new_{name}"]
        )
        table.add_row(
            str(row["timeframe"]),
            str(row["symbol"]),
            f"{row['bucket']:%Y-%m-%d %H:%M:%S}",
            f"{row['revised_at']:%Y-%m-%d %H:%M:%S}",
            changes,
        )
    return table
