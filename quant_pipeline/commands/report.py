"""`quant report` and `quant export`: make pages, find them, and take the numbers elsewhere."""

from __future__ import annotations

import datetime as dt
import json
import sys
import time
import webbrowser
from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quant_pipeline import settings as settings_module
from quant_pipeline.commands.console import console, messages
from quant_pipeline.settings import Pair, Settings, Timeframe

if TYPE_CHECKING:
    import duckdb

    from reports.publishing import Published

_PAST_LIQUIDITY = (
    "trade_sizes_1h",
    "trade_durations_1h",
    "order_flow",
    "volume_profile_1h",
    "volume_profile_1d",
    "value_areas",
    "illiquidity_1d",
)
"""Models that a page reads besides those that `as_of` makes."""
_SCHEDULED_DAYS = 1
"""UTC dates in the window of the universe scan that the schedule makes."""
_EXPORTABLE = ("bars", "liquidity", "analytics")


class ExportFormat(StrEnum):
    """What a table is written as."""

    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"


PairArgument = Annotated[str, typer.Argument(metavar="PAIR", help="Pair, as BTCUSDT/ETHUSDT")]
DateOption = Annotated[
    str | None, typer.Option("--date", help="UTC date, as 2024-08-08; unset: the latest with bars.")
]
TimeframeOption = Annotated[
    str | None, typer.Option("--timeframe", help="Bar size; unset: the settings' pair_timeframe.")
]
OpenOption = Annotated[bool, typer.Option("--open", help="Open the page in a browser.")]

SnapshotOption = Annotated[
    int | None,
    typer.Option(
        "--snapshot",
        help="Make it from the ticks as of this lake snapshot, as a page of its own; needs --date.",
    ),
]

app = typer.Typer(help="Report pages: make, list, watch.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    """Add this module's commands to `root`."""
    root.add_typer(app, name="report")
    root.command()(export)


@app.command()
def pair(
    pair: PairArgument,
    date: DateOption = None,
    timeframe: TimeframeOption = None,
    snapshot: SnapshotOption = None,
    open_page: OpenOption = False,
) -> None:
    """Make the report of a pair for a UTC date.

    Example: quant report pair BTCUSDT/ETHUSDT --date 2024-08-08 --open
    """
    settings = settings_module.get()
    legs, day = Pair.parse(pair), _date(date)
    if snapshot is not None:
        if day is None:
            raise ValueError(f"--snapshot {snapshot} needs --date: which date it is about")
        _made(lambda: _past_pair_report(settings, legs, day, timeframe, snapshot), open_page)
        return
    _made(lambda: _pair_report(settings, legs, day, timeframe), open_page)


@app.command()
def symbol(
    symbol: Annotated[str, typer.Argument(help="Symbol, as BTCUSDT")],
    date: DateOption = None,
    timeframe: TimeframeOption = None,
    open_page: OpenOption = False,
) -> None:
    """Make the report of a symbol for a UTC date.

    Example: quant report symbol BTCUSDT --date 2024-08-08
    """
    settings = settings_module.get()
    checked = settings_module.check_symbol(symbol)
    _made(lambda: _symbol_report(settings, checked, _date(date), timeframe), open_page)


@app.command()
def universe(
    date: DateOption = None,
    days: Annotated[int, typer.Option(min=1, help="UTC dates in the window.")] = _SCHEDULED_DAYS,
    timeframe: Annotated[
        str | None,
        typer.Option("--timeframe", help="Bar size; unset: the settings' snapshot_timeframe."),
    ] = None,
    open_page: OpenOption = False,
) -> None:
    """Scan every pair of the captured symbols, keep the q-values and make the report.

    With --days or --timeframe of your own the page has a place of its own, and the q-values that
    pair pages show stay those of the scheduled scan.

    Example: quant report universe --days 30 --timeframe 5m
    """
    settings = settings_module.get()
    size = timeframe or settings.snapshot_timeframe
    _made(lambda: _universe_report(settings, _date(date), days, size), open_page)


@app.command()
def quality(date: DateOption = None, open_page: OpenOption = False) -> None:
    """Make the report on a UTC date's capture.

    Example: quant report quality --date 2024-08-08
    """
    settings = settings_module.get()
    _made(lambda: _quality_report(settings, _date(date)), open_page)


@app.command()
def snapshots(pair: PairArgument, open_page: OpenOption = False) -> None:
    """Make the history of a pair's scheduled snapshots.

    Example: quant report snapshots BTCUSDT/ETHUSDT
    """
    settings = settings_module.get()
    legs = Pair.parse(pair)
    _made(lambda: _snapshots_report(settings, legs), open_page)


@app.command(name="list")
def list_pages(
    matching: Annotated[str, typer.Argument(help="Only pages that contain this text")] = "",
) -> None:
    """List the published pages, newest date first.

    Example: quant report list BTCUSDT
    """
    import reports

    settings = settings_module.get()
    found = 0
    for item in reports.published(settings):
        line = f"{item.summary.date}  {item.kind:<9}  {item.subject:<20}  {item.summary.headline}"
        if matching.lower() in line.lower():
            found += 1
            console.print(line, highlight=False, soft_wrap=True)
    if not found:
        messages.print("no report matches" if matching else "no reports yet", highlight=False)
    else:
        messages.print(f"{settings.reports_dir / 'index.html'}", highlight=False, soft_wrap=True)


@app.command()
def watch(
    pair: PairArgument,
    timeframe: TimeframeOption = None,
    every: Annotated[
        float, typer.Option(min=1, help="Least seconds between two looks at the lake.")
    ] = 10.0,
) -> None:
    """Make the report of a pair's latest date again whenever new trades land; Ctrl-C ends it.

    Example: quant report watch BTCUSDT/ETHUSDT --every 30
    """
    settings = settings_module.get()
    legs = Pair.parse(pair)
    try:
        for made in follow(settings, legs, timeframe, wait=lambda: time.sleep(every)):
            messages.print(
                f"snapshot {made.summary.snapshot}: {made.summary.headline} ({made.html})",
                highlight=False,
                soft_wrap=True,
            )
    except KeyboardInterrupt:
        messages.print("stopped")


def follow(
    settings: Settings, legs: Pair, timeframe: str | None, *, wait: Callable[[], object]
) -> Iterator[Published]:
    """The pair's report of its latest date, made at once and after each commit of new trades.

    Args:
        wait: called between two looks at the lake.
    """
    from quant_pipeline import lake

    seen: int | None = None
    dsn = lake.ensure(settings)
    while True:
        newest = lake.newest_commit(dsn, "raw", "ticks")
        if newest != seen:
            yield _pair_report(settings, legs, None, timeframe)
            seen = newest
        wait()


def export(
    table: Annotated[
        str, typer.Argument(help="Table, as analytics.pair_snapshots or bars.ohlc_1m")
    ],
    output: Annotated[
        ExportFormat | None,
        typer.Option("--format", help="Unset: by the file's ending, else CSV."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--to", help="File to write; unset: standard output.")
    ] = None,
    where: Annotated[str, typer.Option(help="SQL condition on the rows.")] = "true",
) -> None:
    """Write a table of bars, liquidity or analytics to CSV, Parquet or JSON.

    Example: quant export bars.ohlc_1m --where "symbol = 'BTCUSDT'" --to bars.parquet
    """
    from quant_pipeline import lake

    chosen = output or _format_of(file)
    if file is None and chosen is ExportFormat.PARQUET:
        raise ValueError("Parquet is not text; name a file with --to")
    with lake.connect(read_only=True) as connection:
        name = _known_table(connection, table)
        frame = connection.sql(f"select * from {name} where {where}").pl()
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    target = file or sys.stdout
    if chosen is ExportFormat.PARQUET:
        assert file is not None
        frame.write_parquet(file, compression="zstd")
    elif chosen is ExportFormat.JSON:
        _write_text(target, json.dumps(frame.to_dicts(), default=str, ensure_ascii=False) + "\n")
    else:
        _write_text(target, frame.write_csv())
    messages.print(f"{frame.height:,} rows of {table}", highlight=False)


# --- shared by the commands --------------------------------------------------------------------


def _pair_report(
    settings: Settings, legs: Pair, day: dt.date | None, timeframe: str | None
) -> Published:
    from quant_pipeline import lake
    from quant_pipeline.research import pair as research
    from quant_pipeline.research import reading
    from reports import pair as page

    size: Timeframe | str = timeframe or settings.pair_timeframe
    with lake.connect(read_only=True, settings=settings) as connection:
        date = day or reading.latest_day(
            connection, venue=settings.venue, symbols=list(legs), timeframe=size
        )
        bars = research.load(
            connection,
            venue=settings.venue,
            pair=legs,
            day=date,
            timeframe=size,
            liquidity_filter=settings.pair_liquidity_filter,
        )
    statistics = research.analyse(bars, window=settings.rolling_window)
    return page.publish(statistics, settings, parameters=_pair_parameters(settings, size))


def _past_pair_report(
    settings: Settings, legs: Pair, day: dt.date, timeframe: str | None, snapshot: int
) -> Published:
    """The report as it would have been made when the lake was at `snapshot`."""
    from quant_pipeline import lake
    from quant_pipeline.research import as_of, reading, scans
    from quant_pipeline.research import pair as research
    from quant_pipeline.resident_dbt import ResidentDbt
    from reports import pair as page

    size: Timeframe | str = timeframe or settings.pair_timeframe
    with lake.connect(read_only=True, settings=settings) as connection:
        newest = lake.current_snapshot(connection)
        if not 0 < snapshot <= newest:
            raise ValueError(f"--snapshot {snapshot} is not one of the lake's, 1 to {newest}")
        models = ResidentDbt(settings).compile(*as_of.MODELS, *_PAST_LIQUIDITY)
        where = reading.utc_day(settings.venue, day)
        with as_of.lake_as_of(
            connection,
            models,
            where,
            symbols=list(legs),
            moment=as_of.Moment(snapshot),
        ) as past:
            bars = research.load(
                past,
                venue=settings.venue,
                pair=legs,
                day=day,
                timeframe=size,
                liquidity_filter=settings.pair_liquidity_filter,
            )
        scan = scans.latest(connection, venue=settings.venue, pair=legs, snapshot=snapshot)
        # Gap records change as gaps are repaired: those of now are the only ones there are.
        gaps = reading.read_gaps(connection, where, symbols=list(legs))
    past_bars = replace(bars, scan=scan, gaps=gaps)
    statistics = research.analyse(past_bars, window=settings.rolling_window)
    parameters = {"snapshot": snapshot, **_pair_parameters(settings, size)}
    return page.publish(statistics, settings, parameters=parameters)


def _symbol_report(
    settings: Settings, name: str, day: dt.date | None, timeframe: str | None
) -> Published:
    from quant_pipeline import lake
    from quant_pipeline.research import reading
    from quant_pipeline.research import symbol as research
    from reports import symbol as page

    size = timeframe or settings.pair_timeframe
    with lake.connect(read_only=True, settings=settings) as connection:
        date = day or reading.latest_day(
            connection, venue=settings.venue, symbols=[name], timeframe=size
        )
        bars = research.load(
            connection, venue=settings.venue, symbol=name, day=date, timeframe=size
        )
    parameters = _pair_parameters(settings, size)
    return page.publish(research.analyse(bars), settings, parameters=parameters)


def _pair_parameters(settings: Settings, timeframe: str) -> dict[str, str]:
    """What of a pair's or a symbol's page is not as the settings say, by name."""
    return {"timeframe": timeframe} if timeframe != settings.pair_timeframe else {}


def _universe_report(
    settings: Settings, day: dt.date | None, days: int, timeframe: str
) -> Published:
    from quant_pipeline import lake
    from quant_pipeline.research import reading, scans
    from quant_pipeline.research import universe as research
    from reports import universe as page

    names = list(settings.symbols)
    with lake.connect(read_only=True, settings=settings) as connection:
        date = day or reading.latest_day(
            connection, venue=settings.venue, symbols=names, timeframe=timeframe
        )
        bars = research.load(
            connection,
            venue=settings.venue,
            symbols=names,
            day=date,
            days=days,
            timeframe=timeframe,
            liquidity_filter=settings.snapshot_liquidity_filter,
        )
    statistics = research.analyse(bars)
    parameters: dict[str, object] = {}
    if days != _SCHEDULED_DAYS:
        parameters["lookback_days"] = days
    if timeframe != settings.snapshot_timeframe:
        parameters["timeframe"] = timeframe
    if not parameters:
        now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        with lake.connect(settings=settings) as connection:
            scans.replace(connection, statistics, taken_at=now)
    return page.publish(statistics, settings, parameters=parameters)


def _quality_report(settings: Settings, day: dt.date | None) -> Published:
    from quant_pipeline import lake
    from quant_pipeline.research import quality as research
    from quant_pipeline.research import reading
    from reports import quality as page

    names = list(settings.symbols)
    with lake.connect(read_only=True, settings=settings) as connection:
        date = day or reading.latest_day(
            connection, venue=settings.venue, symbols=names[:1], timeframe="1s"
        )
        state = research.load(connection, venue=settings.venue, symbols=names, day=date)
    return page.publish(state, settings)


def _snapshots_report(settings: Settings, legs: Pair) -> Published:
    from quant_pipeline import lake
    from quant_pipeline.research import snapshots as research
    from reports import snapshots as page

    with lake.connect(read_only=True, settings=settings) as connection:
        history = research.load(connection, settings, legs)
    return page.publish(history, settings)


def _made(make: Callable[[], Published], open_page: bool) -> None:
    with messages.status("making the report"):
        made = make()
    console.print(made.summary.headline, highlight=False, soft_wrap=True)
    console.print(str(made.html), highlight=False, soft_wrap=True)
    if open_page and not webbrowser.open(made.html.as_uri()):
        messages.print("no browser could be started; open the file above by hand")


def _date(text: str | None) -> dt.date | None:
    if text is None:
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"date {text!r} is not a date as 2024-08-08") from error


def _known_table(connection: duckdb.DuckDBPyConnection, table: str) -> str:
    """The quoted name of an exportable table or view; raises ValueError naming those there are."""
    rows = connection.execute(
        "select table_schema || '.' || table_name from information_schema.tables"
        " where table_catalog = 'lake' and table_schema in (select unnest(?)) order by 1",
        [list(_EXPORTABLE)],
    ).fetchall()
    names = [row[0] for row in rows]
    if table not in names:
        there = ", ".join(names) if names else "none yet; run `dbt run` in dbt_project/"
        raise ValueError(f"table {table!r} cannot be exported; there are: {there}")
    schema, _, name = table.partition(".")
    return f'lake."{schema}"."{name}"'


def _format_of(file: Path | None) -> ExportFormat:
    ending = file.suffix.removeprefix(".").lower() if file else ""
    return ExportFormat(ending) if ending in set(ExportFormat) else ExportFormat.CSV


def _write_text(target: Path | object, text: str) -> None:
    if isinstance(target, Path):
        target.write_text(text, "utf-8")
    else:
        sys.stdout.write(text)
