"""Candles, value traded and net aggressive flow of a symbol, on one time axis."""

from __future__ import annotations

import altair as alt
import polars as pl

from quant_pipeline.research.symbol import SymbolStatistics
from reports import charts, formats
from reports.context import Context
from reports.page import Chart, CursorLine, Section, TimeAxis, Unavailable, milliseconds, need
from reports.theme import Tokens

TITLE = "Price, volume and flow"
_FRAME = "candles"


def build(statistics: SymbolStatistics, context: Context) -> Section:
    """The candle chart."""
    if statistics.candles.is_empty():
        raise Unavailable("There are no bars on this date.")
    return Section(key="candles", title=TITLE, blocks=[chart(statistics)])


def chart(statistics: SymbolStatistics) -> Chart:
    """Three panels that share time: price with VWAP, value traded, net flow."""
    rows = milliseconds(statistics.candles)
    symbol = statistics.bars.symbol
    quote = formats.quote(symbol)
    change = statistics.summary.change_bps
    moved = (
        f"{symbol} moved {formats.number(change, 0, signed=True)} bp"
        if isinstance(change, float)
        else f"{symbol} has one bar"
    )
    size = formats.duration(statistics.candle_seconds)
    half = 500 * statistics.candle_seconds
    vwap = need(statistics.summary.vwap)
    return Chart(
        key="candles-stack",
        headline=f"{moved}; volume-weighted, it traded at {formats.price(vwap)}",
        description=(
            f"Candles of {size} of {symbol} with the running VWAP; below, value traded and net "
            f"aggressive buying. {moved}; the VWAP is {formats.price(vwap)}."
        ),
        draw=lambda colours: _draw(colours, rows, quote),
        frames={_FRAME: rows},
        note=(
            f"{rows.height} candles of {size}: filled where the price fell, hollow where it rose. "
            "Dashed: VWAP since the start of the date. Net flow is aggressive buying less "
            "aggressive selling."
        ),
        time=TimeAxis(
            frame=_FRAME,
            # a candle is drawn around the start of its time, so half of it lies before
            window=(int(rows["t"][0]) - half, int(rows["t"][-1]) + half),
            lines=[
                CursorLine("Open", "open"),
                CursorLine("High", "high"),
                CursorLine("Low", "low"),
                CursorLine("Close", "close"),
                CursorLine("VWAP", "vwap", colour="second"),
                CursorLine(f"Traded, {quote}", "quote_volume", 0),
                CursorLine(f"Net flow, {quote}", "net_flow", 0, signed=True),
                CursorLine("Trades", "trade_count", 0),
            ],
        ),
    )


def _draw(colours: Tokens, rows: pl.DataFrame, quote: str) -> charts.Drawing:
    return charts.stack(
        [
            _price(colours, rows, quote),
            _bars(colours, rows, "quote_volume", quote),
            _bars(colours, rows, "net_flow", quote),
        ]
    )


def _price(colours: Tokens, rows: pl.DataFrame, quote: str) -> charts.Drawing:
    data = alt.Chart(alt.NamedData(_FRAME))
    axis = charts.time_x(labels=False)
    low, high = float(rows["low"].min()), float(rows["high"].max())  # type: ignore[arg-type]
    room = (high - low) * 0.04 or high * 1e-4
    domain = [low - room, high + room]

    def y(field: str) -> alt.Y:
        return charts.value_y(field, label_expr=charts.GROUPED, domain=domain, nice=False)

    width = alt.ExprRef(f"max(1.5, 0.62 * width / {rows.height})")
    body = data.transform_calculate(
        top="max(datum.open, datum.close)", bottom="min(datum.open, datum.close)"
    )
    wick = data.mark_rule(color=colours["first"], strokeWidth=1, clip=True).encode(
        x=axis, y=y("low"), y2="high:Q"
    )
    bodies = body.mark_bar(size=width, stroke=colours["first"], strokeWidth=1, clip=True).encode(
        x=axis,
        y=y("bottom"),
        y2="top:Q",
        fill=alt.condition(
            "datum.close >= datum.open", alt.value(colours["bg"]), alt.value(colours["first"])
        ),
    )
    return charts.panel(
        [
            wick,
            bodies,
            charts.line(
                _FRAME, "vwap", colours["second"], y=y("vwap"), x=axis, width=1.3, dash=True
            ),
            charts.end_label("vwap", "VWAP", colours["second"]),
            *charts.cursor(colours, {"close": colours["ink"]}),
        ],
        f"Price, {quote}",
        220,
    )


_PANELS = {
    "quote_volume": ("Traded", False, "muted"),
    "net_flow": ("Net aggressive buying", True, "first"),
}


def _bars(colours: Tokens, rows: pl.DataFrame, field: str, quote: str) -> charts.Drawing:
    title, labels, colour = _PANELS[field]
    data = alt.Chart(alt.NamedData(_FRAME))
    width = alt.ExprRef(f"max(1, 0.62 * width / {rows.height})")
    drawn = data.mark_bar(size=width, clip=True).encode(
        x=charts.time_x(labels=labels),
        y=charts.value_y(field, label_expr=charts.SHORT, ticks=3),
        color=alt.condition(
            f"datum.{field} >= 0", alt.value(colours[colour]), alt.value(colours["second"])
        ),
    )
    return charts.panel([drawn, *charts.cursor(colours, {})], f"{title}, {quote}", 70)
