"""The history of a pair's scheduled statistics, regime changes marked."""

from __future__ import annotations

from dataclasses import dataclass
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
_FRAME = "snapshots"


@dataclass(frozen=True)
class _Panel:
    """One panel of the history: its series with their colours, and the interval drawn, if any."""

    title: str
    fields: tuple[str, ...]
    tokens: tuple[str, ...]
    interval: tuple[str, str] | None = None


_PANELS = (
    _Panel("Cointegration, Engle–Granger p-value", ("spread",), ("ink",)),
    _Panel("Unit root of each leg, ADF p-value", ("y", "x"), ("first", "second")),
    _Panel("Correlation of returns", ("correlation",), ("ink",), ("lower_95", "upper_95")),
)


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
    changes, nbsp = history.changes().height, "\u00a0"
    said = (
        "no change of regime"
        if not changes
        else formats.count_of(changes, "change of regime", "changes of regime")
    )
    taken = formats.count_of(history.taken, "snapshot").replace(" ", nbsp)
    return f"{y} and {x}: {said.replace(' ', nbsp, 1)} in {taken}"


def compose(history: SnapshotHistory, context: Context) -> Page:
    """The history before it is HTML."""
    parts = [
        ("history", "The relation over time", partial(_history, history)),
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
        "<b>{passing} of {n} snapshots</b> reject “no cointegration” at 5%; the latest has "
        "{p}. Consecutive windows share bars, so neighbouring snapshots are not independent "
        "evidence."
    ).format(passing=passing, n=spread.height, p=formats.p_equals(spread["pvalue"][-1]))


def _history(history: SnapshotHistory) -> Section:
    rows = _rows(history)
    known = [panel for panel in _PANELS if any(rows[name].count() for name in panel.fields)]
    if not known:
        raise page.Unavailable("No snapshot holds a defined test or correlation.")
    changes = history.changes()
    marked = changes["taken_at"].dt.epoch("ms").unique().sort().to_list()
    headline = _history_headline(history, rows)
    chart = Chart(
        key="history-stack",
        headline=headline,
        description=(
            f"Stacked time series over {rows.height} snapshots: "
            f"{'; '.join(panel.title for panel in known)}. {headline}. "
            f"{formats.count_of(len(marked), 'change').capitalize()} of regime marked."
        ),
        draw=lambda colours: charts.stack(
            [
                _panel(colours, panel, rows, marked, history, last=panel is known[-1])
                for panel in known
            ]
        ),
        frames={_FRAME: rows},
        note="Dashed: 5%; filled points are below it. Band: 95%, Fisher’s z, returns taken as "
        "independent." + (" Vertical lines: changes of regime, listed below." if marked else ""),
        time=TimeAxis(
            _FRAME,
            [
                CursorLine("Engle–Granger p", "spread", 3),
                CursorLine(f"ADF p, {history.pair.y}", "y", 3, colour="first"),
                CursorLine(f"ADF p, {history.pair.x}", "x", 3, colour="second"),
                CursorLine("Correlation", "correlation", 3),
                CursorLine("95% low", "lower_95", 3),
                CursorLine("95% high", "upper_95", 3),
            ],
            _window(rows),
        ),
    )
    return Section(key="history", title="The relation over time", blocks=[chart])


def _rows(history: SnapshotHistory) -> pl.DataFrame:
    """One row a snapshot: p-values of spread and legs, correlation with its interval."""
    names = {"spread": "spread", history.pair.y: "y", history.pair.x: "x"}
    tests = history.stationarity.filter(pl.col("series").is_in(list(names)))
    joined = history.correlation.select("taken_at", "correlation", "lower_95", "upper_95")
    for series, name in names.items():
        one = tests.filter(pl.col("series") == series).select("taken_at", pvalue="pvalue")
        joined = joined.join(one.rename({"pvalue": name}), on="taken_at", how="full", coalesce=True)
    return milliseconds(joined.sort("taken_at"), "taken_at")


def _history_headline(history: SnapshotHistory, rows: pl.DataFrame) -> str:
    smallest, last = rows["spread"].min(), rows["correlation"].drop_nulls()
    parts = []
    if isinstance(smallest, float):
        parts.append(f"the smallest Engle–Granger p is {formats.pvalue(smallest)}")
    if last.len():
        parts.append(f"the latest correlation of returns {formats.number(last[-1])}")
    said = ", ".join(parts) or f"{formats.count_of(rows.height, 'snapshot')}"
    return said[:1].upper() + said[1:]


def _window(rows: pl.DataFrame) -> tuple[int, int]:
    first, last = int(rows["t"][0]), int(rows["t"][-1])
    room = (last - first) // 60 or 1_800_000  # points are wider than a point in time
    return first - room, last + room


def _panel(
    colours: theme.Tokens,
    panel: _Panel,
    rows: pl.DataFrame,
    marked: list[int],
    history: SnapshotHistory,
    *,
    last: bool,
) -> charts.Drawing:
    """The series of one panel, regime changes as vertical lines through it."""
    x = charts.time_x(labels=last)
    low = rows["lower_95"].min()
    floor = min(0.0, float(low)) if panel.interval and isinstance(low, float) else 0.0

    def y(field: str) -> alt.Y:
        return charts.value_y(field, label_expr=charts.PLAIN, domain=[floor, 1.0], ticks=3)

    changes = charts.literal(*({"t": moment} for moment in marked))
    layers = [
        changes.mark_rule(color=colours["alert"], strokeWidth=1, strokeDash=[4, 3]).encode(x=x)
    ]
    if panel.interval:
        ink = colours["ink"]
        layers.append(charts.band(_FRAME, *panel.interval, ink, y=y("lower_95"), x=x, opacity=0.14))
    else:
        layers += charts.rules({"5%": LEVEL}, colours)
    labels = {"y": history.pair.y, "x": history.pair.x}
    ends = [rows[name].drop_nulls() for name in panel.fields]
    shifts = [0.0, 0.0]
    if len(ends) == 2 and all(end.len() for end in ends):
        shifts = list(charts.separation(float(ends[0][-1]), float(ends[1][-1]), near=0.15))
    for field, token, shift in zip(panel.fields, panel.tokens, shifts, strict=False):
        layers.append(charts.line(_FRAME, field, colours[token], y=y(field), x=x))
        layers.append(_points(colours, field, colours[token], x=x, y=y(field), panel=panel))
        if field in labels:
            layers.append(charts.end_label(field, labels[field], colours[token], shift=shift))
    dots = {field: colours[token] for field, token in zip(panel.fields, panel.tokens, strict=True)}
    return charts.panel([*layers, *charts.cursor(colours, dots)], panel.title, 120)


def _points(
    colours: theme.Tokens, field: str, colour: str, *, x: alt.X, y: alt.Y, panel: _Panel
) -> alt.Chart:
    below = "true" if panel.interval else f"datum.{field} < {LEVEL}"
    drawn: alt.Chart = (
        alt.Chart(alt.NamedData(_FRAME))
        .transform_filter(f"isValid(datum.{field})")
        .mark_point(filled=True, size=26, strokeWidth=1.3, opacity=1)
        .encode(
            x=x,
            y=y,
            stroke=alt.value(colour),
            fill=alt.condition(below, alt.value(colour), alt.value(colours["bg"])),
        )
    )
    return drawn


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
