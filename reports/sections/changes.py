"""What changed since the report before this one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from quant_pipeline.research.pair import PairStatistics
from reports import formats
from reports.context import Context
from reports.page import Section
from reports.tables import Column, Table

TITLE = "Since the previous report"


@dataclass(frozen=True)
class _Followed:
    metric: str
    name: str
    text: Callable[[float | None], str]


_FOLLOWED = (
    _Followed("engle_granger_pvalue", "Engle–Granger p", formats.pvalue),
    _Followed("hedge_ratio", "Hedge ratio, OLS", lambda v: formats.number(v, 3)),
    _Followed("half_life_s", "Half-life", formats.duration),
    _Followed("spread_sd_bps", "Spread deviation, bp", lambda v: formats.number(v, 1)),
    _Followed("correlation", "Correlation of returns", formats.number),
    _Followed("volatility_y", "Volatility, first leg", formats.percent),
    _Followed("volatility_x", "Volatility, second leg", formats.percent),
    _Followed("bars", "Bars used", lambda v: formats.count(None if v is None else int(v))),
)


def build(statistics: PairStatistics, context: Context) -> Section:
    """Headline numbers then and now."""
    previous = context.previous
    if previous is None:
        return Section(
            key="changes",
            title=TITLE,
            lead="There is no earlier report of this pair to compare with.",
        )
    now = statistics.metrics()
    finding = statistics.verdict.finding.value
    lead = (
        f"The finding was “{previous.finding}” on {formats.day(previous.date)} and is "
        f"“{finding}” now."
        if previous.finding != finding
        else f"The finding, “{finding}”, is the same as on {formats.day(previous.date)}."
    )
    table = Table(
        key="changes-table",
        caption="Headline numbers, then and now",
        note="A difference between two estimates is news only where it exceeds their intervals.",
        stub="Quantity",
        columns=[
            Column("then", formats.day(previous.date)),
            Column("now", formats.day(statistics.bars.day)),
        ],
        rows=[
            {
                "stub": item.name,
                "then": item.text(previous.metrics.get(item.metric)),
                "now": item.text(now.get(item.metric)),
            }
            for item in _FOLLOWED
        ],
    )
    return Section(key="changes", title=TITLE, lead=lead, blocks=[table])
