"""One answer to whether a pair is cointegrated, from several tests that may disagree."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from quant_pipeline import analytics
from quant_pipeline.research.leg import LegStatistics
from quant_pipeline.research.outcome import Undefined

LEVEL = 0.05


class Finding(StrEnum):
    """What the tests say together."""

    COINTEGRATED = "cointegrated"
    DISAGREE = "tests disagree"
    NOT_SHOWN = "not shown"
    ILL_POSED = "ill-posed"
    UNDEFINED = "undefined"


@dataclass(frozen=True)
class Verdict:
    """The finding and what it rests on.

    Attributes:
        finding: cointegrated only if every test of no relation rejects at 5 %; failing to reject
            is `NOT_SHOWN`, never "not cointegrated".
        rejecting: tests of no relation that reject at 5 %.
        tests: tests of no relation that were made.
        reason: why there is no verdict, or why the question is ill-posed.
    """

    finding: Finding
    rejecting: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    reason: str = ""


def judge(
    legs: tuple[LegStatistics, LegStatistics],
    engle_granger: analytics.CointegrationDirections | Undefined,
    johansen: analytics.Johansen | Undefined,
) -> Verdict:
    """Weigh both Engle–Granger directions and both Johansen statistics of rank zero.

    Cointegration is a question about two series that are each integrated of order one; where a
    leg is not, the question is ill-posed and its answer is not given.
    """
    if isinstance(engle_granger, Undefined):
        return Verdict(Finding.UNDEFINED, reason=engle_granger.reason)
    if isinstance(johansen, Undefined):
        return Verdict(Finding.UNDEFINED, reason=johansen.reason)
    for direction in (engle_granger.y_on_x, engle_granger.x_on_y):
        if not direction.defined:
            return Verdict(Finding.UNDEFINED, reason=f"Engle–Granger: {direction.reason}.")
    y, x = legs[0].symbol, legs[1].symbol
    outcomes = {
        f"Engle–Granger, {y} on {x}": engle_granger.y_on_x.rejects(LEVEL),
        f"Engle–Granger, {x} on {y}": engle_granger.x_on_y.rejects(LEVEL),
        "Johansen trace": bool(johansen.trace[0] > johansen.trace_critical_values[0, 1]),
        "Johansen maximum eigenvalue": bool(
            johansen.max_eigen[0] > johansen.max_eigen_critical_values[0, 1]
        ),
    }
    rejecting = tuple(name for name, rejects in outcomes.items() if rejects)
    tests = tuple(outcomes)
    for leg in legs:
        if leg.order == 0:
            reason = f"log {leg.symbol} looks stationary by itself, by ADF and KPSS"
            return Verdict(Finding.ILL_POSED, rejecting, tests, reason)
    if len(rejecting) == len(tests):
        return Verdict(Finding.COINTEGRATED, rejecting, tests)
    return Verdict(Finding.DISAGREE if rejecting else Finding.NOT_SHOWN, rejecting, tests)
