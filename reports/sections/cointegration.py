"""Order of integration of both legs, and the tests of a long-run relation between them."""

from __future__ import annotations

from quant_pipeline import analytics
from quant_pipeline.research.leg import LegStatistics
from quant_pipeline.research.outcome import Undefined
from quant_pipeline.research.pair import PairStatistics
from quant_pipeline.research.scans import ScanTest
from quant_pipeline.research.verdict import LEVEL
from reports import formats
from reports.context import Context
from reports.page import Section, need
from reports.tables import Cell, Column, Row, Table

TITLE = "Is there a long-run relation?"


def build(statistics: PairStatistics, context: Context) -> Section:
    """Tables of unit-root and cointegration tests."""
    need(statistics.engle_granger)
    need(statistics.johansen)
    return Section(
        key="cointegration",
        title=TITLE,
        lead=_lead(statistics),
        blocks=[
            integration_table(statistics),
            cointegration_table(statistics),
            scan_table(statistics),
        ],
    )


def _lead(statistics: PairStatistics) -> str:
    orders = [leg.order for leg in statistics.legs]
    if orders == [1, 1]:
        posed = "Both legs look integrated of order one, so the question is well posed."
    elif 0 in orders:
        names = [leg.symbol for leg in statistics.legs if leg.order == 0]
        posed = (
            f"{' and '.join(names)} may be stationary by itself in this window, so the tests "
            "below answer a question that does not arise."
        )
    else:
        posed = "The tests do not settle the order of integration of both legs."
    verdict = statistics.verdict
    made = formats.spelled(len(verdict.tests))
    if not verdict.rejecting:
        count = f"None of the {made} tests of no relation rejects at 5%."
    else:
        count = (
            f"{formats.spelled(len(verdict.rejecting)).capitalize()} of the "
            f"{made} tests of no relation reject "
            f"at 5%: {'; '.join(verdict.rejecting)}."
        )
    return f"{posed} {count}"


# --- order of integration ------------------------------------------------------------------


def integration_table(statistics: PairStatistics) -> Table:
    """ADF and KPSS of levels and differences, and what both say together."""
    rows: list[Row] = []
    for leg in statistics.legs:
        rows += _leg_rows(leg, statistics.bars.timeframe)
    return Table(
        key="integration",
        caption="Order of integration",
        note=(
            "Constant, no trend. ADF lags by AIC; KPSS bandwidth by Hobijn, Franses and Ooms. "
            "The two nulls are opposite: agreement informs, and a conflict is shown as one."
        ),
        stub="Series",
        columns=[
            Column("adf", "Statistic", spanner="ADF (null: unit root)"),
            Column(
                "adf_critical",
                "5% critical",
                spanner="ADF (null: unit root)",
                footnote="MacKinnon (2010); the test rejects below this value.",
            ),
            Column("adf_p", "p", spanner="ADF (null: unit root)"),
            Column("adf_lags", "Lags", spanner="ADF (null: unit root)"),
            Column("kpss", "Statistic", spanner="KPSS (null: stationary)"),
            Column("kpss_critical", "5% critical", spanner="KPSS (null: stationary)"),
            Column("kpss_p", "p", spanner="KPSS (null: stationary)"),
            Column("kpss_lags", "Lags", spanner="KPSS (null: stationary)"),
            Column("reading", "Reading", align="left"),
        ],
        rows=rows,
    )


def _leg_rows(leg: LegStatistics, timeframe: str) -> list[Row]:
    names = (f"log {leg.symbol}", f"Δ log {leg.symbol}, {formats.bar_size(timeframe)}")
    return [
        _tests_row(name, both)
        for name, both in zip(names, (leg.level, leg.difference), strict=True)
    ]


def _tests_row(name: str, both: analytics.Stationarity | Undefined) -> Row:
    if isinstance(both, Undefined):
        missing: dict[str, Cell] = dict.fromkeys(
            ("adf_critical", "adf_p", "adf_lags", "kpss", "kpss_critical", "kpss_p", "kpss_lags"),
            formats.MISSING,
        )
        return {"stub": name, "adf": both, **missing, "reading": "not testable"}
    return {
        "stub": name,
        "adf": formats.number(both.adf.statistic),
        "adf_critical": formats.number(both.adf.critical_values["5%"]),
        "adf_p": formats.pvalue(both.adf.pvalue),
        "adf_lags": formats.count(both.adf.lags),
        "kpss": formats.number(both.kpss.statistic),
        "kpss_critical": formats.number(both.kpss.critical_values["5%"]),
        "kpss_p": formats.pvalue(both.kpss.pvalue),
        "kpss_lags": formats.count(both.kpss.lags),
        "reading": both.verdict,
    }


# --- cointegration ----------------------------------------------------------------------------


def cointegration_table(statistics: PairStatistics) -> Table:
    """Engle–Granger both ways round and Johansen's two statistics for each rank."""
    both = need(statistics.engle_granger)
    johansen = need(statistics.johansen)
    y, x = (leg.symbol for leg in statistics.legs)
    rows = [
        _engle_granger_row(f"{y} on {x}", both.y_on_x),
        _engle_granger_row(f"{x} on {y}", both.x_on_y),
        *_johansen_rows(johansen),
    ]
    return Table(
        key="cointegration-tests",
        caption="Cointegration, both ways round",
        note="A verdict that depends on which leg stands on the left is not a verdict.",
        stub="Null: no cointegration",
        columns=[
            Column("slope", "Slope"),
            Column("statistic", "Statistic"),
            Column(
                "critical",
                "5% critical",
                footnote=(
                    "Engle–Granger: MacKinnon’s response surface for two series, reject below; "
                    "these are not Dickey–Fuller’s values, because the slope is estimated. "
                    "Johansen: Osterwald-Lenum (1992), reject above."
                ),
            ),
            Column("p", "p"),
            Column("lags", "Lags"),
            Column("outcome", "At 5%", align="left"),
        ],
        rows=rows,
        row_notes=_residual_note(statistics, f"{y} on {x}"),
    )


def _engle_granger_row(name: str, fit: analytics.Cointegration) -> Row:
    return {
        "group": "Engle–Granger, constant",
        "stub": name,
        "slope": formats.number(fit.beta, 3),
        "statistic": formats.number(fit.statistic),
        "critical": formats.number(fit.critical_values["5%"]),
        "p": formats.pvalue(fit.pvalue),
        "lags": formats.count(fit.lags),
        "outcome": _outcome(fit.rejects(LEVEL)),
    }


def _johansen_rows(fit: analytics.Johansen) -> list[Row]:
    rows: list[Row] = []
    for rank, null in enumerate(("rank = 0", "rank ≤ 1")):
        for name, statistics, criticals in (
            ("trace", fit.trace, fit.trace_critical_values),
            ("maximum eigenvalue", fit.max_eigen, fit.max_eigen_critical_values),
        ):
            statistic, critical = float(statistics[rank]), float(criticals[rank, 1])
            rows.append(
                {
                    "group": "Johansen, unrestricted constant",
                    "stub": f"{null}, {name}",
                    "slope": "",
                    "statistic": formats.number(statistic),
                    "critical": formats.number(critical),
                    "p": "",
                    "lags": formats.count(fit.lags),
                    "outcome": _outcome(statistic > critical),
                }
            )
    return rows


def _residual_note(statistics: PairStatistics, row: str) -> dict[str, str]:
    adf = statistics.spread_adf
    if isinstance(adf, Undefined):
        return {}
    criticals = ", ".join(
        f"{level} {formats.number(value)}" for level, value in adf.critical_values.items()
    )
    return {
        row: (
            f"A plain ADF of the same residual (statistic {formats.number(adf.statistic)}, "
            f"{formats.p_equals(adf.pvalue)}, {formats.count_of(adf.lags, 'lag')}; critical values "
            f"{criticals}) takes the slope as known and rejects too often; it is not used for the "
            "verdict."
        )
    }


# --- the pair among all pairs --------------------------------------------------------------------


def scan_table(statistics: PairStatistics) -> Table:
    """The pair's p-values in the latest universe scan, adjusted for all tests made there."""
    scan = statistics.bars.scan
    y, x = (leg.symbol for leg in statistics.legs)
    if isinstance(scan, Undefined):
        note = "A pair that was found by looking at many must be judged by q, not by p."
        rows: list[Row] = [{"stub": f"{y} on {x}", "p": "", "q": "", "decides": scan}]
    else:
        note = (
            f"Scan of {formats.count(scan.symbols)} symbols, {formats.count(scan.tests)} tests: "
            f"{formats.count(scan.bars)} bars of {formats.bar_size(scan.timeframe)} to "
            f"{formats.day(scan.day)}, taken {formats.moment(scan.taken_at)} from lake snapshot "
            f"{scan.lake_snapshot}. Its window is not this page’s."
        )
        rows = [
            _scan_row(f"{y} on {x}", scan.y_on_x),
            _scan_row(f"{x} on {y}", scan.x_on_y),
        ]
    return Table(
        key="scan-qvalues",
        caption="Among all pairs: adjusted for the number of tests",
        note=note,
        stub="Engle–Granger",
        columns=[
            Column("p", "p in the scan"),
            Column("q", "q", footnote="Benjamini–Hochberg (1995)."),
            Column(
                "decides",
                "q that decides",
                footnote="Benjamini–Yekutieli (2001): tests that share a symbol depend on one "
                "another, and this one holds whatever the dependence.",
            ),
        ],
        rows=rows,
    )


def _scan_row(name: str, test: ScanTest | Undefined) -> Row:
    if isinstance(test, Undefined):
        return {"stub": name, "p": "", "q": "", "decides": test}
    return {
        "stub": name,
        "p": formats.pvalue(test.pvalue),
        "q": formats.pvalue(test.qvalue),
        "decides": formats.pvalue(test.qvalue_by),
    }


def _outcome(rejects: bool) -> str:
    return "rejected" if rejects else "not rejected"
