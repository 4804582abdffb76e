"""Prices of both legs, the spread with its band, and rolling correlation, on one time axis."""

from __future__ import annotations

import altair as alt
import polars as pl
from markupsafe import Markup

from quant_pipeline.research.pair import PairStatistics
from reports import charts, formats
from reports.context import Context
from reports.page import Chart, CursorLine, Section, TimeAxis, milliseconds, need
from reports.reduction import keep_extremes
from reports.theme import Tokens

TITLE = "Prices and spread"
_FRAME = "bars"


def build(statistics: PairStatistics, context: Context) -> Section:
    """Chart of prices, spread and correlation."""
    need(statistics.hedge.ols)
    return Section(
        key="prices",
        title=TITLE,
        lead=_lead(statistics, context),
        blocks=[chart(statistics)],
    )


def frame(statistics: PairStatistics) -> tuple[pl.DataFrame, bool]:
    """Rows to draw and whether some were left out."""
    series = statistics.series.with_columns(
        y_index=100 * pl.col("y") / pl.col("y").first(),
        x_index=100 * pl.col("x") / pl.col("x").first(),
        spread_bps=pl.col("spread") * 1e4,
    )
    return keep_extremes(
        milliseconds(series).select(
            "t",
            "y_index",
            "x_index",
            "spread_bps",
            "zscore",
            "rolling_zscore",
            "correlation",
            "correlation_low",
            "correlation_high",
        ),
        "t",
        ["y_index", "x_index", "spread_bps", "correlation"],
    )


def chart(statistics: PairStatistics) -> Chart:
    """The three panels and the strip that zooms them."""
    rows, reduced = frame(statistics)
    y, x = statistics.legs
    size = formats.bar_size(statistics.bars.timeframe)
    deviation = statistics.spread_sd or 0.0
    note = (
        f"{size} bars, last trade carried forward. Spread: band of ±2 standard deviations "
        f"({formats.number(2e4 * deviation, 1)} bp); bars outside it marked. "
        f"Correlation: 95% band by Fisher’s z, returns taken as independent; "
        "dashed, the whole window."
    )
    if reduced:
        note += (
            f" Drawn from the minimum and maximum of each pixel column "
            f"({rows.height:,} of {statistics.series.height:,} bars)."
        )
    changes = [
        f"{leg.symbol} {formats.number(need(leg.change_bps), 0, signed=True)} bp" for leg in (y, x)
    ]
    return Chart(
        key="prices-stack",
        headline=f"{changes[0]}, {changes[1]} from the first bar to the last",
        description=(
            f"Three stacked time series: prices of {y.symbol} and {x.symbol} indexed to 100, "
            "their spread in basis points with a band of two standard deviations, and the "
            f"trailing correlation of their returns. {changes[0]}, {changes[1]} over the window."
        ),
        draw=lambda colours: _draw(colours, statistics, rows),
        frames={_FRAME: rows},
        note=note,
        hint=(
            "Drag across the strip to zoom all three panels; double-click it to reset. "
            "Arrow keys move the cursor."
        ),
        time=TimeAxis(
            frame=_FRAME,
            window=(int(rows["t"][0]), int(rows["t"][-1])),
            brush="brush",
            lines=[
                CursorLine(y.symbol, "y_index", 3, colour="first"),
                CursorLine(x.symbol, "x_index", 3, colour="second"),
                CursorLine("Spread, bp", "spread_bps", 1, signed=True),
                CursorLine("z, whole window", "zscore", 2, signed=True),
                CursorLine("z, trailing", "rolling_zscore", 2, signed=True),
                CursorLine("Correlation", "correlation", 2),
            ],
        ),
    )


def _lead(statistics: PairStatistics, context: Context) -> Markup:
    y, x = statistics.legs
    fit = need(statistics.hedge.ols)
    outside = statistics.series.select((pl.col("zscore").abs() > 2).cast(pl.Int8).diff() == 1)
    excursions = int(outside.to_series().sum() or 0)
    left = (
        "never left ±2 standard deviations"
        if excursions == 0
        else f"left ±2 standard deviations {formats.count_of(excursions, 'time')}"
    )
    cost = 4 * context.taker_fee_bps
    band = 2e4 * (statistics.spread_sd or 0.0)
    return Markup(
        "The spread is log {y} less {beta} times log {x}, with the slope fitted on this same "
        "window. It {left}; because mean and deviation are "
        "in-sample, that describes the window and is not a signal. Two standard deviations are "
        "{band} bp, against {cost} bp of fees for the four trades of a round trip at {fee} bp each."
    ).format(
        y=y.symbol,
        x=x.symbol,
        beta=formats.number(fit.beta, 3),
        left=left,
        band=formats.number(band, 1),
        cost=formats.number(cost, 0),
        fee=formats.number(context.taker_fee_bps, 1),
    )


def _draw(colours: Tokens, statistics: PairStatistics, rows: pl.DataFrame) -> charts.Drawing:
    return charts.stack(
        [
            _price_panel(colours, statistics, rows),
            _spread_panel(colours, statistics, rows),
            _correlation_panel(colours, statistics, rows),
            charts.overview(_FRAME, "spread_bps", colours, charts.time_brush(colours)),
        ]
    )


def _price_panel(colours: Tokens, statistics: PairStatistics, rows: pl.DataFrame) -> charts.Drawing:
    y, x = statistics.legs
    last_y, last_x = rows["y_index"][-1], rows["x_index"][-1]
    both = pl.concat([rows["y_index"], rows["x_index"]])
    reach = float(both.max()) - float(both.min())  # type: ignore[arg-type]
    shift_y, shift_x = charts.separation(last_y, last_x, near=reach * 0.08)
    axis = charts.time_x(labels=False)
    return charts.panel(
        [
            charts.line(
                _FRAME,
                "x_index",
                colours["second"],
                y=charts.value_y("x_index", zero=False),
                x=axis,
            ),
            charts.line(
                _FRAME, "y_index", colours["first"], y=charts.value_y("y_index", zero=False), x=axis
            ),
            charts.end_label(
                "y_index", y.symbol, colours["first"], shift=shift_y, visible=charts.unzoomed()
            ),
            charts.end_label(
                "x_index", x.symbol, colours["second"], shift=shift_x, visible=charts.unzoomed()
            ),
            *charts.cursor(colours, {"y_index": colours["first"], "x_index": colours["second"]}),
        ],
        "Prices, first bar = 100",
        180,
    )


def _spread_panel(
    colours: Tokens, statistics: PairStatistics, rows: pl.DataFrame
) -> charts.Drawing:
    deviation = 1e4 * (statistics.spread_sd or 0.0)
    # Given, not taken from the marks: of those outside the band there may be none.
    domain = charts.extent([rows["spread_bps"]], include=(-2.1 * deviation, 2.1 * deviation))
    box = charts.literal({"low": -2 * deviation, "high": 2 * deviation}).mark_rect(
        color=colours["band"], opacity=0.13
    )
    outside = (
        alt.Chart(alt.NamedData(_FRAME))
        .transform_filter("abs(datum.zscore) > 2")
        .mark_point(color=colours["alert"], filled=True, size=9, opacity=1, clip=True)
        .encode(x=charts.time_x(labels=False), y="spread_bps:Q")
    )

    def scale(field: str) -> alt.Y:
        return charts.value_y(field, label_expr=charts.SIGNED, domain=domain)

    levels = {"+2σ": 2 * deviation, "mean": 0.0, "−2σ": -2 * deviation}
    return charts.panel(
        [
            box.encode(y=scale("low"), y2="high:Q"),
            *charts.rules(levels, colours),
            charts.line(
                _FRAME,
                "spread_bps",
                colours["ink"],
                y=scale("spread_bps"),
                x=charts.time_x(labels=False),
                width=1.2,
            ),
            outside,
            *charts.cursor(colours, {"spread_bps": colours["ink"]}),
        ],
        "Spread, basis points from its mean",
        150,
    )


def _correlation_panel(
    colours: Tokens, statistics: PairStatistics, rows: pl.DataFrame
) -> charts.Drawing:
    lowest = rows["correlation_low"].min()
    floor = min(0.0, float(lowest)) if isinstance(lowest, float) else 0.0
    domain = [floor, 1.0]
    layers = [
        charts.band(
            _FRAME,
            "correlation_low",
            "correlation_high",
            colours["band"],
            y=charts.value_y("correlation_low", label_expr=charts.PLAIN, domain=domain),
            x=charts.time_x(),
        ),
        charts.line(
            _FRAME,
            "correlation",
            colours["ink"],
            y=charts.value_y("correlation", label_expr=charts.PLAIN, domain=domain),
            x=charts.time_x(),
            width=1.3,
        ),
        *charts.cursor(colours, {"correlation": colours["ink"]}),
    ]
    if isinstance(statistics.correlation, float):
        layers += charts.rules({"all": statistics.correlation}, colours)
    window = formats.duration(statistics.window * statistics.bars.seconds)
    return charts.panel(layers, f"Correlation of returns, trailing {window}", 110)
