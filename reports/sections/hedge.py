"""Hedge ratios by several estimators, and how fast the spread comes back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import polars as pl

from quant_pipeline.research.outcome import Undefined
from quant_pipeline.research.pair import PairStatistics
from quant_pipeline.research.verdict import Finding
from reports import charts, formats, tables
from reports.context import Context
from reports.page import (
    Block,
    Chart,
    Columns,
    CursorLine,
    Section,
    TimeAxis,
    milliseconds,
    need,
)
from reports.reduction import keep_extremes
from reports.tables import Column, Row, Table
from reports.theme import Tokens

TITLE = "Hedge ratio and mean reversion"
_FRAME = "hedge"
_NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class _Estimate:
    name: str
    slope: float | Undefined
    stderr: float | None
    error: str


def build(statistics: PairStatistics, context: Context) -> Section:
    """Table of slopes, table of reversion, and the slope over time."""
    need(statistics.hedge.ols)
    blocks: list[Block] = [
        Columns([hedge_table(statistics), reversion_table(statistics)], uneven=True)
    ]
    if not isinstance(statistics.hedge.kalman, Undefined):
        blocks.append(slope_chart(statistics))
    return Section(key="hedge", title=TITLE, lead=_lead(statistics), blocks=blocks)


def _lead(statistics: PairStatistics) -> str:
    slopes = [
        estimate.slope for estimate in _estimates(statistics) if isinstance(estimate.slope, float)
    ]
    text = (
        f"Estimates of the slope run from {formats.number(min(slopes))} to "
        f"{formats.number(max(slopes))}. "
    )
    if statistics.verdict.finding is Finding.COINTEGRATED:
        return text + "Levels slopes describe the long run, returns slopes hedging over one bar."
    return text + (
        "Without evidence of cointegration the slope in levels can be spurious; the slope in "
        "returns is the one that describes hedging over one bar."
    )


def _estimates(statistics: PairStatistics) -> list[_Estimate]:
    hedge, size = statistics.hedge, formats.bar_size(statistics.bars.timeframe)

    def stderr(fit: object) -> float | None:
        return None if isinstance(fit, Undefined) else float(getattr(fit, "beta_stderr", math.nan))

    def slope(fit: object) -> float | Undefined:
        return fit if isinstance(fit, Undefined) else float(getattr(fit, "beta", math.nan))

    inverse = slope(hedge.inverse)
    estimates = [
        _Estimate("OLS, log levels", slope(hedge.ols), stderr(hedge.ols), "independent errors"),
        _Estimate(
            "OLS the other way round, inverted",
            inverse if isinstance(inverse, Undefined) else _inverted(inverse),
            None,
            "",
        ),
        _Estimate("Total least squares", slope(hedge.total), None, ""),
        _Estimate(
            "Dynamic OLS, 4 leads and lags",
            slope(hedge.dynamic),
            stderr(hedge.dynamic),
            "Bartlett kernel",
        ),
        _Estimate(
            f"OLS, {size} returns",
            slope(hedge.returns),
            stderr(hedge.returns),
            "independent errors",
        ),
    ]
    kalman = hedge.kalman
    if isinstance(kalman, Undefined):
        estimates.append(_Estimate("Kalman filter, last bar", kalman, None, ""))
    else:
        estimates.append(
            _Estimate(
                "Kalman filter, last bar",
                float(kalman.fit.beta[-1]),
                float(kalman.fit.beta_stderr[-1]),
                "filter variance",
            )
        )
    return estimates


def _inverted(slope: float) -> float | Undefined:
    return 1 / slope if slope else Undefined("The reverse slope is zero.")


def hedge_table(statistics: PairStatistics) -> Table:
    """Each estimator's slope with its interval."""
    y, x = (leg.symbol for leg in statistics.legs)
    estimates = _estimates(statistics)
    return Table(
        key="hedge-ratios",
        caption=f"Hedge ratio: log {y} per log {x}",
        note="Levels and returns answer different questions; they agree only if the pair is "
        "cointegrated.",
        stub="Estimator",
        columns=[
            Column("slope", "Slope β"),
            Column("stderr", "Std. error"),
            Column("interval", "95% interval"),
            Column("drawn", "Dashed: β = 1", align="left"),
            Column("error", "Standard error by", align="left"),
        ],
        rows=_hedge_rows(estimates),
        row_notes={
            "OLS, log levels": (
                "Independent errors are supposed. Between trending series they are not, and this "
                "standard error is then far too small: never test a slope with it."
            ),
            "OLS the other way round, inverted": (
                "Least squares takes one leg as exact. The gap between both ways round is what "
                "that assumption costs."
            ),
        },
    )


def _hedge_rows(estimates: Sequence[_Estimate]) -> list[Row]:
    ends = [
        end
        for estimate in estimates
        if isinstance(estimate.slope, float)
        for half in (_NORMAL_95 * (estimate.stderr or 0.0),)
        for end in (estimate.slope - half, estimate.slope + half)
    ]
    extent = (min([*ends, 1.0]), max([*ends, 1.0]))
    rows: list[Row] = []
    for estimate in estimates:
        slope, stderr = estimate.slope, estimate.stderr
        if isinstance(slope, Undefined):
            rows.append({"stub": estimate.name, "slope": slope})
            continue
        half = _NORMAL_95 * (stderr or 0.0)
        known = stderr is not None
        rows.append(
            {
                "stub": estimate.name,
                "slope": formats.number(slope, 3),
                "stderr": formats.number(stderr, 3),
                "interval": formats.interval(slope - half, slope + half)
                if known
                else formats.MISSING,
                "drawn": tables.whisker(
                    slope - half, slope, slope + half, extent=extent, reference=1.0
                ),
                "error": estimate.error or "none given",
            }
        )
    return rows


def reversion_table(statistics: PairStatistics) -> Table:
    """The AR(1) of the spread and the half-life it implies."""
    seconds = statistics.bars.seconds
    fit = statistics.half_life
    crossings = statistics.crossings
    rows: list[Row] = []
    if isinstance(fit, Undefined):
        rows.append({"stub": "Half-life", "value": fit})
    else:
        rows += [
            {"stub": "AR(1) coefficient φ", "value": formats.number(fit.ar1, 4)},
            {"stub": "Standard error of φ", "value": formats.number(fit.ar1_stderr, 4)},
            {"stub": "Half-life", "value": formats.duration(fit.half_life * seconds)},
            {"stub": "95% interval, lower", "value": formats.duration(fit.lower * seconds)},
            {"stub": "95% interval, upper", "value": formats.duration(fit.upper * seconds)},
        ]
    if isinstance(crossings, Undefined):
        rows.append({"stub": "Mean crossings", "value": crossings})
    else:
        rows += [
            {"stub": "Mean crossings", "value": formats.count(crossings.count)},
            {
                "stub": "Time between crossings",
                "value": formats.duration(crossings.mean_bars_between * seconds),
            },
        ]
    return Table(
        key="reversion",
        caption="Speed of mean reversion",
        note=f"AR(1) of the OLS spread, {statistics.bars.n:,} bars of "
        f"{formats.bar_size(statistics.bars.timeframe)}.",
        stub="Quantity",
        columns=[Column("value", "Spread")],
        rows=rows,
        row_notes={
            "AR(1) coefficient φ": (
                "Biased towards zero by about (1 + 3φ)/n (Kendall, 1954), and the slope is taken "
                "as known: the half-life reads too short."
            )
        },
    )


# --- the slope over time -----------------------------------------------------------------------


def slope_chart(statistics: PairStatistics) -> Chart:
    """Kalman slope with its band beside the trailing OLS slope."""
    kalman = need(statistics.hedge.kalman)
    columns = ["beta", "beta_kalman", "beta_kalman_low", "beta_kalman_high"]
    series = milliseconds(statistics.series).select("t", *columns)
    # The filter starts without knowledge: its first slopes are noise that would set the scale.
    warm_up = min(statistics.window, series.height // 4)
    settled = series.with_columns(
        pl.when(pl.int_range(pl.len()) < warm_up).then(None).otherwise(pl.col(name)).alias(name)
        for name in columns[1:]
    )
    rows, reduced = keep_extremes(settled, "t", columns)
    y, x = (leg.symbol for leg in statistics.legs)
    first, last = _ends(rows["beta_kalman"])
    every = "" if kalman.every == 1 else f" on every {kalman.every}th bar"
    window = formats.duration(statistics.window * statistics.bars.seconds)
    return Chart(
        key="hedge-slope",
        headline=f"The filtered slope went from {formats.number(first)} to {formats.number(last)}",
        description=(
            f"Hedge ratio of log {y} per log {x} over time: the Kalman filter’s slope with its 95% "
            f"band, from {formats.number(first)} to {formats.number(last)}, and the OLS slope over "
            f"the trailing {window}."
        ),
        draw=lambda colours: _draw_slope(colours, rows),
        frames={_FRAME: rows},
        note=(
            f"Line and 95% band: Kalman filter with random-walk coefficients, noise by maximum "
            f"likelihood over the whole window{every}, so it looks ahead; its first {warm_up} bars "
            f"are left out. Dashed: OLS over the trailing {window}."
            + (" Drawn from the extremes of each pixel column." if reduced else "")
        ),
        time=TimeAxis(
            frame=_FRAME,
            window=(int(rows["t"][0]), int(rows["t"][-1])),
            lines=[
                CursorLine("Kalman", "beta_kalman", 3, colour="first"),
                CursorLine("95% low", "beta_kalman_low", 3),
                CursorLine("95% high", "beta_kalman_high", 3),
                CursorLine("Trailing OLS", "beta", 3, colour="second"),
            ],
        ),
    )


def _ends(series: pl.Series) -> tuple[float | None, float | None]:
    known = series.drop_nulls()
    return (float(known[0]), float(known[-1])) if known.len() else (None, None)


def _draw_slope(colours: Tokens, rows: pl.DataFrame) -> charts.Drawing:
    axis = charts.time_x()

    domain = charts.extent([rows[name] for name in rows.columns if name != "t"])

    def y(field: str) -> alt.Y:
        return charts.value_y(field, label_expr=charts.PLAIN, domain=domain)

    last_kalman, last_trailing = rows["beta_kalman"][-1], rows["beta"][-1]
    shift = 0.0, 0.0
    if last_kalman is not None and last_trailing is not None:
        known = pl.concat([rows["beta_kalman"], rows["beta"]]).drop_nulls()
        reach = float(known.max()) - float(known.min())  # type: ignore[arg-type]
        shift = charts.separation(last_kalman, last_trailing, near=reach * 0.08)
    return alt.layer(
        charts.band(
            _FRAME,
            "beta_kalman_low",
            "beta_kalman_high",
            colours["first"],
            y=y("beta_kalman_low"),
            x=axis,
        ),
        charts.line(_FRAME, "beta", colours["second"], y=y("beta"), x=axis, width=1.2, dash=True),
        charts.line(_FRAME, "beta_kalman", colours["first"], y=y("beta_kalman"), x=axis, width=1.6),
        charts.end_label("beta_kalman", "Kalman", colours["first"], shift=shift[0]),
        charts.end_label("beta", "Trailing OLS", colours["second"], shift=shift[1]),
        *charts.cursor(colours, {"beta_kalman": colours["first"], "beta": colours["second"]}),
    ).properties(width=charts.FULL_WIDTH, height=150)
