"""What is said of one symbol over a window of bars: integration, volatility, activity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_pipeline import analytics
from quant_pipeline.research.outcome import Undefined, attempt

MIN_BARS = 30
"""Fewer bars than this get no unit-root test: its asymptotics would be a fiction."""


@dataclass(frozen=True)
class LegStatistics:
    """One leg of a pair.

    Attributes:
        symbol: venue symbol.
        level: ADF and KPSS on log closes, aligned and carried forward.
        difference: the same on their first differences.
        volatility: close to close over the whole window, annualised, a share (0.5 is 50 %).
        vwap: quote currency per unit of base, over the date's bars.
        bars: bars with a trade on the date.
        trades: number of trades.
        quote_volume: value traded, quote currency.
        buy_share: share of base volume in which the buyer was the aggressor.
        change_bps: log change of the close from the first aligned bar to the last, basis points.
        activity: value traded in up to 24 equal stretches of the date's bars.
    """

    symbol: str
    level: analytics.Stationarity | Undefined
    difference: analytics.Stationarity | Undefined
    volatility: float | Undefined
    vwap: float | Undefined
    bars: int
    trades: int
    quote_volume: float
    buy_share: float | Undefined
    change_bps: float | Undefined
    activity: tuple[float, ...]

    @property
    def order(self) -> int | None:
        """Order of integration where ADF and KPSS agree on it: 0, 1, or None where they do not."""
        if isinstance(self.level, Undefined) or isinstance(self.difference, Undefined):
            return None
        if self.level.verdict == "stationary":
            return 0
        differenced = self.difference.adf.pvalue < self.difference.level
        return 1 if self.level.verdict == "unit root" and differenced else None


def describe(
    symbol: str,
    log_price: npt.NDArray[np.float64],
    bars: pl.DataFrame,
    *,
    seconds: int,
) -> LegStatistics:
    """Statistics of a leg.

    Args:
        symbol: venue symbol.
        log_price: aligned log closes, shape (n,).
        bars: the leg's own bars of the date.
        seconds: length of a bar.
    """
    volume = float(bars["volume"].sum()) if bars.height else 0.0
    return LegStatistics(
        symbol=symbol,
        level=integration(log_price),
        difference=integration(np.diff(log_price)),
        volatility=_volatility(log_price, seconds),
        vwap=float(bars["quote_volume"].sum()) / volume
        if volume > 0
        else Undefined("Nothing was traded."),
        bars=bars.height,
        trades=int(bars["trade_count"].sum()) if bars.height else 0,
        quote_volume=float(bars["quote_volume"].sum()) if bars.height else 0.0,
        buy_share=float(bars["buy_volume"].sum()) / volume
        if volume > 0
        else Undefined("Nothing was traded."),
        change_bps=float(log_price[-1] - log_price[0]) * 1e4
        if len(log_price) > 1
        else Undefined("A change needs two bars."),
        activity=_activity(bars),
    )


def integration(series: npt.NDArray[np.float64]) -> analytics.Stationarity | Undefined:
    """ADF and KPSS with a constant, or why they would say nothing."""
    if len(series) < MIN_BARS:
        return Undefined(f"{len(series)} observations; these tests are given at least {MIN_BARS}.")
    result = attempt(analytics.stationarity, series)
    if isinstance(result, Undefined):
        return result
    for test in (result.adf, result.kpss):
        if not test.defined:
            return Undefined(f"{test.test}: {test.reason}.")
    return result


def _volatility(log_price: npt.NDArray[np.float64], seconds: int) -> float | Undefined:
    n = len(log_price)
    if n < 3:
        return Undefined(f"{n} bars; a volatility needs 3.")
    close = np.exp(log_price)
    rolled = attempt(
        analytics.volatility,
        close,
        close,
        close,
        close,
        estimator="close_to_close",
        window=n,
        periods_per_year=analytics.periods_per_year(seconds),
    )
    return rolled if isinstance(rolled, Undefined) else float(rolled[-1])


def _activity(bars: pl.DataFrame, stretches: int = 24) -> tuple[float, ...]:
    """Value traded in equal stretches of time from the first bar to the last."""
    if bars.height < 2:
        return ()
    times = bars["bucket"].dt.epoch("ms").to_numpy()
    count = int(min(stretches, bars.height))
    position = (times - times[0]) / (times[-1] - times[0] + 1)
    totals = np.bincount(
        (position * count).astype(int), weights=bars["quote_volume"].to_numpy(), minlength=count
    )
    return tuple(float(value) for value in totals)
