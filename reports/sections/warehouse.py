"""What dbt's liquidity tables say: rows for tables of a date, its hours, and the usual day."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import altair as alt

from quant_pipeline.research.outcome import Undefined
from quant_pipeline.research.warehouse import SEASON_DAYS, LiquidityTables
from reports import charts, formats
from reports.page import Chart
from reports.tables import Cell, Column, Row, Table
from reports.theme import Tokens

_NO_VALUE = Undefined(
    "The formula is undefined on these bars, or noise exceeds the spread; never shown as zero."
)
_FEWEST_DAYS = 2

Measure = tuple[str, str, Callable[[LiquidityTables], Cell]]
"""Group, name and value of one line."""


def measures(symbols: Sequence[str]) -> list[Measure]:
    """The lines that a table of a date shows, for one symbol or several."""
    return [
        ("Volume by price, whole date", "Point of control", _control),
        ("Volume by price, whole date", "Value area", _value_area),
        *[
            ("Effective spread, from 1 min bars, bp", name, _proxy(field))
            for name, field in (
                ("Roll, 1 min", "roll"),
                ("Corwin–Schultz, 1 min", "corwin_schultz"),
                ("Abdi–Ranaldo, 1 min", "abdi_ranaldo"),
            )
        ],
        ("Impact and flow", _amihud(symbols), _proxy("amihud")),
        ("Impact and flow", "Net aggressive buying, share", _imbalance),
        ("Size and timing of trades", "Median size by hour, base units", _median_size),
        ("Size and timing of trades", "Large trades by hour, share of value", _large_share),
        ("Size and timing of trades", "Median time between trades, by hour", _median_duration),
        ("Size and timing of trades", "Longest time between trades", _longest),
    ]


def notes(symbols: Sequence[str]) -> dict[str, str]:
    """Footnotes of the lines, by name."""
    return {
        "Value area": "The bins around the point of control that hold dbt’s value_area_share "
        "of the volume.",
        _amihud(symbols): "Mean absolute one-minute return per million traded (2002).",
        "Large trades by hour, share of value": "Worth dbt’s large_trade_quote or more.",
        "Median size by hour, base units": "Lowest and highest hour of the date, here and below.",
    }


def _amihud(symbols: Sequence[str]) -> str:
    return f"Amihud, bp per million {formats.quote(*symbols)}"


def rows(
    tables: Sequence[LiquidityTables | Undefined], keys: Sequence[str], symbols: Sequence[str]
) -> list[Row]:
    """One row a measure, one column a symbol; where a symbol has no tables, the reason."""
    made: list[Row] = []
    for group, name, value in measures(symbols):
        cells = {
            key: table if isinstance(table, Undefined) else value(table)
            for key, table in zip(keys, tables, strict=True)
        }
        made.append({"group": group, "stub": name, **cells})
    return made


def _control(tables: LiquidityTables) -> Cell:
    area = tables.value_area
    if isinstance(area, Undefined):
        return area
    return _prices(area.control_low, area.control_high)


def _value_area(tables: LiquidityTables) -> Cell:
    area = tables.value_area
    if isinstance(area, Undefined):
        return area
    return _prices(area.low, area.high)


def _prices(low: float, high: float) -> str:
    """Edges of price bins, with the decimals that both need."""
    decimals = next((n for n in range(8) if all(round(v, n) == v for v in (low, high))), 8)
    return formats.interval(low, high, decimals)


def _proxy(field: str) -> Callable[[LiquidityTables], Cell]:
    def value(tables: LiquidityTables) -> Cell:
        if isinstance(tables.proxies, Undefined):
            return tables.proxies
        found = getattr(tables.proxies, field)
        return _NO_VALUE if found is None else formats.number(found)

    return value


def _imbalance(tables: LiquidityTables) -> Cell:
    found = tables.imbalance
    return found if isinstance(found, Undefined) else formats.percent(found)


def _median_size(tables: LiquidityTables) -> Cell:
    sizes = tables.hours["median_quantity"]
    low, high = formats.aligned([sizes.min(), sizes.max()])  # type: ignore[list-item]
    return low if low == high else f"{low} to {high}"


def _large_share(tables: LiquidityTables) -> Cell:
    shares = tables.hours["large_share"].drop_nulls()
    if shares.is_empty():
        return Undefined("Nothing was traded.")
    low, high = (formats.percent(float(value)) for value in (shares.min(), shares.max()))  # type: ignore[arg-type]
    return low if low == high else f"{low} to {high}"


def _median_duration(tables: LiquidityTables) -> Cell:
    found = tables.hours["median_s"].drop_nulls()
    if found.is_empty():
        return Undefined("No hour has two trades.")
    low, high = (formats.duration(float(value)) for value in (found.min(), found.max()))  # type: ignore[arg-type]
    return low if low == high else f"{low} to {high}"


def _longest(tables: LiquidityTables) -> Cell:
    found = tables.hours["longest_s"].drop_nulls()
    if found.is_empty():
        return Undefined("No hour has two trades.")
    return formats.duration(float(found.max()))  # type: ignore[arg-type]


def date_table(symbol: str, tables: LiquidityTables) -> Table:
    """The date as a whole, one symbol."""
    return Table(
        key="liquidity-date",
        caption="The date as a whole",
        note="From dbt’s liquidity tables.",
        stub="Measure",
        columns=[Column("value", symbol)],
        rows=rows([tables], ["value"], [symbol]),
        row_notes=notes([symbol]),
    )


# --- the hours of a date -------------------------------------------------------------------------


def hours_table(symbol: str, tables: LiquidityTables) -> Table:
    """One row an hour: sizes, durations, flow and proxies."""
    hours = tables.hours
    sizes = {
        name: formats.aligned(hours[name].to_list()) for name in ("median_quantity", "p99_quantity")
    }
    waits = {name: formats.aligned(hours[name].to_list(), 2) for name in ("median_s", "p99_s")}
    rows: list[Row] = []
    for i, row in enumerate(hours.iter_rows(named=True)):
        start = row["bucket"]
        rows.append(
            {
                "stub": f"{start:%H}:00",
                "trades": formats.count(row["trades"]),
                **{name: column[i] for name, column in (sizes | waits).items()},
                "longest_s": formats.number(row["longest_s"], 1),
                "imbalance": formats.percent(row["imbalance"]),
                **{
                    name: _NO_VALUE if row[name] is None else formats.number(row[name])
                    for name in ("roll", "corwin_schultz", "abdi_ranaldo", "amihud")
                },
            }
        )
    return Table(
        key="liquidity-hours",
        caption="Liquidity, hour by hour",
        note="From dbt’s hourly tables. An hour without a trade has no row.",
        stub="Hour, UTC",
        columns=[
            Column("trades", "Trades"),
            Column("median_quantity", "Median", spanner="Size, base units"),
            Column("p99_quantity", "99%", spanner="Size, base units"),
            Column("median_s", "Median", spanner="Seconds between trades"),
            Column("p99_s", "99%", spanner="Seconds between trades"),
            Column("longest_s", "Longest", spanner="Seconds between trades"),
            Column("imbalance", "Net buying"),
            Column("roll", "Roll", spanner="Spread, bp"),
            Column("corwin_schultz", "Corwin–Schultz", spanner="Spread, bp"),
            Column("abdi_ranaldo", "Abdi–Ranaldo", spanner="Spread, bp"),
            Column(
                "amihud",
                "Amihud",
                footnote=f"Basis points per million {formats.quote(symbol)} traded; Amihud (2002).",
            ),
        ],
        rows=rows,
    )


# --- the usual day -------------------------------------------------------------------------------


def season_chart(symbol: str, tables: LiquidityTables) -> Chart | str:
    """Value traded by hour over several dates and on this one, or a sentence if there is one."""
    season, days = tables.season, tables.season_days
    if days < _FEWEST_DAYS:
        return (
            "The lake holds one date of bars up to this one; how volume usually spreads over the "
            f"day is shown from {_FEWEST_DAYS} dates on."
        )
    busiest = season.sort("mean", descending=True).row(0, named=True)
    headline = (
        f"On a usual day {symbol} trades most from {busiest['hour']:02d}:00 to "
        f"{busiest['hour'] + 1:02d}:00 UTC"
    )
    return Chart(
        key="course-season",
        headline=headline,
        description=(
            f"Value traded by hour of the day, mean of {days} dates with the quartiles across "
            f"dates, and this date. {headline}."
        ),
        draw=lambda colours: _draw_season(colours, formats.quote(symbol)),
        frames={"season": season},
        note=(
            f"Bars: mean of the last {days} dates with trades, of at most {SEASON_DAYS}, this one "
            f"included; lines: quartiles across dates. Points: this date. {formats.quote(symbol)}."
        ),
    )


def _draw_season(colours: Tokens, quote: str) -> charts.Drawing:
    data = alt.Chart(alt.NamedData("season")).transform_calculate(
        end="datum.hour + 0.86", middle="datum.hour + 0.43"
    )

    def x(field: str) -> alt.X:
        return alt.X(
            f"{field}:Q",
            scale=alt.Scale(domain=[0, 24], nice=False),
            axis=alt.Axis(title="Hour of the day, UTC", values=list(range(0, 25, 3))),
        )

    def y(field: str) -> alt.Y:
        return charts.value_y(field, label_expr=charts.SHORT, zero=True)

    tip = [
        alt.Tooltip("hour:Q", title="Hour, UTC"),
        alt.Tooltip("mean:Q", title=f"Mean, {quote}", format=",.0f"),
        alt.Tooltip("low:Q", title="Lower quartile", format=",.0f"),
        alt.Tooltip("high:Q", title="Upper quartile", format=",.0f"),
        alt.Tooltip("today:Q", title="This date", format=",.0f"),
    ]
    return alt.layer(
        data.mark_rect(color=colours["first"], opacity=0.45).encode(
            x=x("hour"), x2="end:Q", y=y("mean"), y2=alt.datum(0), tooltip=tip
        ),
        data.mark_rule(color=colours["first"], strokeWidth=1.4).encode(
            x=x("middle"), y=y("low"), y2="high:Q"
        ),
        data.transform_filter("isValid(datum.today)")
        .mark_point(filled=True, color=colours["second"], size=34, opacity=1)
        .encode(x=x("middle"), y=y("today"), tooltip=tip),
    ).properties(width=charts.FULL_WIDTH, height=150)
