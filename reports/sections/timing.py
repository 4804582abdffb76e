"""Who moves first, and how the sampling interval shapes the correlation."""

from __future__ import annotations

import altair as alt
import numpy as np
import polars as pl

from quant_pipeline import analytics
from quant_pipeline.research.outcome import Undefined
from quant_pipeline.research.pair import PairStatistics
from quant_pipeline.research.timing import Timing
from reports import charts, formats
from reports.context import Context
from reports.page import Chart, Columns, Section, need
from reports.tables import Column, Table
from reports.theme import Tokens

TITLE = "Timing"


def build(statistics: PairStatistics, context: Context) -> Section:
    """Epps curve and cross-correlation, from the trades themselves."""
    timing = need(statistics.timing)
    drawn = []
    if not isinstance(timing.epps, Undefined):
        drawn.append(epps_chart(timing))
    if not isinstance(timing.cross_correlation, Undefined):
        drawn.append(lag_chart(statistics, timing))
    if not drawn:  # a price that does not change leaves neither
        need(timing.epps)
    return Section(
        key="timing",
        title=TITLE,
        lead=_lead(statistics, timing),
        blocks=[Columns(drawn)],
    )


def _lead(statistics: PairStatistics, timing: Timing) -> str:
    every = timing.hayashi_yoshida
    parts = []
    if not isinstance(every, Undefined):
        parts.append(
            f"From every trade, the Hayashi–Yoshida correlation is "
            f"{formats.number(every.correlation)} ± {formats.number(1.96 * every.stderr)}; bounce "
            "between bid and ask inflates both variances and pulls it down, so thinned trades are "
            "drawn below."
        )
    lead = timing.lead_lag
    if not isinstance(lead, Undefined):
        y, x = (leg.symbol for leg in statistics.legs)
        if lead.lag == 0:
            parts.append("Its contrast is largest at no lag: neither leg leads by 0.2 s or more.")
        else:
            leader = x if lead.lag > 0 else y
            parts.append(
                f"Its contrast is largest where {leader} leads by "
                f"{formats.number(abs(float(lead.lag)) / 1e6, 1)} s."
            )
    return " ".join(parts)


# --- the Epps curve ----------------------------------------------------------------------------


def epps_chart(timing: Timing) -> Chart:
    """Correlation against the sampling interval."""
    curve = need(timing.epps)
    rows = curve.filter(pl.col("correlation").is_finite()).select(
        "interval", "correlation", "lower", "upper", "hayashi_yoshida", "n"
    )
    shortest, longest = rows.row(0, named=True), rows.row(-1, named=True)
    headline = (
        f"Correlation is {formats.number(shortest['correlation'])} at "
        f"{_interval(shortest['interval'])} and {formats.number(longest['correlation'])} at "
        f"{_interval(longest['interval'])}"
    )
    return Chart(
        key="timing-epps",
        headline=headline,
        description=(
            f"Correlation of returns against the sampling interval. {headline} for last-trade "
            "bars; Hayashi–Yoshida is drawn beside it."
        ),
        draw=lambda colours: _draw_epps(colours, rows),
        frames={"epps": rows},
        note=(
            "The Epps effect: trades that are not simultaneous hide correlation at short "
            "intervals. Band: 95%, Fisher’s z, returns taken as independent. Hayashi–Yoshida on "
            "trades thinned to one per interval, not drawn below 60 returns."
        ),
        half=True,
        values=_epps_table(rows),
    )


def _interval(seconds: float) -> str:
    return f"{seconds * 1000:g} ms" if seconds < 1 else formats.duration(seconds)


def _draw_epps(colours: Tokens, rows: pl.DataFrame) -> charts.Drawing:
    data = alt.Chart(alt.NamedData("epps"))
    known = data.transform_filter("isValid(datum.hayashi_yoshida)")
    intervals = rows["interval"].to_list()
    floor = min(0.0, float(rows["lower"].fill_nan(0.0).min()))  # type: ignore[arg-type]
    marks = [s for s in (0.05, 0.2, 1, 5, 20, 60, 300) if intervals[0] <= s <= intervals[-1]]
    x = alt.X(
        "interval:Q",
        scale=alt.Scale(type="log", domain=[intervals[0], intervals[-1]], nice=False),
        axis=alt.Axis(title="Sampling interval, seconds (log scale)", values=marks, format="~g"),
    )

    def y(field: str) -> alt.Y:
        return charts.value_y(field, label_expr=charts.PLAIN, domain=[floor, 1])

    tip = [
        alt.Tooltip("interval:Q", title="Interval, s"),
        alt.Tooltip("correlation:Q", title="Last-trade bars", format=".3f"),
        alt.Tooltip("lower:Q", title="95% low", format=".3f"),
        alt.Tooltip("upper:Q", title="95% high", format=".3f"),
        alt.Tooltip("hayashi_yoshida:Q", title="Hayashi–Yoshida", format=".3f"),
        alt.Tooltip("n:Q", title="Returns", format=",d"),
    ]
    return alt.layer(
        data.mark_area(color=colours["first"], opacity=0.14).encode(
            x=x, y=y("lower"), y2="upper:Q"
        ),
        data.mark_line(color=colours["first"], strokeWidth=1.8).encode(x=x, y=y("correlation")),
        known.mark_line(color=colours["second"], strokeWidth=1.8, strokeDash=[5, 3]).encode(
            x=x, y=y("hayashi_yoshida")
        ),
        known.mark_point(
            filled=True, color=colours["second"], shape="diamond", size=34, opacity=1
        ).encode(x=x, y=y("hayashi_yoshida")),
        data.mark_point(filled=True, color=colours["first"], size=28, opacity=1).encode(
            x=x, y=y("correlation")
        ),
        data.mark_rule(strokeWidth=18, opacity=0, color=colours["bg"]).encode(x=x, tooltip=tip),
        *_epps_labels(colours, rows, x),
    ).properties(width=charts.HALF_WIDTH, height=230)


def _epps_labels(colours: Tokens, rows: pl.DataFrame, x: alt.X) -> list[alt.Chart]:
    """Names beside the curves: one below its start, one over its highest point."""
    first = rows.row(0, named=True)
    below = charts.literal({"interval": first["interval"], "at": first["correlation"]})
    labels = [
        below.mark_text(
            align="left",
            dx=4,
            dy=18,
            color=colours["first"],
            fontWeight=600,
            text="Last-trade bars",
        ).encode(x=x, y="at:Q")
    ]
    known = rows.drop_nulls("hayashi_yoshida").sort("hayashi_yoshida", descending=True)
    if known.height:
        top = known.row(0, named=True)
        over = charts.literal({"interval": top["interval"], "at": top["hayashi_yoshida"]})
        labels.append(
            over.mark_text(
                dy=-13, color=colours["second"], fontWeight=600, text="Hayashi–Yoshida"
            ).encode(x=x, y="at:Q")
        )
    return labels


def _epps_table(rows: pl.DataFrame) -> Table:
    return Table(
        key="epps-values",
        caption="Values behind the curve",
        stub="Interval",
        columns=[
            Column("n", "Returns"),
            Column("correlation", "Last-trade bars"),
            Column("interval_95", "95% interval"),
            Column("hayashi_yoshida", "Hayashi–Yoshida"),
        ],
        rows=[
            {
                "stub": _interval(row["interval"]),
                "n": formats.count(row["n"]),
                "correlation": formats.number(row["correlation"], 3),
                "interval_95": formats.interval(row["lower"], row["upper"]),
                "hayashi_yoshida": formats.number(row["hayashi_yoshida"], 3),
            }
            for row in rows.iter_rows(named=True)
        ],
    )


# --- lead and lag ------------------------------------------------------------------------------


def lag_chart(statistics: PairStatistics, timing: Timing) -> Chart:
    """Cross-correlation of returns at leads and lags."""
    fit = need(timing.cross_correlation)
    rows = pl.DataFrame({"lag": fit.lags * timing.lag_step_s, "correlation": fit.correlation})
    peak = rows.row(int(np.nanargmax(np.abs(fit.correlation))), named=True)
    outside = int((rows["correlation"].abs() > fit.band).sum())
    headline = (
        f"Cross-correlation is largest at {_lag(peak['lag'])}: "
        f"{formats.number(peak['correlation'])}"
    )
    y, x = (leg.symbol for leg in statistics.legs)
    return Chart(
        key="timing-lags",
        headline=headline,
        description=(
            f"Cross-correlation of {timing.lag_step_s:g} s returns of {y} and {x} at lags to "
            f"{formats.number(rows['lag'].max(), 0)} s either side. {headline}."  # type: ignore[arg-type]
        ),
        draw=lambda colours: _draw_lags(colours, fit, rows, (y, x)),
        frames={"lags": rows},
        note=(
            f"{timing.lag_step_s:g} s returns, {fit.n:,} of them. Shaded: 95% band for no "
            f"correlation, one lag at a time; {outside} of {rows.height} lags lie outside it, and "
            f"{round(0.05 * rows.height)} would by chance."
        ),
        half=True,
    )


def _lag(seconds: float) -> str:
    if seconds == 0:
        return "no lag"
    return f"a lag of {formats.number(seconds, 1, signed=True)} s"


def _draw_lags(
    colours: Tokens,
    fit: analytics.CrossCorrelation,
    rows: pl.DataFrame,
    names: tuple[str, str],
) -> charts.Drawing:
    y_name, x_name = names
    reach = float(rows["lag"].max())  # type: ignore[arg-type]
    data = alt.Chart(alt.NamedData("lags"))
    x = alt.X(
        "lag:Q",
        scale=alt.Scale(domain=[-reach, reach]),
        axis=alt.Axis(title="Lag, seconds", tickCount=5, labelExpr=charts.SIGNED),
    )
    lowest = min(float(fit.correlation.min()), -fit.band)
    highest = max(float(fit.correlation.max()), fit.band)
    room = 0.12 * (highest - lowest)
    y = charts.value_y(
        "correlation", label_expr=charts.PLAIN, domain=[lowest - room / 4, highest + room]
    )
    box = charts.literal({"low": -fit.band, "high": fit.band})
    tip = [
        alt.Tooltip("lag:Q", title="Lag, s", format="+.1f"),
        alt.Tooltip("correlation:Q", title="Correlation", format=".3f"),
    ]
    outside = alt.condition(
        f"abs(datum.correlation) > {fit.band}",
        alt.value(colours["first"]),
        alt.value(colours["faint"]),
    )
    return alt.layer(
        box.mark_rect(color=colours["band"], opacity=0.22).encode(y="low:Q", y2="high:Q"),
        charts.literal({"y": 0}).mark_rule(color=colours["faint"]).encode(y="y:Q"),
        data.mark_rule(strokeWidth=2.6).encode(x=x, y=y, y2=alt.datum(0), color=outside),
        data.mark_rule(strokeWidth=8, opacity=0, color=colours["bg"]).encode(x=x, tooltip=tip),
        charts.edge_label(colours, f"← {y_name} first", "left"),
        charts.edge_label(colours, f"{x_name} first →", "right"),
    ).properties(width=charts.HALF_WIDTH, height=230)
