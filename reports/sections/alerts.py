"""What a reader must not miss: the page's own rules, and the alerts on record."""

from __future__ import annotations

import polars as pl
from markupsafe import Markup

from quant_pipeline.research.outcome import Undefined
from quant_pipeline.research.pair import PairStatistics
from quant_pipeline.research.verdict import LEVEL
from reports import formats
from reports.context import Context
from reports.page import Section, need
from reports.tables import Column, Row, Table

TITLE = "Alerts"

_STRAYED = 2.0
_FILLED = 0.2
_SHOWN = 100


def build(statistics: PairStatistics, context: Context) -> Section:
    """The rules that this page's numbers break, or that none does."""
    need(statistics.hedge.ols)
    found = alerts(statistics, context)
    recorded = history(statistics.bars.alerts)
    if not found:
        return Section(
            key="alerts",
            title=TITLE,
            blocks=recorded,
            lead=f"No rule is broken. Watched: z beyond ±{_STRAYED:g}, a half-life longer than a "
            "quarter of the window, a change of correlation, stale bars, open gaps.",
        )
    items = Markup("").join(
        Markup("<li><b>{}</b> {}</li>").format(title, text) for title, text in found
    )
    listed = Markup('<ul class="alerts">{}</ul>').format(items)
    return Section(key="alerts", title=TITLE, blocks=[listed, *recorded])


def history(episodes: pl.DataFrame) -> list[Table]:
    """Alerts that were raised, as a table; nothing if none was.

    Args:
        episodes: see `quant_pipeline.research.reading.read_alerts`.
    """
    if episodes.is_empty():
        return []
    still_open = episodes["cleared_at"].null_count()
    rows: list[Row] = [
        {
            "stub": formats.moment(row["raised_at"]),
            "cleared": formats.moment(row["cleared_at"]) if row["cleared_at"] else "open",
            "severity": row["severity"],
            "rule": row["rule"].replace("_", " "),
            "what": row["message"],
        }
        for row in episodes.tail(_SHOWN).iter_rows(named=True)
    ]
    return [
        Table(
            key="alert-history",
            caption=f"{formats.count_of(episodes.height, 'alert').capitalize()} on record, "
            f"{still_open or 'none'} open",
            note="Raised and cleared by the rules in the settings, which have two levels each.",
            stub="Raised, UTC",
            columns=[
                Column("cleared", "Cleared, UTC"),
                Column("severity", "Severity", align="left"),
                Column("rule", "Rule", align="left"),
                Column("what", "What", align="left"),
            ],
            rows=rows,
        )
    ]


def alerts(statistics: PairStatistics, context: Context) -> list[tuple[str, str]]:
    """Title and explanation of every rule that is broken."""
    bars = statistics.bars
    found = []
    metrics = statistics.metrics()
    zscore = metrics["rolling_zscore"]
    if zscore is not None and abs(zscore) > _STRAYED:
        found.append(
            (
                f"The spread is {formats.number(zscore, 1, signed=True)} trailing standard "
                "deviations away.",
                f"Rule: beyond ±{_STRAYED:g} over the trailing {statistics.window} bars.",
            )
        )
    fit = statistics.half_life
    if not isinstance(fit, Undefined) and fit.half_life > bars.n / 4:
        found.append(
            (
                "The half-life is too long for the window.",
                f"{formats.duration(fit.half_life * bars.seconds)} in a window of "
                f"{formats.duration(bars.n * bars.seconds)}. Rule: more than a quarter of it.",
            )
        )
    test = statistics.breakdown
    if not isinstance(test, Undefined) and test.pvalue < LEVEL:
        found.append(
            (
                "The correlation of returns changed within the window.",
                f"{formats.number(test.correlation_before)} before, "
                f"{formats.number(test.correlation_after)} after, {formats.p_equals(test.pvalue)}.",
            )
        )
    for leg, symbol in (("y", bars.pair.y), ("x", bars.pair.x)):
        share = bars.filled_share(leg)
        if share is not None and share > _FILLED:
            found.append(
                (
                    f"{symbol} is stale in {formats.percent(share, 0)} of the bars.",
                    f"Rule: more than {formats.percent(_FILLED, 0)} carried forward; use longer "
                    "bars.",
                )
            )
    unrepaired = 0 if bars.gaps.is_empty() else int((bars.gaps["status"] == "open").sum())
    if unrepaired:
        found.append(
            (
                f"{formats.count_of(unrepaired, 'capture gap').capitalize()} not repaired.",
                "Trades are missing from these bars.",
            )
        )
    return found
