"""The history of a pair's scheduled statistics, regime changes marked."""

from __future__ import annotations

from functools import partial

import altair as alt
import polars as pl
from markupsafe import Markup

from quant_pipeline.research.snapshots import LEVEL, SnapshotHistory
from quant_pipeline.settings import Settings
from reports import charts, formats, page, publishing, theme
from reports.context import Context, from_settings
from reports.page import Chart, CursorLine, Page, Provenance, Section, TimeAxis, milliseconds
from reports.publishing import Published, Summary
from reports.tables import Column, Row, Table

KIND = "Scheduled snapshots"


def render(history: SnapshotHistory, context: Context) -> str:
    """The history as one HTML file; the same history and context give the same bytes."""
    return page.render(compose(history, context))


def publish(history: SnapshotHistory, settings: Settings) -> Published:
    """Render the history and put it where it is served from.

    Raises:
        ValueError: no snapshot was taken yet.
    """
    latest = history.latest
    if latest is None:
        raise ValueError(f"no snapshot of {history.pair} was taken yet; the schedule takes them")
    return publishing.publish(
        settings,
        kind="snapshots",
        subject=history.pair.key,
        html=render(history, from_settings(settings)),
        summary=Summary(
            title=f"{history.pair.y} / {history.pair.x}",
            date=latest.date(),
            headline=headline(history),
            finding="",
            snapshot=history.snapshot,
            metrics={"snapshots": history.taken, "changes": history.changes().height},
        ),
    )


def headline(history: SnapshotHistory) -> str:
    """What the history shows, in a line."""
    y, x = history.pair
    if not history.taken:
        return f"No snapshot of {y} and {x} was taken yet"
    changes = history.changes().height
    said = (
        "no change of regime"
        if not changes
        else formats.count_of(changes, "change of regime", "changes of regime")
    )
    return f"{y} and {x}: {said} in {formats.count_of(history.taken, 'snapshot')}"


def compose(history: SnapshotHistory, context: Context) -> Page:
    """The history before it is HTML."""
    parts = [
        ("tests", "Cointegration over time", partial(_tests, history)),
        ("correlation", "Correlation over time", partial(_correlation, history)),
        ("changes", "Changes of regime", partial(_changes, history)),
        ("latest", "The latest snapshot", partial(_latest, history)),
    ]
    latest = history.latest
    spread = history.spread
    return Page(
        kind=KIND,
        subject=f"{history.pair.y} / {history.pair.x}",
        date=formats.day(latest.date()) if latest else "",
        headline=headline(history),
        verdict=_verdict(history),
        facts=[
            ("Snapshots", formats.count(history.taken)),
            ("Latest, UTC", formats.moment(latest)),
            ("Venue, lake snapshot", f"{history.venue.capitalize()}, {history.snapshot}"),
        ],
        sections=[page.section_or_reason(*part) for part in parts],
        provenance=Provenance(
            history.snapshot,
            context.code_version,
            {**context.settings, "pair": str(history.pair)},
        ),
        source=f"Source: {history.venue.capitalize()} trades; lake.analytics.adf_snapshots and "
        "correlation_snapshots, each with the lake snapshot it was computed from.",
        downloads=page.table_files(
            spread, f"{history.pair.key}_cointegration", f"{spread.height} tests"
        )
        if spread.height
        else [],
    )


def _verdict(history: SnapshotHistory) -> Markup:
    spread = history.spread.drop_nulls("pvalue")
    if spread.is_empty():
        return Markup("<b>No verdict:</b> no snapshot holds a defined test of the spread.")
    passing = int((spread["pvalue"] < LEVEL).sum())
    return Markup(
        "<b>{passing} of {n} snapshots</b> reject no cointegration at 5%; the latest has p = {p}. "
        "Consecutive windows share bars, so neighbouring snapshots are not independent evidence."
    ).format(passing=passing, n=spread.height, p=formats.pvalue(spread["pvalue"][-1]))


def _tests(history: SnapshotHistory) -> Section:
    rows = milliseconds(
        history.spread.drop_nulls("pvalue").select("taken_at", "pvalue", "statistic"), "taken_at"
    )
    if rows.is_empty():
        raise page.Unavailable("No snapshot holds a defined test of the spread.")
    smallest = formats.pvalue(rows["pvalue"].min())  # type: ignore[arg-type]
    chart = Chart(
        key="tests-pvalues",
        headline=f"Engle–Granger p-value of each snapshot; the smallest is {smallest}",
        description=f"Engle–Granger p-values over {rows.height} snapshots; the smallest is "
        f"{smallest}.",
        draw=partial(_draw_series, "tests", "pvalue", None, {"5%": LEVEL}, [0.0, 1.0]),
        frames={"tests": rows},
        note="Filled: below 5%. Dashed: 5%.",
        time=TimeAxis(
            "tests",
            [CursorLine("p", "pvalue", 3), CursorLine("Statistic", "statistic", 2)],
            _window(rows),
        ),
    )
    return Section(key="tests", title="Cointegration over time", blocks=[chart])


def _correlation(history: SnapshotHistory) -> Section:
    rows = milliseconds(
        history.correlation.drop_nulls("correlation").select(
            "taken_at", "correlation", "lower_95", "upper_95"
        ),
        "taken_at",
    )
    if rows.is_empty():
        raise page.Unavailable("No snapshot holds a defined correlation.")
    last = formats.number(rows["correlation"][-1])
    lowest = rows["lower_95"].min()
    floor = min(0.0, float(lowest)) if isinstance(lowest, float) else 0.0
    chart = Chart(
        key="correlation-history",
        headline=f"Correlation of returns was {last} at the latest snapshot",
        description=f"Correlation of returns over {rows.height} snapshots with its 95% interval; "
        f"the latest is {last}.",
        draw=partial(
            _draw_series,
            "correlations",
            "correlation",
            ("lower_95", "upper_95"),
            {},
            [floor, 1.0],
        ),
        frames={"correlations": rows},
        note="Band: 95%, Fisher’s z, returns taken as independent.",
        time=TimeAxis(
            "correlations",
            [
                CursorLine("Correlation", "correlation", 3),
                CursorLine("95% low", "lower_95", 3),
                CursorLine("95% high", "upper_95", 3),
            ],
            _window(rows),
        ),
    )
    return Section(key="correlation", title="Correlation over time", blocks=[chart])


def _window(rows: pl.DataFrame) -> tuple[int, int]:
    first, last = int(rows["t"][0]), int(rows["t"][-1])
    return (first, last) if last > first else (first - 1_800_000, last + 1_800_000)


def _draw_series(
    frame: str,
    field: str,
    interval: tuple[str, str] | None,
    levels: dict[str, float],
    domain: list[float],
    colours: theme.Tokens,
) -> charts.Drawing:
    def y(name: str) -> alt.Y:
        return charts.value_y(name, label_expr=charts.PLAIN, domain=domain)

    x = charts.time_x(padding=8)
    data = alt.Chart(alt.NamedData(frame))
    below = f"datum.{field} < {LEVEL}" if levels else "true"
    points = data.mark_point(filled=True, size=34, strokeWidth=1.3, opacity=1).encode(
        x=x,
        y=y(field),
        stroke=alt.value(colours["first"]),
        fill=alt.condition(below, alt.value(colours["first"]), alt.value(colours["bg"])),
    )
    layers = [
        *(charts.rules(levels, colours) if levels else []),
        *(
            [charts.band(frame, *interval, colours["first"], y=y(interval[0]), x=x, opacity=0.16)]
            if interval
            else []
        ),
        charts.line(frame, field, colours["first"], y=y(field), x=x),
        points,
        *charts.cursor(colours, {field: colours["ink"]}),
    ]
    return alt.layer(*layers).properties(width=charts.FULL_WIDTH, height=170)


def _changes(history: SnapshotHistory) -> Section:
    changes = history.changes()
    if changes.is_empty():
        return Section(
            key="changes",
            title="Changes of regime",
            lead="No two consecutive snapshots fall on different sides.",
        )
    rows: list[Row] = [
        {
            "stub": formats.moment(row["taken_at"]),
            "what": row["what"],
            "before": formats.number(row["before"], 3),
            "after": formats.number(row["after"], 3),
        }
        for row in changes.iter_rows(named=True)
    ]
    table = Table(
        key="regime-changes",
        caption="Where consecutive snapshots disagree",
        note="A p-value that crosses 5%, or two correlations whose 95% intervals do not overlap.",
        stub="Taken, UTC",
        columns=[
            Column("what", "Change", align="left"),
            Column("before", "Before"),
            Column("after", "After"),
        ],
        rows=rows,
    )
    return Section(key="changes", title="Changes of regime", blocks=[table])


def _latest(history: SnapshotHistory) -> Section:
    latest = history.stationarity.filter(pl.col("taken_at") == pl.col("taken_at").max())
    if latest.is_empty():
        raise page.Unavailable("No snapshot was taken yet.")
    rows: list[Row] = [
        {
            "stub": "Spread (Engle–Granger)"
            if row["series"] == "spread"
            else f"log {row['series']}",
            "statistic": formats.number(row["statistic"]),
            "critical": formats.number(row["critical_5pct"]),
            "p": formats.pvalue(row["pvalue"]),
            "lags": formats.count(row["lags"]),
            "bars": formats.count(row["bars"]),
            "snapshot": formats.count(row["lake_snapshot"]),
        }
        for row in latest.iter_rows(named=True)
    ]
    table = Table(
        key="latest-tests",
        caption=f"Stationarity at {formats.moment(latest['taken_at'][0])}",
        note="Null of each: a unit root; for the spread: no cointegration.",
        stub="Series",
        columns=[
            Column("statistic", "Statistic"),
            Column("critical", "5% critical"),
            Column("p", "p"),
            Column("lags", "Lags"),
            Column("bars", "Bars"),
            Column("snapshot", "Lake snapshot"),
        ],
        rows=rows,
    )
    return Section(key="latest", title="The latest snapshot", blocks=[table])
