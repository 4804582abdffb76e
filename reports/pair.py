"""The pair report: one pair, one UTC date."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from markupsafe import Markup

from quant_pipeline.research.liquidity_filter import LiquidityFilter
from quant_pipeline.research.outcome import Undefined
from quant_pipeline.research.pair import PairStatistics
from quant_pipeline.research.verdict import Finding
from quant_pipeline.settings import Settings
from reports import formats, page, publishing, theme
from reports.context import Context, from_settings
from reports.page import Page, Provenance, Section
from reports.publishing import Published, Summary
from reports.reduction import keep_extremes
from reports.sections import (
    alerts,
    changes,
    cointegration,
    hedge,
    horizons,
    limits,
    liquidity,
    prices,
    stability,
    timing,
)

KIND = "Pair report"
_PREVIEW_WIDTH = 420  # pixels: the value column of Dagster's asset page on a laptop

SECTIONS: tuple[tuple[str, str, Callable[[PairStatistics, Context], Section]], ...] = (
    ("alerts", alerts.TITLE, alerts.build),
    ("prices", prices.TITLE, prices.build),
    ("cointegration", cointegration.TITLE, cointegration.build),
    ("hedge", hedge.TITLE, hedge.build),
    ("stability", stability.TITLE, stability.build),
    ("horizons", horizons.TITLE, horizons.build),
    ("timing", timing.TITLE, timing.build),
    ("liquidity", liquidity.TITLE, liquidity.build),
    ("changes", changes.TITLE, changes.build),
    ("limits", limits.TITLE, limits.build),
)
"""The page from top to bottom. A new section is a module with `build` and a line here."""


def render(statistics: PairStatistics, context: Context) -> str:
    """The report as one HTML file; the same statistics and context give the same bytes."""
    return page.render(compose(statistics, context))


def compose(statistics: PairStatistics, context: Context) -> Page:
    """The report before it is HTML."""
    bars = statistics.bars
    return Page(
        kind=KIND,
        subject=f"{bars.pair.y} / {bars.pair.x}",
        date=formats.day(bars.day),
        headline=headline(statistics),
        verdict=verdict(statistics),
        facts=_facts(statistics, context),
        sections=[
            page.section_or_reason(key, title, partial(build, statistics, context))
            for key, title, build in SECTIONS
        ],
        provenance=Provenance(
            snapshot=bars.snapshot,
            code_version=context.code_version,
            settings={
                **context.settings,
                "pair": str(bars.pair),
                "timeframe": bars.timeframe,
                "window": statistics.window,
            },
        ),
        source=f"Source: {bars.venue.capitalize()} trades, exchange trade time.",
        downloads=_downloads(statistics),
    )


def preview(statistics: PairStatistics, mode: theme.Mode = "light") -> str:
    """Prices and spread as a small still SVG, with the verdict as its title."""
    if isinstance(statistics.hedge.ols, Undefined):
        return _empty_preview(statistics, mode)
    return page.still(prices.chart(statistics), headline(statistics), mode, width=_PREVIEW_WIDTH)


def publish(
    statistics: PairStatistics,
    settings: Settings,
    *,
    parameters: Mapping[str, object] | None = None,
) -> Published:
    """Render the report and its preview and put both where they are served from.

    Args:
        parameters: those that are not the settings', by name; see `publishing.place`.
    """
    bars = statistics.bars
    subject, title = publishing.place(bars.pair.key, f"{bars.pair.y} / {bars.pair.x}", parameters)
    before = publishing.previous(settings, kind="pair", subject=subject, before=bars.day)
    return publishing.publish(
        settings,
        kind="pair",
        subject=subject,
        html=render(statistics, from_settings(settings, previous=before, parameters=parameters)),
        preview=preview(statistics),
        summary=Summary(
            title=title,
            date=bars.day,
            headline=headline(statistics),
            finding=statistics.verdict.finding.value,
            snapshot=bars.snapshot,
            metrics=statistics.metrics(),
        ),
    )


def headline(statistics: PairStatistics) -> str:
    """The verdict in a line."""
    y, x = statistics.bars.pair
    match statistics.verdict.finding:
        case Finding.COINTEGRATED:
            return f"{y} and {x} were cointegrated in this window, by every test made"
        case Finding.DISAGREE:
            return f"The tests disagree on whether {y} and {x} were cointegrated in this window"
        case Finding.NOT_SHOWN:
            moved = _moved_together(statistics)
            return f"{y} and {x} {moved} not shown to be cointegrated in this window"
        case Finding.ILL_POSED:
            return f"Cointegration of {y} and {x} is not a question in this window"
        case Finding.UNDEFINED:
            return f"Nothing can be said about {y} and {x} in this window"


def _moved_together(statistics: PairStatistics) -> str:
    correlation = statistics.correlation
    together = isinstance(correlation, float) and correlation > 0.3
    return "moved together but were" if together else "were"


def verdict(statistics: PairStatistics) -> Markup:
    """The verdict with its evidence and its uncertainty, in two or three sentences."""
    found = statistics.verdict
    if found.finding is Finding.UNDEFINED:
        return Markup("<b>No verdict:</b> {}").format(_lower(found.reason))
    assert not isinstance(statistics.engle_granger, Undefined)
    assert not isinstance(statistics.johansen, Undefined)
    labels = {
        Finding.COINTEGRATED: "Cointegration found",
        Finding.DISAGREE: "Tests disagree",
        Finding.NOT_SHOWN: "No evidence of cointegration",
        Finding.ILL_POSED: f"Ill-posed: {found.reason}",
    }
    both, johansen = statistics.engle_granger, statistics.johansen
    evidence = Markup(
        "<b>{label}:</b> Engle–Granger {forward} and {reverse} the other way round, Johansen "
        "trace {trace} against a 5% critical value of {critical}."
    ).format(
        label=labels[found.finding],
        forward=formats.p_equals(both.y_on_x.pvalue),
        reverse=formats.p_equals(both.x_on_y.pvalue),
        trace=formats.number(float(johansen.trace[0]), 1),
        critical=formats.number(float(johansen.trace_critical_values[0, 1]), 1),
    )
    return Markup(" ").join([evidence, _half_life(statistics), _caution(statistics)])


def _half_life(statistics: PairStatistics) -> str:
    fit, seconds = statistics.half_life, statistics.bars.seconds
    if isinstance(fit, Undefined):
        return f"The half-life is undefined: {_lower(fit.reason)}"
    low, high = fit.lower * seconds, fit.upper * seconds
    interval = (
        f"from {formats.duration(low)} with no finite upper bound"
        if high == float("inf")
        else f"{formats.duration(low)} to {formats.duration(high)}"
    )
    return (
        f"The half-life of the spread is {formats.duration(fit.half_life * seconds)}, "
        f"95% interval {interval}."
    )


def _caution(statistics: PairStatistics) -> str:
    length = formats.duration(statistics.bars.n * statistics.bars.seconds)
    match statistics.verdict.finding:
        case Finding.COINTEGRATED:
            return (
                f"That describes {length} of data; a relation found in one window often fails in "
                "the next."
            )
        case Finding.NOT_SHOWN:
            return (
                f"With {length} of data, failing to reject says little: a slow relation could not "
                "be seen."
            )
        case Finding.DISAGREE:
            return f"A finding that depends on the test is not one to trade on; {length} of data."
        case _:
            return ""


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _empty_preview(statistics: PairStatistics, mode: theme.Mode) -> str:
    colours = theme.tokens(mode)
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" width="760" height="90" viewBox="0 0 760 90" '
        'role="img"><rect width="760" height="90" fill="{bg}"/>'
        '<g font-family="{font}" fill="{ink}"><text x="14" y="36" font-size="15" '
        'font-weight="600">{title}</text><text x="14" y="62" font-size="12.5" fill="{muted}">'
        "{reason}</text></g></svg>"
    ).format(
        bg=colours["bg"],
        ink=colours["ink"],
        muted=colours["muted"],
        font=theme.SANS.replace("'", ""),
        title=headline(statistics),
        reason=statistics.verdict.reason,
    )


def _facts(statistics: PairStatistics, context: Context) -> list[tuple[str, str]]:
    bars = statistics.bars
    y, x = bars.pair
    if bars.n:
        first, last = bars.frame["bucket"][0], bars.frame["bucket"][-1]
        window = f"{formats.moment(first)} to {formats.clock(last)}"
    else:
        window = f"{formats.day(bars.day)}, no overlap"
    filled = [
        f"{symbol} {formats.percent(bars.filled_share(leg))}"
        for leg, symbol in (("y", y), ("x", x))
    ]
    return [
        *context.facts,
        ("Window, UTC", window),
        (
            "Bars used",
            f"{bars.n:,} of {formats.bar_size(bars.timeframe)}, "
            f"{bars.provisional or 'none'} of them provisional",
        ),
        ("Carried forward for want of a trade", ", ".join(filled)),
        *_removed(bars.liquidity, bars.pair),
        ("Capture gaps detected", formats.count_of(bars.gaps.height, "gap")),
        ("Fee assumed", f"{formats.number(context.taker_fee_bps, 1)} bp a trade"),
        ("Venue, lake snapshot", f"{bars.venue.capitalize()}, {bars.snapshot}"),
    ]


def _removed(liquidity: LiquidityFilter, symbols: Iterable[str]) -> list[tuple[str, str]]:
    """A fact for a page whose bars went through the liquidity filter."""
    if not liquidity.applied:
        return []
    counts = [f"{symbol} {liquidity.removed.get(symbol, 0):,}" for symbol in symbols]
    return [("Thin bars taken out", ", ".join(counts))]


def _downloads(statistics: PairStatistics) -> list[page.Download]:
    bars = statistics.bars
    if bars.n == 0:
        return []
    stem = f"{bars.pair.key}_{bars.day:%Y-%m-%d}_{bars.timeframe}"
    drawn, _ = keep_extremes(
        statistics.series,
        "bucket",
        ["y", "x", "spread", "correlation", "beta_kalman"],
        pixel_columns=160,
    )
    return page.series_files(drawn, statistics.series.height, stem)
