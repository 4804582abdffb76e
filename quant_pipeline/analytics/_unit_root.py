"""The result of a test of a unit root, or of its absence."""

from __future__ import annotations

from dataclasses import dataclass

UNIT_ROOT_NULL = "the series has a unit root"
STATIONARY_NULL = "the series is stationary"


@dataclass(frozen=True, slots=True)
class UnitRoot:
    """Result of a unit-root (or stationarity) test; NaN where ``defined`` is false.

    ``n`` counts the observations of the test regression, ``critical_values`` are keyed "1%", "5%",
    "10%". ``null_hypothesis`` says what a small p-value rejects.
    """

    statistic: float
    pvalue: float
    lags: int
    n: int
    critical_values: dict[str, float]
    test: str
    trend: str
    null_hypothesis: str
    defined: bool = True
    reason: str | None = None

    def rejects(self, level: float = 0.05) -> bool:
        """Whether the null is rejected at ``level``; never when undefined."""
        return self.defined and self.pvalue < level


def undefined(test: str, trend: str, null: str, reason: str) -> UnitRoot:
    """A result without a verdict, and why there is none."""
    nan = float("nan")
    none = {"1%": nan, "5%": nan, "10%": nan}
    return UnitRoot(nan, nan, 0, 0, none, test, trend, null, False, reason)
