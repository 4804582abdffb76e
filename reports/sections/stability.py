"""Whether the relation held through the window, or only in parts of it."""

from __future__ import annotations

import altair as alt
import polars as pl

from quant_pipeline.research.outcome import Undefined
from quant_pipeline.research.pair import PairStatistics
from quant_pipeline.research.verdict import LEVEL
from reports import charts, formats
from reports.context import Context
from reports.page import Chart, Columns, Section, need
from reports.tables import Column, Row, Table
from reports.theme import Tokens

TITLE = "Did it hold throughout?"
_FRAME = "stability"


def build(statistics: PairStatistics, context: Context) -> Section:
    """Engle–Granger in equal stretches, and the test of a constant correlation."""
    stretches = need(statistics.stability)
    passing = int((stretches["pvalue"] < LEVEL).sum())
    lead = (
        f"{passing} of {stretches.height} equal stretches reject no cointegration at 5% by "
        f"themselves; with no relation at all, one in twenty would by chance. "
        f"{_breakdown(statistics)}"
    )
    return Section(
        key="stability",
        title=TITLE,
        lead=lead,
        blocks=[Columns([_chart(statistics, stretches), _table(statistics)])],
    )


def _breakdown(statistics: PairStatistics) -> str:
    test = statistics.breakdown
    if isinstance(test, Undefined):
        return ""
    if test.pvalue < LEVEL:
        at = statistics.bars.frame["bucket"][int(test.break_index or 0)]
        return (
            f"The correlation of returns changed ({formats.p_equals(test.pvalue)}), most visibly "
            f"at {formats.clock(at)}."
        )
    return f"No change in the correlation of returns was found ({formats.p_equals(test.pvalue)})."


def _chart(statistics: PairStatistics, stretches: pl.DataFrame) -> Chart:
    rows = stretches.select(
        ((pl.col("start").dt.epoch("ms") + pl.col("end").dt.epoch("ms")) / 2).alias("t"),
        "pvalue",
        "beta",
    ).filter(pl.col("pvalue").is_finite())
    smallest = formats.pvalue(rows["pvalue"].min())  # type: ignore[arg-type]
    length = formats.duration(
        (stretches["end"][0] - stretches["start"][0]).total_seconds() + statistics.bars.seconds
    )
    return Chart(
        key="stability-pvalues",
        headline=f"p-values by stretch: the smallest is {smallest}",
        description=(
            f"Engle–Granger p-value in each of {stretches.height} consecutive stretches of "
            f"{length}; the smallest is {smallest}."
        ),
        draw=_draw,
        frames={_FRAME: rows},
        note=(
            f"Engle–Granger, {statistics.bars.pair.y} on {statistics.bars.pair.x}, in stretches "
            f"of {length}. Filled: below 5%. Short stretches have little power."
        ),
        half=True,
    )


def _draw(colours: Tokens) -> charts.Drawing:
    data = alt.Chart(alt.NamedData(_FRAME))
    x = charts.time_x(padding=14)
    y = charts.value_y("pvalue", label_expr=charts.PLAIN, domain=[0, 1])
    tip = [
        alt.Tooltip("pvalue:Q", title="p", format=".3f"),
        alt.Tooltip("beta:Q", title="Slope", format=".3f"),
    ]
    passing = alt.condition(
        f"datum.pvalue < {LEVEL}", alt.value(colours["first"]), alt.value(colours["bg"])
    )
    edge = alt.condition(
        f"datum.pvalue < {LEVEL}", alt.value(colours["first"]), alt.value(colours["muted"])
    )
    return alt.layer(
        *charts.rules({"5%": LEVEL}, colours),
        data.mark_rule(color=colours["rule"]).encode(x=x, y=y, y2=alt.datum(0)),
        data.mark_point(filled=True, size=52, strokeWidth=1.4, opacity=1).encode(
            x=x, y=y, fill=passing, stroke=edge, tooltip=tip
        ),
    ).properties(width=charts.HALF_WIDTH, height=210)


def _table(statistics: PairStatistics) -> Table:
    test = statistics.breakdown
    rows: list[Row]
    if isinstance(test, Undefined):
        rows = [{"stub": "Statistic", "value": test}]
    else:
        rows = [
            {"stub": "Statistic", "value": formats.number(test.statistic)},
            {"stub": "5% critical", "value": formats.number(test.critical_values["5%"])},
            {"stub": "p", "value": formats.pvalue(test.pvalue)},
            {"stub": "Correlation before", "value": formats.number(test.correlation_before)},
            {"stub": "Correlation after", "value": formats.number(test.correlation_after)},
            {
                "stub": "Most likely break",
                "value": formats.clock(
                    statistics.bars.frame["bucket"][int(test.break_index)]
                    if test.break_index is not None
                    else None
                ),
            },
        ]
    return Table(
        key="breakdown",
        caption="Was the correlation of returns constant?",
        note="Null: it was. Fluctuation test of Wied, Krämer and Dehling (2012), robust to fat "
        "tails and changing volatility.",
        stub="Quantity",
        columns=[Column("value", "Value")],
        rows=rows,
        row_notes={
            "Most likely break": "Where the evidence is strongest; an estimate only if the null is "
            "rejected."
        },
    )
