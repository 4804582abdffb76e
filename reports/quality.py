"""The data-quality report: whether a date's capture can be trusted."""

from __future__ import annotations

import datetime as dt
from functools import partial

import polars as pl
from markupsafe import Markup

from quant_pipeline.research.outcome import Undefined
from quant_pipeline.research.quality import CaptureQuality
from quant_pipeline.settings import TIMEFRAME_SECONDS, Settings
from reports import formats, page, publishing
from reports.context import Context, from_settings
from reports.page import Page, Provenance, Section
from reports.publishing import Published, Summary
from reports.sections import alerts
from reports.tables import Cell, Column, Row, Table

KIND = "Data quality"
SUBJECT = "capture"
_BAR_ORDER = dict(TIMEFRAME_SECONDS)
RECONCILIATION = "Compared with the exchange’s own bars"


def render(quality: CaptureQuality, context: Context) -> str:
    """The report as one HTML file; the same state and context give the same bytes."""
    return page.render(compose(quality, context))


def publish(quality: CaptureQuality, settings: Settings) -> Published:
    """Render the report and put it where it is served from."""
    return publishing.publish(
        settings,
        kind="quality",
        subject=SUBJECT,
        html=render(quality, from_settings(settings)),
        summary=Summary(
            title="Capture",
            date=quality.day,
            headline=headline(quality),
            finding="complete" if quality.missing == 0 else "incomplete",
            snapshot=quality.snapshot,
            metrics=quality.metrics(),
        ),
    )


def headline(quality: CaptureQuality) -> str:
    """Whether the date is complete, in a line."""
    if quality.ticks.is_empty():
        return "Nothing was captured on this date"
    if quality.missing == 0:
        return "Every trade between the first and the last captured one is in the lake"
    return (
        f"{formats.count_of(quality.missing, 'trade')} between the first and the last captured one "
        f"{'is' if quality.missing == 1 else 'are'} missing"
    )


def compose(quality: CaptureQuality, context: Context) -> Page:
    """The report before it is HTML."""
    trades = int(quality.ticks["trades"].sum())
    parts = [
        ("ticks", "Trades, by symbol", partial(_ticks, quality)),
        ("gaps", "Gaps and their fate", partial(_gaps, quality)),
        ("sessions", "Capture sessions", partial(_sessions, quality)),
        ("revisions", "Revised bars", partial(_revisions, quality)),
        ("reconciliation", RECONCILIATION, partial(_reconciliation, quality)),
        ("alerts", "Alerts", partial(_alerts, quality)),
    ]
    return Page(
        kind=KIND,
        subject=quality.venue.capitalize(),
        date=formats.day(quality.day),
        headline=headline(quality),
        verdict=_verdict(quality),
        facts=[
            ("Trades", formats.count(trades)),
            ("Missing trade ids", formats.count(quality.missing)),
            ("Gaps detected, still open", f"{quality.gaps.height}, {quality.open_gaps}"),
            ("Capture sessions", formats.count(quality.sessions.height)),
            ("Symbols", formats.count(quality.ticks.height)),
            ("Lake snapshot", formats.count(quality.snapshot)),
        ],
        sections=[page.section_or_reason(*part) for part in parts],
        provenance=Provenance(quality.snapshot, context.code_version, context.settings),
        source=f"Source: {quality.venue.capitalize()} trades; lake.raw.ticks, capture_sessions and "
        "capture_gaps.",
        downloads=page.table_files(
            quality.ticks, f"capture_{quality.day:%Y-%m-%d}", f"{quality.ticks.height} symbols"
        )
        if quality.ticks.height
        else [],
    )


def _verdict(quality: CaptureQuality) -> Markup:
    if quality.ticks.is_empty():
        return Markup("<b>No data:</b> the lake holds no trades of this date.")
    slowest = quality.ticks.sort("delay_p99_ms", descending=True).row(0, named=True)
    silent = quality.ticks.sort("longest_silence_s", descending=True, nulls_last=True)
    label = "Complete" if quality.missing == 0 else "Incomplete"
    delay = (
        f"99% of the trades of the slowest symbol, {slowest['symbol']}, were received within "
        f"{formats.duration(slowest['delay_p99_ms'] / 1000)}"
        if slowest["delay_p99_ms"] > 0
        else "the receiving clock ran behind the exchange’s, so the delay cannot be read"
    )
    return Markup(
        "<b>{label}:</b> trade ids are consecutive per symbol, so what is missing can be counted. "
        "The longest silence was {silence}, of {quiet}; {delay}. Trades before the first and after "
        "the last captured one are not counted as missing."
    ).format(
        label=label,
        delay=delay,
        silence=formats.duration(silent["longest_silence_s"][0]),
        quiet=silent["symbol"][0],
    )


def _ticks(quality: CaptureQuality) -> Section:
    if quality.ticks.is_empty():
        raise page.Unavailable("The lake holds no trades of this date.")
    rows: list[Row] = [
        {
            "stub": row["symbol"],
            "trades": formats.count(row["trades"]),
            "missing": formats.count(row["missing"]),
            "holes": formats.count(row["venue_holes"]),
            "twice": formats.count(row["rows"] - row["trades"]),
            "first": formats.clock(row["first_ts"]),
            "last": formats.clock(row["last_ts"]),
            "silence": formats.duration(row["longest_silence_s"]),
            "delay": formats.number(row["delay_median_ms"], 0),
            "slow": formats.number(row["delay_p99_ms"], 0),
        }
        for row in quality.ticks.iter_rows(named=True)
    ]
    table = Table(
        key="captured-trades",
        caption="What was captured",
        note="Each trade id counted once. Delay is from the exchange’s trade time to reception, by "
        "two clocks.",
        stub="Symbol",
        columns=[
            Column("trades", "Trades"),
            Column("missing", "Missing ids"),
            Column(
                "holes",
                "Venue’s holes",
                footnote="Ids that the exchange’s own history skips: nothing is missing there.",
            ),
            Column(
                "twice",
                "Landed twice",
                footnote="Rows with an id already there: two writers may overlap; readers count "
                "each id once.",
            ),
            Column("first", "First, UTC"),
            Column("last", "Last, UTC"),
            Column("silence", "Longest silence"),
            Column("delay", "Median, ms", spanner="Delay"),
            Column("slow", "99%, ms", spanner="Delay"),
        ],
        rows=rows,
    )
    return Section(key="ticks", title="Trades, by symbol", blocks=[table])


def _gaps(quality: CaptureQuality) -> Section:
    if quality.gaps.is_empty():
        return Section(
            key="gaps", title="Gaps and their fate", lead="No gap was detected on this date."
        )
    rows: list[Row] = [
        {
            "stub": f"{row['symbol']} {row['first_id']}–{row['last_id']}",
            "ids": formats.count(row["last_id"] - row["first_id"] + 1),
            "cause": row["cause"],
            "status": row["status"].replace("_", " "),
            "detected": formats.clock(row["detected_at"]),
            "repaired": _fate(row["status"], row["repaired_at"]),
            "recovered": formats.count(row["trades_recovered"]),
        }
        for row in quality.gaps.head(200).iter_rows(named=True)
    ]
    table = Table(
        key="capture-gaps",
        caption=f"{formats.count_of(quality.gaps.height, 'gap').capitalize()} detected",
        note="A gap is repaired from the venue’s history; a venue hole is one that the venue has "
        "itself.",
        stub="Trade ids",
        columns=[
            Column("ids", "Ids"),
            Column("cause", "Cause", align="left"),
            Column("status", "Fate", align="left"),
            Column("detected", "Detected, UTC"),
            Column("repaired", "Repaired, UTC"),
            Column("recovered", "Recovered"),
        ],
        rows=rows,
    )
    return Section(key="gaps", title="Gaps and their fate", blocks=[table])


def _fate(status: str, repaired: object) -> Cell:
    if isinstance(repaired, dt.datetime):
        return formats.clock(repaired)
    return Undefined("Not repaired yet." if status == "open" else "There is nothing to repair.")


def _sessions(quality: CaptureQuality) -> Section:
    if quality.sessions.is_empty():
        return Section(
            key="sessions",
            title="Capture sessions",
            lead="No capture session is on record for this date: its trades were loaded from files "
            "or by a tool that keeps none.",
        )
    rows: list[Row] = [
        {
            "stub": formats.moment(row["connected_at"]),
            "until": _until(row["disconnected_at"], is_open=row["is_open"]),
            "reason": row["reason"] or "",
            "symbols": formats.count(row["symbols"]),
            "trades": formats.count(row["trades"]),
        }
        for row in quality.sessions.head(200).iter_rows(named=True)
    ]
    table = Table(
        key="capture-sessions",
        caption="Connections to the venue",
        stub="Connected, UTC",
        columns=[
            Column("until", "Until"),
            Column("reason", "Ended by", align="left"),
            Column("symbols", "Symbols"),
            Column("trades", "Trades"),
        ],
        rows=rows,
    )
    return Section(key="sessions", title="Capture sessions", blocks=[table])


def _until(disconnected: dt.datetime | None, *, is_open: bool) -> Cell:
    if disconnected is not None:
        return formats.moment(disconnected)
    return "connected" if is_open else Undefined("Its end is not on record.")


def _alerts(quality: CaptureQuality) -> Section:
    lead = "No alert was raised or open on this date." if quality.alerts.is_empty() else ""
    return Section("alerts", "Alerts", lead, alerts.history(quality.alerts))


def _revisions(quality: CaptureQuality) -> Section:
    if quality.revisions.is_empty():
        return Section(
            key="revisions", title="Revised bars", lead="No final bar of this date was revised."
        )
    rows: list[Row] = [
        {
            "group": row["symbol"],
            "stub": row["timeframe"],
            "revised": formats.count(row["revised"]),
            "latest": formats.moment(row["latest"]),
        }
        for row in quality.revisions.sort(pl.col("symbol"), pl.col("timeframe")).iter_rows(
            named=True
        )
    ]
    table = Table(
        key="revised-bars",
        caption="Final bars that late trades changed",
        stub="Bars",
        columns=[Column("revised", "Revised"), Column("latest", "Latest revision, UTC")],
        rows=rows,
    )
    return Section(key="revisions", title="Revised bars", blocks=[table])


def _reconciliation(quality: CaptureQuality) -> Section:
    found = quality.reconciliations
    if found.is_empty():
        return Section(
            key="reconciliation",
            title=RECONCILIATION,
            lead=Markup(
                "Never compared. <code>quant reconcile</code> fetches the exchange’s klines and "
                "compares every field of every bar."
            ),
        )
    differing = int((found["differences"] > 0).sum())
    lead = (
        f"No field of any bar differed at the last comparison of {found.height} series."
        if not differing
        else f"{differing} of {found.height} series differed at their last comparison."
    )
    rows: list[Row] = [
        {
            "group": row["symbol"],
            "stub": formats.bar_size(row["timeframe"]),
            "bars": formats.count(row["bars"]),
            "differences": formats.count(row["differences"]),
            "fields": row["fields"] or "none",
            "missing": formats.count(row["unrepaired"]),
            "from": formats.moment(row["window_start"]),
            "to": formats.moment(row["window_end"]),
            "taken": formats.moment(row["taken_at"]),
        }
        for row in found.with_columns(order=pl.col("timeframe").replace_strict(_BAR_ORDER))
        .sort("symbol", "order")
        .iter_rows(named=True)
    ]
    table = Table(
        key="reconciliations",
        caption="Last comparison of each series",
        note="Prices and counts must be equal; volumes up to what the nearest doubles differ.",
        stub="Bars of",
        columns=[
            Column("bars", "Compared"),
            Column("differences", "Differences"),
            Column("fields", "Fields", align="left"),
            Column(
                "missing",
                "Ids missing",
                footnote="Trade ids known to be missing when a difference was found.",
            ),
            Column("from", "From, UTC"),
            Column("to", "To, UTC"),
            Column("taken", "Compared at, UTC"),
        ],
        rows=rows,
    )
    return Section(key="reconciliation", title=RECONCILIATION, lead=lead, blocks=[table])
