"""Newey and West's long-run variance: what a sum of autocorrelated terms varies by."""

from __future__ import annotations

from quant_pipeline.analytics._inputs import FloatArray, require_at_least


def newey_west_lags(n: int, lags: int | None) -> int:
    """``lags`` where given, otherwise ⌊4 (n/100)^(2/9)⌋ for ``n`` observations.

    >>> newey_west_lags(1_000, None)
    6
    """
    if lags is None:
        return int(4 * (n / 100) ** (2 / 9))
    require_at_least(lags, "lags", 0)
    return lags


def long_run_variance(values: FloatArray, lags: int) -> float:
    """Long-run variance of terms of mean zero, by the Bartlett kernel.

    Newey, W. K. and West, K. D. (1987), Econometrica 55(3), 703–708.
    """
    n = len(values)
    total = float(values @ values) / n
    for k in range(1, lags + 1):
        total += 2 * (1 - k / (lags + 1)) * float(values[k:] @ values[:-k]) / n
    return total
