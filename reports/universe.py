"""The universe report: every pair of many symbols, scanned and ranked."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import altair as alt
import polars as pl
from markupsafe import Markup

from quant_pipeline.research.outcome import Undefined
from quant_pipeline.research.universe import UniverseStatistics
from quant_pipeline.settings import Settings, timeframe_seconds
from reports import charts, formats, page, publishing, tables, theme
from reports.context import Context, from_settings
from reports.page import Chart, Page, Provenance, Section, need
from reports.publishing import Published, Summary
from reports.tables import Column, Row, Table

KIND = "Universe report"
SUBJECT = "all"

_SHOWN_PAIRS = 25
_FALSE_DISCOVERY = 0.05
_READABLE_CELL = 16  # pixels of height from which a number fits a cell of the matrix


def render(statistics: UniverseStatistics, context: Context) -> str:
    """The report as one HTML file; the same statistics and context give the same bytes."""
    return page.render(compose(statistics, context))


def publish(
    statistics: UniverseStatistics,
    settings: Settings,
    *,
    parameters: Mapping[str, object] | None = None,
) -> Published:
    """Render the report and put it where it is served from.

    Args:
        parameters: those that are not the settings', by name; see `publishing.place`.
    """
    bars = statistics.bars
    subject, title = publishing.place(
        SUBJECT, f"Universe of {len(bars.symbols)} symbols", parameters
    )
    return publishing.publish(
        settings,
        kind="universe",
        subject=subject,
        html=render(statistics, from_settings(settings, parameters=parameters)),
        preview=preview(statistics),
        summary=Summary(
            title=title,
            date=bars.day,
            headline=headline(statistics),
            finding="",
            snapshot=bars.snapshot,
            metrics=statistics.metrics(),
        ),
    )


def preview(statistics: UniverseStatistics, mode: theme.Mode = "light") -> str | None:
    """The correlation matrix as a still SVG, or None where it is undefined."""
    if isinstance(statistics.correlation, Undefined):
        return None
    return page.still(_matrix(statistics), headline(statistics), mode)


def headline(statistics: UniverseStatistics) -> str:
    """What the scan found, in a line."""
    if isinstance(statistics.scan, Undefined):
        return "There is no universe to scan in this window"
    found = statistics.found(_FALSE_DISCOVERY)
    pairs = found.select(pl.concat_list(pl.min_horizontal("y", "x"), pl.max_horizontal("y", "x")))
    n = pairs.n_unique() if found.height else 0
    total = len(statistics.bars.symbols) * (len(statistics.bars.symbols) - 1) // 2
    return (
        f"{'No pair' if n == 0 else formats.count_of(n, 'pair')} of {total:,} "
        f"{'stands' if n <= 1 else 'stand'} out once all tests are counted"
    )


def compose(statistics: UniverseStatistics, context: Context) -> Page:
    """The report before it is HTML."""
    bars = statistics.bars
    parts = [
        ("scan", "Pairs, ranked", partial(_scan, statistics)),
        ("correlation", "How the symbols move together", partial(_correlation, statistics)),
        ("movers", "Liquidity and movers", partial(_movers, statistics)),
        ("limits", "Limits", partial(_limits, statistics)),
    ]
    closes = bars.closes
    window = (
        f"{formats.moment(closes['bucket'][0])} to {formats.moment(closes['bucket'][-1])}"
        if closes.height
        else "no bars"
    )
    return Page(
        kind=KIND,
        subject=f"{len(bars.symbols)} symbols",
        date=formats.day(bars.day),
        headline=headline(statistics),
        verdict=_verdict(statistics),
        facts=[
            *context.facts,
            ("Window, UTC", window),
            ("Bars used", f"{closes.height:,} of {formats.bar_size(bars.timeframe)}"),
            ("Symbols", formats.count(len(bars.symbols))),
            ("Tests made", formats.count(statistics.tested)),
            ("False-discovery rate", formats.percent(_FALSE_DISCOVERY, 0)),
            ("Venue, lake snapshot", f"{bars.venue.capitalize()}, {bars.snapshot}"),
        ],
        sections=[page.section_or_reason(*part) for part in parts],
        provenance=Provenance(
            bars.snapshot,
            context.code_version,
            {
                **context.settings,
                "symbols": ", ".join(bars.symbols),
                "timeframe": bars.timeframe,
                "days": bars.days,
            },
        ),
        source=f"Source: {bars.venue.capitalize()} trades, exchange trade time.",
        downloads=page.table_files(
            statistics.scan, f"scan_{bars.day:%Y-%m-%d}", f"{statistics.scan.height:,} pairs"
        )
        if not isinstance(statistics.scan, Undefined)
        else [],
    )


def _verdict(statistics: UniverseStatistics) -> Markup:
    scan = statistics.scan
    if isinstance(scan, Undefined):
        return Markup("<b>No verdict:</b> {}").format(scan.reason)
    nominal = int((scan["pvalue"] < 0.05).sum())
    found = statistics.found().height
    return Markup(
        "<b>{found}</b> At p &lt; 5%, {nominal} of {tests} tests would look significant, and about "
        "{chance} would if nothing were related. The q-values count all of them."
    ).format(
        found=f"{formats.count_of(found, 'test').capitalize()} with q below 5%, "
        "by Benjamini and Yekutieli.",
        nominal=formats.count(nominal),
        tests=formats.count(statistics.tested),
        chance=formats.count(round(0.05 * statistics.tested)),
    )


def _scan(statistics: UniverseStatistics) -> Section:
    scan = need(statistics.scan)
    seconds = timeframe_seconds(statistics.bars.timeframe)
    tested = scan.filter(pl.col("pvalue").is_not_null())
    rows: list[Row] = []
    for rank, row in enumerate(tested.head(_SHOWN_PAIRS).iter_rows(named=True), start=1):
        rows.append(
            {
                "stub": f"{row['y']} on {row['x']}",
                "rank": str(rank),
                "q": formats.pvalue(row["qvalue"]),
                "q_by": formats.pvalue(row["qvalue_by"]),
                "p": formats.pvalue(row["pvalue"]),
                "statistic": formats.number(row["statistic"]),
                "beta": formats.number(row["beta"], 3),
                "half_life": Undefined("The residuals do not revert.")
                if row["half_life"] is None
                else formats.duration(row["half_life"] * seconds),
                "correlation": formats.number(row["correlation"]),
            }
        )
    skipped = scan.filter(pl.col("pvalue").is_null()).group_by("status").len().sort("status")
    left_out = ", ".join(f"{n:,} {status}" for status, n in skipped.iter_rows())
    table = Table(
        key="ranked-pairs",
        caption=f"The {len(rows)} strongest of {tested.height:,} ordered pairs",
        note="Engle–Granger on log prices, constant, AIC lags, both directions."
        + (f" Not tested: {left_out}." if left_out else ""),
        stub="Pair",
        columns=[
            Column("rank", "Rank"),
            Column("q", "q", footnote="Benjamini–Hochberg (1995) over all tests of this page."),
            Column(
                "q_by",
                "q, any dependence",
                footnote="Benjamini–Yekutieli (2001): holds however the tests depend.",
            ),
            Column("p", "p, unadjusted"),
            Column("statistic", "Statistic"),
            Column("beta", "Slope"),
            Column("half_life", "Half-life"),
            Column("correlation", "Correlation of returns"),
        ],
        rows=rows,
    )
    lead = (
        "Pairs share symbols, so the tests are not independent; the second q-value allows for "
        "any dependence and is the cautious one."
    )
    return Section(key="scan", title="Pairs, ranked", lead=lead, blocks=[table])


def _correlation(statistics: UniverseStatistics) -> Section:
    need(statistics.correlation)
    return Section(
        key="correlation", title="How the symbols move together", blocks=[_matrix(statistics)]
    )


def _matrix(statistics: UniverseStatistics) -> Chart:
    fit = need(statistics.correlation)
    place = {name: i for i, name in enumerate(fit.symbols)}
    cells = [
        {"a": a, "b": b, "value": float(fit.correlation[place[a], place[b]])}
        for a in statistics.order
        for b in statistics.order
        if a != b
    ]
    frame = pl.DataFrame(cells, schema={"a": pl.String, "b": pl.String, "value": pl.Float64})
    ranked = frame.filter((pl.col("a") < pl.col("b")) & pl.col("value").is_finite()).sort(
        "value", descending=True
    )
    top = ranked.row(0, named=True)
    said = f"{top['a']} and {top['b']} move together most: {formats.number(top['value'])}"
    return Chart(
        key="correlation-matrix",
        headline=said,
        description=(
            f"Matrix of correlations of returns of {len(statistics.order)} symbols, similar ones "
            f"beside each other. {said}."
        ),
        draw=lambda colours: _draw_matrix(colours, list(statistics.order)),
        frames={"matrix": frame},
        note=(
            f"Log returns of {formats.bar_size(statistics.bars.timeframe)} bars, {fit.n:,} of "
            f"them; Ledoit–Wolf shrinkage {formats.percent(fit.shrinkage)} towards no "
            "correlation. Ordered by average linkage. Stronger colour, stronger correlation; "
            "blue positive, orange negative."
        ),
    )


def _draw_matrix(colours: theme.Tokens, order: list[str]) -> charts.Drawing:
    size = min(22, max(9, 640 // max(len(order), 1)))
    axis = alt.Axis(
        title=None,
        ticks=False,
        domain=False,
        grid=False,
        labelFontSize=min(11, max(7, size - 4)),
        labelOverlap=False,
    )
    sign = alt.condition("datum.value >= 0", alt.value(colours["high"]), alt.value(colours["low"]))
    strength = alt.FillOpacity(
        "strength:Q", scale=alt.Scale(domain=[0, 1], range=[0.02, 1]), legend=None
    )
    x, y = (alt.X("a:N", sort=order, axis=axis.copy()), alt.Y("b:N", sort=order, axis=axis.copy()))
    # Numbers where a cell has room for them: on a phone the colours and the tooltip remain.
    readable = f"width / {max(len(order), 1)} < 30 ? 0 : 1"
    numbers = (
        alt.Chart(alt.NamedData("matrix"))
        .transform_calculate(text="replace(format(datum.value, '.2f'), '-', '−')")
        .mark_text(fontSize=min(10, size - 8), opacity=alt.ExprRef(readable))
        .encode(
            x=x,
            y=y,
            text="text:N",
            color=alt.condition(
                "abs(datum.value) > 0.55", alt.value(colours["bg"]), alt.value(colours["ink"])
            ),
        )
    )
    cells = (
        alt.Chart(alt.NamedData("matrix"))
        .transform_calculate(strength="abs(datum.value)")
        .mark_rect(stroke=colours["bg"], strokeWidth=1)
        .encode(
            x=x,
            y=y,
            fill=sign,
            fillOpacity=strength,
            tooltip=[
                alt.Tooltip("a:N", title="Symbol"),
                alt.Tooltip("b:N", title="with"),
                alt.Tooltip("value:Q", title="Correlation", format=".2f"),
            ],
        )
    )
    layers = [cells, numbers] if size >= _READABLE_CELL else [cells]
    return alt.layer(*layers).properties(width=charts.FULL_WIDTH - 120, height=size * len(order))


def _movers(statistics: UniverseStatistics) -> Section:
    movers = statistics.movers
    if movers.is_empty():
        raise page.Unavailable("No symbol has bars in this window.")
    logs = statistics.bars.closes
    divisor, unit = formats.money_scale(
        movers["quote_volume"].to_list(), formats.quote(*movers["symbol"])
    )
    rows: list[Row] = []
    for rank, row in enumerate(movers.iter_rows(named=True), start=1):
        course = logs[row["symbol"]].gather_every(max(1, logs.height // 60)).to_list()
        rows.append(
            {
                "stub": row["symbol"],
                "rank": str(rank),
                "traded": formats.number(row["quote_volume"] / divisor, 1 if divisor > 1 else 0),
                "trades": formats.count(row["trades"]),
                "change": formats.number(row["change_bps"], 0, signed=True),
                "range": formats.number(row["range_bps"], 0),
                "volatility": formats.percent(row["volatility"], 0),
                "course": tables.spark(course, f"{row['symbol']}: course of the price"),
            }
        )
    table = Table(
        key="liquidity-ranking",
        caption="Symbols by value traded",
        stub="Symbol",
        columns=[
            Column("rank", "Rank"),
            Column("traded", f"Traded, {unit}"),
            Column("trades", "Trades"),
            Column("change", "Change, bp"),
            Column("range", "High to low, bp"),
            Column("volatility", "Volatility, annualised"),
            Column("course", "Price, own scale", align="left"),
        ],
        rows=rows,
    )
    best = movers.sort("change_bps", descending=True).row(0, named=True)
    worst = movers.sort("change_bps").row(0, named=True)
    lead = (
        f"{best['symbol']} gained most ({formats.number(best['change_bps'], 0, signed=True)} bp), "
        f"{worst['symbol']} least ({formats.number(worst['change_bps'], 0, signed=True)} bp)."
    )
    return Section(key="movers", title="Liquidity and movers", lead=lead, blocks=[table])


def _limits(statistics: UniverseStatistics) -> Section:
    items = [
        "A q-value bounds the expected share of false finds among the pairs called found; it says "
        "nothing about any single pair.",
        "The window is the one the ranking was chosen on: expect the best pairs to look worse in "
        "the next.",
        "Bars without a trade repeat the last price, which lowers correlation of thinly traded "
        "symbols.",
    ]
    block = Markup('<ul class="plain">{}</ul>').format(
        Markup("").join(Markup("<li>{}</li>").format(item) for item in items)
    )
    return Section(key="limits", title="Limits", blocks=[block])
