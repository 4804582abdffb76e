"""The symbol report: one symbol, one UTC date."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import altair as alt
import polars as pl
from markupsafe import Markup

from quant_pipeline.research.outcome import Undefined, sentence
from quant_pipeline.research.symbol import SymbolStatistics
from quant_pipeline.settings import Settings, check_symbol
from reports import charts, formats, page, publishing, theme
from reports.context import Context, from_settings
from reports.page import Chart, Page, Provenance, Section, need
from reports.publishing import Published, Summary
from reports.sections import candles, liquidity, warehouse
from reports.tables import Cell, Column, Row, Table

KIND = "Symbol report"
_FEWEST_HOURS = 3

_ESTIMATORS = {
    "close_to_close": "Close to close",
    "parkinson": "Parkinson (high, low)",
    "garman_klass": "Garman–Klass",
    "garman_klass_yang_zhang": "Garman–Klass, Yang–Zhang form",
    "rogers_satchell": "Rogers–Satchell",
    "yang_zhang": "Yang–Zhang",
}
_SPREADS = {
    "edge": "EDGE",
    "roll": "Roll",
    "corwin_schultz": "Corwin–Schultz",
    "abdi_ranaldo": "Abdi–Ranaldo",
}


def render(statistics: SymbolStatistics, context: Context) -> str:
    """The report as one HTML file; the same statistics and context give the same bytes."""
    return page.render(compose(statistics, context))


def publish(
    statistics: SymbolStatistics,
    settings: Settings,
    *,
    parameters: Mapping[str, object] | None = None,
) -> Published:
    """Render the report and put it where it is served from.

    Args:
        parameters: those that are not the settings', by name; see `publishing.place`.
    """
    bars = statistics.bars
    subject, title = publishing.place(check_symbol(bars.symbol), bars.symbol, parameters)
    return publishing.publish(
        settings,
        kind="symbol",
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


def preview(statistics: SymbolStatistics, mode: theme.Mode = "light") -> str | None:
    """The candles as a small still SVG, or None without bars."""
    if statistics.candles.is_empty():
        return None
    return page.still(candles.chart(statistics), headline(statistics), mode)


def headline(statistics: SymbolStatistics) -> str:
    """What happened, in a line."""
    symbol, change = statistics.bars.symbol, statistics.summary.change_bps
    if isinstance(change, Undefined):
        return f"{symbol} has too few bars on this date to say anything"
    direction = "rose" if change > 0 else "fell" if change < 0 else "did not move"
    size = f" {formats.number(abs(change), 0)} bp" if change else ""
    traded = formats.money(statistics.summary.quote_volume, formats.quote(symbol))
    return f"{symbol} {direction}{size} on {traded}"


def compose(statistics: SymbolStatistics, context: Context) -> Page:
    """The report before it is HTML."""
    bars = statistics.bars
    parts = [
        ("candles", candles.TITLE, partial(candles.build, statistics, context)),
        ("profile", "Volume by price", partial(_profile, statistics)),
        ("volatility", "Volatility, estimators compared", partial(_volatility, statistics)),
        ("cost", "Cost of trading and order flow", partial(_cost, statistics)),
        ("liquidity", "Liquidity", partial(_liquidity, statistics)),
        ("course", "Through the day", partial(_course, statistics)),
        ("quality", "Data quality", partial(_quality, statistics)),
    ]
    return Page(
        kind=KIND,
        subject=bars.symbol,
        date=formats.day(bars.day),
        headline=headline(statistics),
        verdict=_verdict(statistics),
        facts=[*context.facts, *_facts(statistics)],
        sections=[page.section_or_reason(*part) for part in parts],
        provenance=Provenance(
            bars.snapshot,
            context.code_version,
            {**context.settings, "symbol": bars.symbol, "timeframe": bars.timeframe},
        ),
        source=f"Source: {bars.venue.capitalize()} trades, exchange trade time.",
        downloads=page.table_files(
            statistics.candles,
            f"{bars.symbol}_{bars.day:%Y-%m-%d}_candles",
            f"{statistics.candles.height} candles",
        )
        if statistics.candles.height
        else [],
    )


def _verdict(statistics: SymbolStatistics) -> Markup:
    imbalance = statistics.imbalance
    volatility = [v for v in statistics.volatilities.values() if isinstance(v, float)]
    parts = []
    if not isinstance(imbalance, Undefined):
        side = "bought" if imbalance.imbalance > 0 else "sold"
        parts.append(
            f"Aggressors {side} more: {formats.percent(abs(imbalance.imbalance))} of volume net, "
            f"over {formats.count_of(imbalance.n, 'trade')}."
        )
    if volatility:
        parts.append(
            f"Annualised volatility reads {formats.percent(min(volatility), 0)} to "
            f"{formats.percent(max(volatility), 0)}, depending on the estimator."
        )
    if not parts:
        return Markup("<b>No verdict:</b> too little was traded.")
    return Markup("<b>{}</b> {}").format(parts[0], " ".join(parts[1:]))


def _facts(statistics: SymbolStatistics) -> list[tuple[str, str]]:
    bars, clock = statistics.bars, statistics.clock
    window = (
        f"{formats.moment(clock['bucket'][0])} to {formats.clock(clock['bucket'][-1])}"
        if clock.height
        else f"{formats.day(bars.day)}, no bars"
    )
    return [
        ("Window, UTC", window),
        ("Bars with a trade", f"{bars.frame.height:,} of {clock.height:,}"),
        ("Bar size", formats.bar_size(bars.timeframe)),
        ("Trades", formats.count(statistics.summary.trades)),
        ("Capture gaps detected", formats.count_of(bars.gaps.height, "gap")),
        ("Venue, lake snapshot", f"{bars.venue.capitalize()}, {bars.snapshot}"),
    ]


def _profile(statistics: SymbolStatistics) -> Section:
    profile = need(statistics.profile)
    chart = liquidity.profile_chart(
        statistics.bars.symbol, profile, key="profile-volume", colour="first", half=False
    )
    return Section(key="profile", title="Volume by price", blocks=[chart])


def _volatility(statistics: SymbolStatistics) -> Section:
    rows: list[Row] = [
        {
            "stub": _ESTIMATORS.get(name, name),
            "value": value if isinstance(value, Undefined) else formats.percent(value),
        }
        for name, value in statistics.volatilities.items()
    ]
    table = Table(
        key="volatilities",
        caption="Annualised volatility of the window",
        note=f"Bars of {formats.bar_size(statistics.bars.timeframe)}, carried forward; scaled by "
        "the square root of the bars in 365 days of 24 hours.",
        stub="Estimator",
        columns=[Column("value", "Volatility")],
        rows=rows,
        row_notes={
            "Parkinson (high, low)": "Range-based estimators read low where bars hold few trades: "
            "the range of a handful of trades is smaller than the price’s own."
        },
    )
    return Section(
        key="volatility",
        title="Volatility, estimators compared",
        lead="Where estimators disagree, the bars do not behave as one of them supposes: bounce "
        "raises close-to-close at short horizons, sparse trading lowers the ranges.",
        blocks=[table],
    )


def _cost(statistics: SymbolStatistics) -> Section:
    estimates = need(statistics.spreads)
    rows: list[Row] = []
    for row in estimates.iter_rows(named=True):
        spread = row["spread"]
        cell: Cell = (
            Undefined(sentence(row["reason"] or "Not determined"))
            if spread is None or spread != spread
            else formats.number(spread * 1e4, 2)
        )
        rows.append(
            {
                "group": "Effective spread, estimated from bars, bp",
                "stub": _SPREADS.get(row["estimator"], row["estimator"]),
                "value": cell,
                "n": formats.count(row["n"]),
            }
        )
    impact = statistics.impact
    impact_name = f"Impact, bp per million {formats.quote(statistics.bars.symbol)} net"
    rows.append(
        {
            "group": "Order flow",
            "stub": impact_name,
            "value": impact
            if isinstance(impact, Undefined)
            else f"{formats.number(impact.price_impact * 1e10)} ± "
            f"{formats.number(1.96 * impact.stderr * 1e10)}",
            "n": "" if isinstance(impact, Undefined) else formats.count(impact.n),
        }
    )
    imbalance = statistics.imbalance
    rows.append(
        {
            "group": "Order flow",
            "stub": "Net aggressive buying, share of volume",
            "value": imbalance
            if isinstance(imbalance, Undefined)
            else formats.percent(imbalance.imbalance),
            "n": "" if isinstance(imbalance, Undefined) else formats.count(imbalance.n),
        }
    )
    table = Table(
        key="trading-cost",
        caption="What trading costs",
        note="An estimate that noise pushed below zero is undefined, never zero: it must not pass "
        "for cheap.",
        stub="Measure",
        columns=[Column("value", "Estimate"), Column("n", "Observations")],
        rows=rows,
        row_notes={
            impact_name: "Return of a bar on its net aggressive flow, ± 1.96 Newey–West standard "
            "errors. Association, not cause.",
        },
    )
    return Section(key="cost", title="Cost of trading and order flow", blocks=[table])


def _course(statistics: SymbolStatistics) -> Section:
    tables = statistics.bars.warehouse
    usual = (
        None
        if isinstance(tables, Undefined)
        else warehouse.season_chart(statistics.bars.symbol, tables)
    )
    if isinstance(usual, Chart):
        return Section(key="course", title="Through the day", blocks=[usual])
    blocks = [block for block in (usual, _hours_of_the_date(statistics)) if block is not None]
    if not blocks:
        raise page.Unavailable("There are too few hours with bars to show a course.")
    return Section(key="course", title="Through the day", blocks=blocks)


def _liquidity(statistics: SymbolStatistics) -> Section:
    tables = need(statistics.bars.warehouse)
    return Section(
        key="liquidity",
        title="Liquidity",
        blocks=[
            warehouse.date_table(statistics.bars.symbol, tables),
            warehouse.hours_table(statistics.bars.symbol, tables),
        ],
    )


def _hours_of_the_date(statistics: SymbolStatistics) -> Chart | None:
    """Value traded by hour, or None where there are too few hours to show a course."""
    clock = statistics.clock
    hours = (
        clock.group_by(pl.col("bucket").dt.hour().cast(pl.Int64).alias("hour"))
        .agg(
            traded=pl.col("quote_volume").sum(),
            deviation=pl.col("close").log().diff().std() * 1e4,
        )
        .sort("hour")
    )
    if hours.height < _FEWEST_HOURS:
        return None
    busiest = hours.sort("traded", descending=True).row(0, named=True)
    headline = f"Most was traded from {busiest['hour']:02d}:00 to {busiest['hour'] + 1:02d}:00 UTC"
    return Chart(
        key="course-hours",
        headline=headline,
        description=f"Value traded by hour of the day. {headline}.",
        draw=lambda colours: _draw_hours(colours, formats.quote(statistics.bars.symbol)),
        frames={"hours": hours},
        note=f"Value traded by UTC hour; {hours.height} of 24 hours have bars. One date is not a "
        "seasonal pattern.",
    )


def _draw_hours(colours: theme.Tokens, quote: str) -> charts.Drawing:
    tip = [
        alt.Tooltip("hour:Q", title="Hour, UTC"),
        alt.Tooltip("traded:Q", title=f"Traded, {quote}", format=",.0f"),
        alt.Tooltip("deviation:Q", title="Deviation of a bar, bp", format=".2f"),
    ]
    drawn: charts.Drawing = (
        alt.Chart(alt.NamedData("hours"))
        .transform_calculate(end="datum.hour + 0.85")
        .mark_rect(color=colours["first"])
        .encode(
            x=alt.X(
                "hour:Q",
                scale=alt.Scale(domain=[0, 24], nice=False),
                axis=alt.Axis(title="Hour of the day, UTC", values=list(range(0, 25, 3))),
            ),
            x2="end:Q",
            y=charts.value_y("traded", label_expr=charts.SHORT, zero=True),
            y2=alt.datum(0),
            tooltip=tip,
        )
        .properties(width=charts.FULL_WIDTH, height=130)
    )
    return drawn


def _quality(statistics: SymbolStatistics) -> Section:
    quality = need(statistics.quality)
    rows: list[Row] = [
        {"stub": "Bars judged", "value": formats.count(quality.n)},
        {"stub": "Longest stretch without a bar", "value": formats.duration(quality.longest_gap)},
        {"stub": "Share of the span covered", "value": formats.percent(quality.coverage)},
        {"stub": "Bars equal to the one before", "value": formats.percent(quality.stale_share)},
        {
            "stub": "Longest run of one price, bars",
            "value": formats.count(quality.longest_stale_run),
        },
        {"stub": "Outliers", "value": formats.count(quality.n_outliers)},
        {"stub": "Duplicated stamps", "value": formats.count(quality.n_duplicated)},
        {"stub": "Stamps out of order", "value": formats.count(quality.n_out_of_order)},
    ]
    table = Table(
        key="series-quality",
        caption="Faults of the price series",
        note="Closes of bars with a trade, before anything is carried forward.",
        stub="Check",
        columns=[Column("value", "Found")],
        rows=rows,
        row_notes={
            "Outliers": f"Changes beyond {quality.outlier_threshold:g} robust standard deviations."
        },
    )
    lead = (
        f"Found: {', '.join(quality.problems)}."
        if quality.problems
        else "No fault was found in the series."
    )
    return Section(key="quality", title="Data quality", lead=lead, blocks=[table])
