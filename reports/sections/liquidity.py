"""What trading each leg costs and where its volume sits."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from quant_pipeline import analytics
from quant_pipeline.research.leg import LegStatistics
from quant_pipeline.research.outcome import Undefined
from quant_pipeline.research.pair import PairStatistics
from reports import charts, formats, tables
from reports.context import Context
from reports.page import Block, Chart, Columns, Section
from reports.sections import warehouse
from reports.tables import Cell, Column, Row, Table
from reports.theme import Tokens

TITLE = "Liquidity"


def build(statistics: PairStatistics, context: Context) -> Section:
    """Table of both legs and their volume profiles."""
    blocks: list[Block] = [_table(statistics)]
    profiles = [
        profile_chart(leg.symbol, profile, key=f"profile-{name}", colour=colour)
        for leg, profile, name, colour in zip(
            statistics.legs, statistics.profiles, ("y", "x"), ("first", "second"), strict=True
        )
        if not isinstance(profile, Undefined)
    ]
    if profiles:
        blocks.append(Columns(profiles))
    return Section(key="liquidity", title=TITLE, lead=_lead(statistics.legs), blocks=blocks)


def _lead(legs: tuple[LegStatistics, LegStatistics]) -> str:
    busier, quieter = sorted(legs, key=lambda leg: leg.quote_volume, reverse=True)
    if quieter.quote_volume == 0:
        return f"{quieter.symbol} did not trade."
    ratio = busier.quote_volume / quieter.quote_volume
    return (
        f"{busier.symbol} traded {formats.number(ratio, 1)} times the value of {quieter.symbol}, "
        f"so {quieter.symbol} bounds what a pair trade can carry."
    )


def _table(statistics: PairStatistics) -> Table:
    legs = statistics.legs
    tables_of = statistics.bars.warehouse

    def row(group: str, name: str, cells: tuple[Cell, Cell]) -> Row:
        return {"group": group, "stub": name, "y": cells[0], "x": cells[1]}

    def each(describe: object) -> tuple[Cell, Cell]:
        assert callable(describe)
        return describe(legs[0]), describe(legs[1])

    def activity(leg: LegStatistics) -> Cell:
        if not leg.activity:
            return Undefined("Fewer than two bars with a trade.")
        token = "first" if leg is legs[0] else "second"
        label = (
            f"{leg.symbol}: value traded in {len(leg.activity)} equal stretches, highest "
            f"{formats.money(max(leg.activity), formats.quote(leg.symbol))}"
        )
        return tables.bars(leg.activity, token, label)

    def traded(leg: LegStatistics) -> Cell:
        return formats.money(leg.quote_volume, formats.quote(leg.symbol))

    symbols = [leg.symbol for leg in legs]
    rows = [
        row("Activity", "Trades", each(lambda leg: formats.count(leg.trades))),
        row("Activity", "Traded", each(traded)),
        row("Activity", "Buyer-initiated share", each(lambda leg: _share(leg.buy_share))),
        row("Activity", "Bars with a trade", each(lambda leg: formats.count(leg.bars))),
        row("Activity", "Value over the window, own scale", each(activity)),
        row(
            "Price",
            f"VWAP, {formats.quote(*symbols)}",
            each(lambda leg: _or(leg.vwap, formats.price)),
        ),
        row(
            "Price",
            "Volatility, annualised",
            each(lambda leg: _or(leg.volatility, formats.percent)),
        ),
    ]
    if tables_of:
        rows += warehouse.rows([tables_of["y"], tables_of["x"]], ["y", "x"], symbols)
    return Table(
        key="liquidity-legs",
        caption="Liquidity of each leg",
        note="From the date’s own bars, before alignment, and dbt’s liquidity tables. Trades carry "
        "no quote, so effective spreads are estimates from prices alone.",
        stub="Measure",
        columns=[Column("y", legs[0].symbol), Column("x", legs[1].symbol)],
        rows=rows,
        row_notes={
            "Volatility, annualised": "Close to close over the whole window, times the square root "
            "of the bars in 365 days of 24 hours; short windows extrapolate boldly.",
            **(warehouse.notes(symbols) if tables_of else {}),
            "Buyer-initiated share": "Share of base volume in which the buyer was the aggressor.",
        },
    )


def _or(value: float | Undefined, text: object) -> Cell:
    assert callable(text)
    return value if isinstance(value, Undefined) else str(text(value))


def _share(value: float | Undefined) -> Cell:
    return _or(value, formats.percent)


# --- volume by price -----------------------------------------------------------------------------


def profile_chart(
    symbol: str, profile: analytics.VolumeProfile, *, key: str, colour: str, half: bool = True
) -> Chart:
    """Volume by price: aggressive selling to the left, buying to the right."""
    digits = max(0, -int(f"{profile.bin_size:e}".split("e")[1]))
    rows = profile.bins.select(
        pl.col("price_low").alias("low"),
        pl.col("price_high").alias("high"),
        pl.col("buy_volume").alias("buy"),
        (-pl.col("sell_volume")).alias("sell"),
        pl.col("price_low")
        .is_between(profile.value_area_low, profile.value_area_high, closed="left")
        .alias("inside"),
    )
    poc = formats.number(profile.point_of_control, digits)
    area = (
        f"{formats.number(profile.value_area_low, digits)} to "
        f"{formats.number(profile.value_area_high, digits)}"
    )
    return Chart(
        key=key,
        headline=f"{symbol}: most was traded at {poc}",
        description=(
            f"Volume of {symbol} by price. The point of control is {poc}, the value area {area}."
        ),
        draw=lambda colours: _draw_profile(colours, key, rows, profile, colours[colour]),
        frames={key: rows},
        note=(
            f"Bins of {profile.bin_size:g} {formats.quote(symbol)}. Full colour and shading: the "
            f"{formats.percent(profile.value_area_share, 0)} value area, {area}. Line: point of "
            "control."
        ),
        half=half,
    )


def _draw_profile(
    colours: Tokens,
    frame: str,
    rows: pl.DataFrame,
    profile: analytics.VolumeProfile,
    colour: str,
) -> charts.Drawing:
    data = alt.Chart(alt.NamedData(frame))
    reach = 1.04 * max(float(rows["buy"].max()), -float(rows["sell"].min()), 1e-12)  # type: ignore[arg-type]
    domain = [float(rows["low"].min()), float(rows["high"].max())]  # type: ignore[arg-type]
    y = alt.Y(
        "low:Q",
        scale=alt.Scale(zero=False, nice=False, domain=domain),
        axis=alt.Axis(
            title=None,
            format=",~r",
            grid=False,
            minExtent=charts.Y_AXIS_WIDTH,
            maxExtent=charts.Y_AXIS_WIDTH,
            tickCount=6,
        ),
    )

    def x(field: str) -> alt.X:
        return alt.X(
            f"{field}:Q",
            scale=alt.Scale(domain=[-reach, reach], nice=False),
            axis=alt.Axis(
                title="Volume, base units",
                labelExpr="format(abs(datum.value), '~s')",
                tickCount=5,
                grid=True,
            ),
        )

    tip = [
        alt.Tooltip("low:Q", title="From", format=",~r"),
        alt.Tooltip("high:Q", title="To", format=",~r"),
        alt.Tooltip("buy:Q", title="Bought", format=",.3~r"),
        alt.Tooltip("sell:Q", title="Sold", format=",.3~r"),
    ]

    def opacity(full: float) -> Any:
        return alt.condition("datum.inside", alt.value(full), alt.value(full * 0.45))

    area = charts.literal({"low": profile.value_area_low, "high": profile.value_area_high})
    control = charts.literal({"at": profile.point_of_control})
    middle = charts.literal({"x": 0})
    return alt.layer(
        area.mark_rect(color=colours["band"], opacity=0.12).encode(y=y, y2="high:Q"),
        data.mark_rect(color=colour).encode(
            x=x("buy"), x2=alt.datum(0), y=y, y2="high:Q", opacity=opacity(1.0), tooltip=tip
        ),
        data.mark_rect(color=colour).encode(
            x=x("sell"), x2=alt.datum(0), y=y, y2="high:Q", opacity=opacity(0.62), tooltip=tip
        ),
        middle.mark_rule(color=colours["bg"], strokeWidth=1.5).encode(x="x:Q"),
        control.mark_rule(color=colours["alert"], strokeWidth=1).encode(y="at:Q"),
        charts.edge_label(colours, "← sellers hit bids", "left", above=16),
        charts.edge_label(colours, "buyers lift offers →", "right", above=16),
    ).properties(width=charts.HALF_WIDTH, height=300)
