"""Two opposite nulls read together."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import ArrayLike

from quant_pipeline.analytics._adf import adf
from quant_pipeline.analytics._inputs import require_option
from quant_pipeline.analytics._unit_root import UnitRoot
from quant_pipeline.analytics._unit_root_tests import kpss


@dataclass(frozen=True, slots=True)
class Stationarity:
    """Verdicts under both nulls and, in words, what they say together."""

    adf: UnitRoot
    kpss: UnitRoot
    verdict: str
    explanation: str
    level: float


def stationarity(x: ArrayLike, *, trend: str = "c", level: float = 0.05) -> Stationarity:
    """Ask both nulls, unit root (ADF) and stationarity (KPSS), and say what the answers mean.

    Formula
    -------
    ADF rejects and KPSS does not: stationary. KPSS rejects and ADF does not: unit root. Both
    reject: conflict. Neither rejects: inconclusive.

    Units
    -----
    level is a probability.

    Parameters
    ----------
    x : array of shape (n,)
        A level: a spread or log price.
    trend : {"c", "ct"}
        Deterministic terms of both tests.
    level : float
        Significance level of both tests.

    Returns
    -------
    Stationarity
        ``verdict`` is one of "stationary", "unit root", "conflict", "inconclusive", "undefined".

    Raises
    ------
    ValueError
        If a value is missing or infinite, or an option is unknown or out of range.

    References
    ----------
    Kwiatkowski et al. (1992), J. Econometrics 54, §1: the two nulls read together.

    Examples
    --------
    >>> import numpy as np
    >>> stationarity(np.random.default_rng(0).normal(size=500)).verdict
    'stationary'
    """
    require_option(trend, "trend", ("c", "ct"))
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}; it must lie between 0 and 1, such as 0.05")
    unit_root, stationary = adf(x, trend=trend), kpss(x, trend=trend)
    if not (unit_root.defined and stationary.defined):
        return Stationarity(
            unit_root,
            stationary,
            "undefined",
            f"No verdict: {unit_root.reason or stationary.reason}.",
            level,
        )
    verdict, words = _VERDICTS[unit_root.rejects(level), stationary.rejects(level)]
    explanation = (
        f"ADF p = {unit_root.pvalue:.3f} (null: unit root), "
        f"KPSS p = {stationary.pvalue:.3f} (null: stationary). {words}"
    )
    return Stationarity(unit_root, stationary, verdict, explanation, level)


_VERDICTS = {
    (True, False): (
        "stationary",
        "The unit root is rejected and stationarity is not: both tests agree on stationarity.",
    ),
    (False, True): (
        "unit root",
        "Stationarity is rejected and the unit root is not: both tests agree on a unit root.",
    ),
    (True, True): (
        "conflict",
        "Both nulls are rejected: neither a unit root nor stability around the chosen trend "
        "describes the series. Look for a break, a missing trend or long memory.",
    ),
    (False, False): (
        "inconclusive",
        "Neither null is rejected: the sample is too short or too noisy to tell them apart.",
    ),
}
