"""Correlation of returns by horizon and by estimator."""

from __future__ import annotations

from quant_pipeline.research.horizons import Horizon
from quant_pipeline.research.outcome import Undefined
from quant_pipeline.research.pair import PairStatistics
from reports import formats
from reports.context import Context
from reports.page import Section, Unavailable
from reports.tables import Cell, Column, Row, Table

TITLE = "Correlation by horizon"


def build(statistics: PairStatistics, context: Context) -> Section:
    """The matrix of timeframes and estimators."""
    if statistics.bars.n == 0:
        raise Unavailable("The two legs have no bar in common on this date.")
    return Section(
        key="horizons",
        title=TITLE,
        lead=_lead(statistics.horizons),
        blocks=[_table(statistics.horizons)],
    )


def _lead(horizons: list[Horizon]) -> str:
    known = [each for each in horizons if isinstance(each.pearson, float)]
    if not known:
        return "The window is too short for a correlation at any of these horizons."
    parts = [
        f"{formats.number(_value(each.pearson))} over {formats.bar_size(each.timeframe)}"
        for each in known
    ]
    spoken = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    return f"Returns correlate {spoken}."


def _value(cell: float | Undefined) -> float | None:
    return None if isinstance(cell, Undefined) else cell


def _table(horizons: list[Horizon]) -> Table:
    rows: list[Row] = [
        {
            "stub": formats.bar_size(each.timeframe),
            "n": formats.count(each.n),
            "pearson": _cell(each.pearson),
            "interval": formats.interval(each.lower, each.upper),
            "spearman": _cell(each.spearman),
            "hayashi_yoshida": _cell(each.hayashi_yoshida),
        }
        for each in horizons
    ]
    return Table(
        key="correlation-horizons",
        caption="Correlation of returns, by horizon and estimator",
        note="Log returns of last-trade closes over the whole window. Where Spearman’s is much "
        "lower than Pearson’s, a few large moves make the correlation.",
        stub="Horizon",
        columns=[
            Column("n", "Returns"),
            Column("pearson", "Pearson"),
            Column(
                "interval", "95% interval", footnote="Fisher’s z, returns taken as independent."
            ),
            Column("spearman", "Spearman"),
            Column(
                "hayashi_yoshida",
                "Hayashi–Yoshida",
                footnote="Of trades thinned to the last of each interval, which removes bid–ask "
                "bounce; needs no common clock.",
            ),
        ],
        rows=rows,
    )


def _cell(value: float | Undefined) -> Cell:
    return value if isinstance(value, Undefined) else formats.number(value, 3)
