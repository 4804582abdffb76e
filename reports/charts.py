"""The chart vocabulary: axes, labels and marks that every chart of a page is made of.

Colours are arguments (`reports.theme.tokens`), data are named, labels sit at the lines instead of
in a legend, and no chart has two y axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import altair as alt
import polars as pl

from reports.theme import Tokens

Drawing = alt.Chart | alt.LayerChart | alt.FacetChart | alt.VConcatChart
"""What an Altair expression may turn out to be."""

Y_AXIS_WIDTH: Final = 46
"""Every y axis takes this width in pixels, so that panels line up."""

FULL_WIDTH: Final = 720
HALF_WIDTH: Final = 340

SIGNED: Final = "datum.value == 0 ? '0' : replace(format(datum.value, '+~g'), '-', '−')"
GROUPED: Final = "replace(format(datum.value, ',~r'), '-', '−')"
SHORT: Final = "datum.value == 0 ? '0' : replace(format(datum.value, '.3~s'), '-', '−')"
PLAIN: Final = "replace(format(datum.value, '~g'), '-', '−')"

_CLOCK: Final = (
    "utcseconds(datum.value) ? utcFormat(datum.value, '%H:%M:%S')"
    " : utchours(datum.value) + utcminutes(datum.value) == 0"
    " ? [utcFormat(datum.value, '%H:%M'), utcFormat(datum.value, '%-d %b')]"
    " : utcFormat(datum.value, '%H:%M')"
)


def time_x(*, labels: bool = True, padding: int = 0) -> alt.X:
    """A UTC time axis over field `t`; panels above another one leave out their labels.

    `padding` pixels stay free at both ends, for marks that are wider than a point.
    """
    axis = alt.Axis(
        title=None,
        labelExpr=_CLOCK,
        labels=labels,
        ticks=labels,
        tickCount=alt.ExprRef("max(4, floor(width / 90))"),
        labelOverlap="greedy",
        labelBound=True,
    )
    return alt.X("t:T", scale=alt.Scale(type="utc", nice=False, padding=padding), axis=axis)


def value_y(
    field: str,
    *,
    label_format: str | None = None,
    label_expr: str | None = None,
    ticks: int = 4,
    **scale: Any,
) -> alt.Y:
    """A linear y axis of fixed width."""
    options: dict[str, Any] = {}
    if label_format:
        options["format"] = label_format
    if label_expr:
        options["labelExpr"] = label_expr
    axis = alt.Axis(
        title=None, minExtent=Y_AXIS_WIDTH, maxExtent=Y_AXIS_WIDTH, tickCount=ticks, **options
    )
    return alt.Y(f"{field}:Q", scale=alt.Scale(**{"nice": True, **scale}), axis=axis)


def literal(*rows: Mapping[str, Any]) -> alt.Chart:
    """A chart over a few rows that belong to the drawing and not to the data."""
    return alt.Chart(alt.Data(values=list(rows)))  # type: ignore[no-untyped-call]


def extent(series: Sequence[pl.Series], *, include: Sequence[float] = ()) -> list[float]:
    """Smallest and largest of the finite values of all `series` and of `include`."""
    values = [float(value) for value in include]
    for one in series:
        finite = one.drop_nulls().cast(pl.Float64)
        finite = finite.filter(finite.is_finite())
        if finite.len():
            values += [finite.min(), finite.max()]  # type: ignore[list-item]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    return [low, high] if high > low else [low - 1.0, high + 1.0]


def panel_title(text: str) -> alt.Title:
    """A title that never widens the view: an unlimited one shrinks the plot on a phone."""
    return alt.Title(text, limit=alt.ExprRef("width + 60"))


def line(
    frame: str,
    field: str,
    colour: str,
    *,
    y: alt.Y,
    x: alt.X,
    width: float = 1.4,
    dash: bool = False,
) -> alt.Chart:
    """One series; nulls are gaps, not bridges."""
    mark: dict[str, Any] = {"color": colour, "strokeWidth": width, "clip": True}
    if dash:
        mark["strokeDash"] = [5, 3]
    drawn: alt.Chart = alt.Chart(alt.NamedData(frame)).mark_line(**mark).encode(x=x, y=y)
    return drawn


def band(
    frame: str, low: str, high: str, colour: str, *, y: alt.Y, x: alt.X, opacity: float = 0.2
) -> alt.Chart:
    """The area between two fields."""
    drawn: alt.Chart = (
        alt.Chart(alt.NamedData(frame))
        .transform_filter(f"isValid(datum.{low}) && isValid(datum.{high})")
        .mark_area(color=colour, opacity=opacity, clip=True)
        .encode(x=x, y=y, y2=f"{high}:Q")
    )
    return drawn


def rules(
    levels: Mapping[str, float], colours: Tokens, *, field: str = "y", labelled: bool = True
) -> list[alt.Chart]:
    """Dashed horizontal lines, labelled in the right margin."""
    data = literal(*({field: value, "label": name} for name, value in levels.items()))
    drawn = [
        data.mark_rule(color=colours["faint"], strokeWidth=1, strokeDash=[2, 2]).encode(
            y=f"{field}:Q"
        )
    ]
    if labelled:
        drawn.append(
            data.mark_text(align="left", dx=6, color=colours["muted"], fontSize=11).encode(
                y=f"{field}:Q", x=alt.value(alt.ExprRef("width")), text="label:N"
            )
        )
    return drawn


def end_label(
    field: str, text: str, colour: str, *, shift: float = 0, visible: str | None = None
) -> alt.Chart:
    """A series' name at its last point, instead of a legend.

    `visible` is an expression for its opacity: a label of the last point is wrong in a zoom.
    """
    opacity = alt.ExprRef(visible) if visible else 1
    drawn: alt.Chart = (
        alt.Chart(alt.NamedData("last"))
        .mark_text(
            align="left", dx=6, dy=shift, color=colour, fontWeight=600, text=text, opacity=opacity
        )
        .encode(x="t:T", y=f"{field}:Q")
    )
    return drawn


def cursor(colours: Tokens, dots: Mapping[str, str]) -> list[alt.Chart]:
    """The crosshair and a dot on each of the fields `dots`, with their colours."""
    data = alt.Chart(alt.NamedData("hover"))
    drawn = [data.mark_rule(color=colours["muted"], strokeWidth=1).encode(x="t:T")]
    for field, colour in dots.items():
        drawn.append(
            data.mark_point(
                filled=True,
                size=42,
                color=colour,
                stroke=colours["bg"],
                strokeWidth=1.5,
                opacity=1,
                clip=True,
            ).encode(x="t:T", y=f"{field}:Q")
        )
    return drawn


def overview(frame: str, field: str, colours: Tokens, brush: alt.Parameter) -> alt.Chart:
    """The strip below the panels on which the reader drags a window."""
    axis = alt.Axis(
        title=None, labels=False, grid=False, minExtent=Y_AXIS_WIDTH, maxExtent=Y_AXIS_WIDTH
    )
    drawn: alt.Chart = (
        alt.Chart(alt.NamedData(frame))
        .mark_line(color=colours["muted"], strokeWidth=0.8)
        .encode(
            x=time_x(labels=False),
            y=alt.Y(f"{field}:Q", axis=axis, scale=alt.Scale(zero=False)),
        )
        .properties(
            width=FULL_WIDTH,
            height=30,
            view=alt.ViewConfig(fill=colours["wash"], stroke=colours["rule"]),
        )
        .add_params(brush)
    )
    return drawn


def time_brush(colours: Tokens, name: str = "brush") -> alt.Parameter:
    """The selection that zooms all panels."""
    mark = alt.BrushConfig(
        fill=colours["ink"], fillOpacity=0.10, stroke=colours["muted"], strokeWidth=1
    )
    return alt.selection_interval(name=name, encodings=["x"], mark=mark)


def unzoomed(brush: str = "brush") -> str:
    """Opacity expression: visible while nothing is zoomed."""
    return f"isDefined({brush}['t']) ? 0 : 1"


def panel(layers: Sequence[alt.Chart], title: str, height: int) -> Drawing:
    """Layers on one time axis under a title."""
    return alt.layer(*layers).properties(width=FULL_WIDTH, height=height, title=panel_title(title))


def stack(panels: Sequence[Drawing]) -> Drawing:
    """Panels below each other, plots aligned."""
    return alt.vconcat(*panels, spacing=14, bounds="full")


def edge_label(
    colours: Tokens, text: str, side: Literal["left", "right"], *, above: int = -2
) -> alt.Chart:
    """A caption in an upper corner of the plot, `above` pixels over its edge."""
    at = alt.value(0) if side == "left" else alt.value(alt.ExprRef("width"))
    drawn: alt.Chart = (
        literal({})
        .mark_text(align=side, color=colours["muted"], baseline="top", text=text)
        .encode(x=at, y=alt.value(-above))
    )
    return drawn


def separation(
    first: float, second: float, *, near: float, shift: float = 7
) -> tuple[float, float]:
    """Vertical shifts that keep two end labels apart when their points are within `near`."""
    if abs(first - second) >= near:
        return 0, 0
    return (shift, -shift) if first < second else (-shift, shift)
