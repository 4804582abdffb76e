"""What a reader must not miss: each alert is a rule, and says which."""

from __future__ import annotations

from markupsafe import Markup

from quant_pipeline.research.outcome import Undefined
from quant_pipeline.research.pair import PairStatistics
from quant_pipeline.research.verdict import LEVEL
from reports import formats
from reports.context import Context
from reports.page import Section, need

TITLE = "Alerts"

_STRAYED = 2.0
_FILLED = 0.2


def build(statistics: PairStatistics, context: Context) -> Section:
    """The rules that this page's numbers break, or that none does."""
    need(statistics.hedge.ols)
    found = alerts(statistics, context)
    if not found:
        return Section(
            key="alerts",
            title=TITLE,
            lead=f"No rule is broken. Watched: z beyond ±{_STRAYED:g}, a half-life longer than a "
            "quarter of the window, a change of correlation, stale bars, open gaps.",
        )
    items = Markup("").join(
        Markup("<li><b>{}</b> {}</li>").format(title, text) for title, text in found
    )
    return Section(
        key="alerts", title=TITLE, blocks=[Markup('<ul class="alerts">{}</ul>').format(items)]
    )


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
                f"{formats.number(test.correlation_after)} after, p {formats.pvalue(test.pvalue)}.",
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
