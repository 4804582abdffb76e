"""What the page cannot say, and the state of the data it is made from."""

from __future__ import annotations

from markupsafe import Markup

from quant_pipeline.research.outcome import Undefined
from quant_pipeline.research.pair import PairStatistics
from reports import formats
from reports.context import Context
from reports.page import Section

TITLE = "Limits and data"


def build(statistics: PairStatistics, context: Context) -> Section:
    """Limits, each true of this very page."""
    items = _limits(statistics, context)
    block = Markup('<ul class="plain">{}</ul>').format(
        Markup("").join(Markup("<li>{}</li>").format(item) for item in items)
    )
    return Section(key="limits", title=TITLE, blocks=[block])


def _limits(statistics: PairStatistics, context: Context) -> list[str]:
    bars = statistics.bars
    if bars.n == 0:
        return ["Nothing was computed: the two legs have no bar in common on this date."]
    covered = bars.n * bars.seconds
    share = covered / (86_400 * bars.days)
    dates = "the date" if bars.days == 1 else f"its {bars.days} dates"
    items = [
        f"The window covers {formats.duration(covered)}, {formats.percent(share)} of {dates}. "
        "Nothing here extrapolates beyond it.",
        "Slopes, means and deviations are fitted on the window they describe, except where "
        "“trailing” is said.",
    ]
    carried = [
        f"{int(bars.frame[f'{leg}_filled'].sum()):,} of {bars.n:,} bars of {symbol}"
        for leg, symbol in (("y", bars.pair.y), ("x", bars.pair.x))
    ]
    items.append(
        f"{carried[0]} and {carried[1]} had no trade and repeat the last price; this lowers "
        "short-horizon correlation."
    )
    items.append(_gaps(statistics))
    if isinstance(bars.ticks, Undefined):
        items.append(f"Statistics that need single trades are missing. {bars.ticks.reason}")
    items.append(
        f"{_tests(statistics)} tests are reported at 5% each, without adjustment for their number."
    )
    if bars.provisional:
        items.append(
            f"{formats.count_of(bars.provisional, 'bar').capitalize()} of the two legs may still "
            f"change: trades that arrive after snapshot {bars.snapshot} are not in them."
        )
    else:
        items.append(f"Every bar was final at snapshot {bars.snapshot}.")
    return items


def _gaps(statistics: PairStatistics) -> str:
    gaps = statistics.bars.gaps
    if gaps.height == 0:
        return "No capture gap was detected on this date."
    counts = ", ".join(
        f"{row['len']} {row['status'].replace('_', ' ')}"
        for row in gaps.group_by("status").len().sort("status").iter_rows(named=True)
    )
    return f"{formats.count_of(gaps.height, 'capture gap').capitalize()} on this date: {counts}."


def _tests(statistics: PairStatistics) -> int:
    """Tests whose outcome the page states."""
    n = sum(
        2
        for leg in statistics.legs
        for both in (leg.level, leg.difference)
        if not isinstance(both, Undefined)
    )
    n += 0 if isinstance(statistics.engle_granger, Undefined) else 2
    n += 0 if isinstance(statistics.johansen, Undefined) else 4
    n += 0 if isinstance(statistics.spread_adf, Undefined) else 1
    n += 0 if isinstance(statistics.breakdown, Undefined) else 1
    n += 0 if isinstance(statistics.stability, Undefined) else statistics.stability.height
    return n
