"""Everything a pair report says, computed from the pair's bars and trades."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_pipeline import analytics
from quant_pipeline.research import horizons, leg, pair_series, timing
from quant_pipeline.research.horizons import Horizon
from quant_pipeline.research.leg import MIN_BARS, LegStatistics
from quant_pipeline.research.outcome import Undefined, attempt, finite
from quant_pipeline.research.pair_bars import PairBars
from quant_pipeline.research.pair_series import KalmanTrack
from quant_pipeline.research.timing import Timing
from quant_pipeline.research.verdict import Verdict, judge

FloatArray = npt.NDArray[np.float64]
Metric = float | int | None
T = TypeVar("T")

STABILITY_WINDOWS = 12


@dataclass(frozen=True)
class Hedge:
    """Hedge ratios of log y per log x; `inverse` is log x per log y."""

    ols: analytics.OlsFit | Undefined
    inverse: analytics.OlsFit | Undefined
    total: analytics.TlsFit | Undefined
    dynamic: analytics.DolsFit | Undefined
    returns: analytics.OlsFit | Undefined
    kalman: KalmanTrack | Undefined


@dataclass(frozen=True)
class PairStatistics:
    """The statistics of a pair on one UTC date; what has no value says why.

    Attributes:
        bars: what was analysed.
        window: bars in rolling statistics.
        series: one row per bar, see `pair_series.build`.
        legs: statistics of leg y and leg x.
        hedge: hedge ratios.
        spread_adf: ADF on the OLS residual. Its Dickey–Fuller p-value takes the hedge ratio as
            known; `engle_granger` is the test that allows for its estimation.
        engle_granger: both directions, AIC lags.
        johansen: constant, lags as Engle–Granger chose (at least one).
        half_life: of the OLS residual, in bars.
        crossings: of the spread and its mean.
        correlation: of log returns over the whole window.
        horizons: this correlation at every timeframe, by several estimators.
        breakdown: test that this correlation was constant.
        stability: Engle–Granger p-values in equal stretches: `start, end, pvalue, beta`.
        timing: what the trades show, see `timing.Timing`.
        profiles: volume by price of legs y and x.
        verdict: the tests' joint answer.
    """

    bars: PairBars
    window: int
    series: pl.DataFrame
    legs: tuple[LegStatistics, LegStatistics]
    hedge: Hedge
    spread_adf: analytics.UnitRoot | Undefined
    engle_granger: analytics.CointegrationDirections | Undefined
    johansen: analytics.Johansen | Undefined
    half_life: analytics.HalfLife | Undefined
    crossings: analytics.Crossings | Undefined
    correlation: float | Undefined
    horizons: list[Horizon]
    breakdown: analytics.CorrelationBreakdown | Undefined
    stability: pl.DataFrame | Undefined
    timing: Timing | Undefined
    profiles: tuple[analytics.VolumeProfile | Undefined, analytics.VolumeProfile | Undefined]
    verdict: Verdict

    @property
    def spread_sd(self) -> float | None:
        """Standard deviation of the spread over the window, log units (n - 1)."""
        spread = self.series["spread"].drop_nulls()
        return finite(spread.std()) if spread.len() > 1 else None  # type: ignore[arg-type]

    def metrics(self) -> dict[str, Metric]:
        """Headline numbers, for plots over many dates; None where undefined."""
        y, x = self.legs
        eg, hl, seconds = self.engle_granger, self.half_life, self.bars.seconds
        forward = eg if isinstance(eg, Undefined) else eg.y_on_x
        reverse = eg if isinstance(eg, Undefined) else eg.x_on_y
        return {
            "bars": self.bars.n,
            "filled_share_y": self.bars.filled_share("y"),
            "filled_share_x": self.bars.filled_share("x"),
            "gaps": self.bars.gaps.height,
            "lake_snapshot": self.bars.snapshot,
            "hedge_ratio": _of(self.hedge.ols, "beta"),
            "hedge_ratio_stderr": _of(self.hedge.ols, "beta_stderr"),
            "r_squared": _of(self.hedge.ols, "r_squared"),
            "adf_statistic": _of(self.spread_adf, "statistic"),
            "adf_pvalue": _of(self.spread_adf, "pvalue"),
            "adf_lags": None if isinstance(self.spread_adf, Undefined) else self.spread_adf.lags,
            "engle_granger_statistic": _of(forward, "statistic"),
            "engle_granger_pvalue": _of(forward, "pvalue"),
            "engle_granger_reverse_pvalue": _of(reverse, "pvalue"),
            "johansen_trace": None
            if isinstance(self.johansen, Undefined)
            else finite(self.johansen.trace[0]),
            "half_life_s": None if isinstance(hl, Undefined) else finite(hl.half_life * seconds),
            "half_life_lower_s": None if isinstance(hl, Undefined) else finite(hl.lower * seconds),
            "half_life_upper_s": None if isinstance(hl, Undefined) else finite(hl.upper * seconds),
            "spread_sd_bps": None if self.spread_sd is None else self.spread_sd * 1e4,
            "zscore": _last(self.series, "zscore"),
            "rolling_zscore": _last(self.series, "rolling_zscore"),
            "correlation": finite(self.correlation),
            "rolling_correlation": _last(self.series, "correlation"),
            "volatility_y": finite(y.volatility),
            "volatility_x": finite(x.volatility),
            "vwap_y": finite(y.vwap),
            "vwap_x": finite(x.vwap),
        }


def analyse(bars: PairBars, *, window: int) -> PairStatistics:
    """Compute the statistics of a pair from log closes on a common clock.

    Args:
        bars: see `pair_bars.load`.
        window: bars in rolling z-score, correlation, volatility and hedge ratio, at least 3.

    Returns:
        Statistics; every one the data cannot support is `Undefined` with its reason.

    Raises:
        ValueError: `window` is below 3.
    """
    if window < 3:
        raise ValueError(f"window is {window}; rolling statistics need at least 3 bars")
    y, x = bars.log_prices("y"), bars.log_prices("x")
    hedge = _hedges(y, x)
    engle_granger = _engle_granger(y, x)
    johansen = _johansen(y, x, engle_granger)
    spread = hedge.ols if isinstance(hedge.ols, Undefined) else hedge.ols.residuals
    legs = tuple(
        leg.describe(symbol, log_price, bars.legs[name], seconds=bars.seconds)
        for name, symbol, log_price in (("y", bars.pair.y, y), ("x", bars.pair.x, x))
    )
    assert len(legs) == 2
    return PairStatistics(
        bars=bars,
        window=window,
        series=pair_series.build(bars, hedge.ols, hedge.kalman, window),
        legs=legs,
        hedge=hedge,
        spread_adf=_on(spread, analytics.adf),
        engle_granger=engle_granger,
        johansen=johansen,
        half_life=_on(spread, analytics.half_life),
        crossings=_on(spread, analytics.crossings),
        correlation=_correlation(y, x),
        horizons=horizons.measure(bars.frame, bars.timeframe, bars.ticks),
        breakdown=_breakdown(y, x),
        stability=_stability(bars, y, x),
        timing=bars.ticks if isinstance(bars.ticks, Undefined) else timing.measure(bars.ticks),
        profiles=_profiles(bars),
        verdict=judge(legs, engle_granger, johansen),
    )


def _hedges(y: FloatArray, x: FloatArray) -> Hedge:
    few = _enough(y)
    return Hedge(
        ols=attempt(analytics.ols, y, x),
        inverse=attempt(analytics.ols, x, y),
        total=attempt(analytics.total_least_squares, y, x),
        dynamic=attempt(analytics.dynamic_ols, y, x, leads=4, lags=4) if few is None else few,
        returns=attempt(analytics.ols, np.diff(y), np.diff(x)),
        kalman=pair_series.kalman_track(y, x) if few is None else few,
    )


def _engle_granger(y: FloatArray, x: FloatArray) -> analytics.CointegrationDirections | Undefined:
    few = _enough(y)
    if few:
        return few
    result = attempt(analytics.engle_granger_directions, y, x)
    if isinstance(result, Undefined):
        return result
    for direction in (result.y_on_x, result.x_on_y):
        if not direction.defined:
            return Undefined(f"Engle–Granger: {direction.reason}.")
    return result


def _johansen(
    y: FloatArray, x: FloatArray, engle_granger: analytics.CointegrationDirections | Undefined
) -> analytics.Johansen | Undefined:
    if isinstance(engle_granger, Undefined):
        return engle_granger
    lags = max(1, engle_granger.y_on_x.lags)
    return attempt(analytics.johansen, np.column_stack([y, x]), det_order=0, lags=lags)


def _correlation(y: FloatArray, x: FloatArray) -> float | Undefined:
    """Pearson correlation of the log returns over the whole window."""
    n = len(y) - 1
    if n < 3:
        return Undefined(f"{max(n, 0)} returns; a correlation needs 3.")
    rolled = attempt(analytics.rolling_correlation, np.diff(y), np.diff(x), n)
    if isinstance(rolled, Undefined):
        return rolled
    value = finite(rolled["correlation"][-1])
    return Undefined(f"{rolled['reason'][-1]}.") if value is None else value


def _breakdown(y: FloatArray, x: FloatArray) -> analytics.CorrelationBreakdown | Undefined:
    few = _enough(y)
    return attempt(analytics.correlation_breakdown, np.diff(y), np.diff(x)) if few is None else few


def _stability(bars: PairBars, y: FloatArray, x: FloatArray) -> pl.DataFrame | Undefined:
    """Engle–Granger in equal consecutive stretches of the window."""
    size = bars.n // STABILITY_WINDOWS
    if size < MIN_BARS:
        return Undefined(
            f"{bars.n} bars; {STABILITY_WINDOWS} stretches need {STABILITY_WINDOWS * MIN_BARS}."
        )
    rows = []
    for start in range(0, size * STABILITY_WINDOWS, size):
        part = slice(start, start + size)
        fit = attempt(analytics.engle_granger, y[part], x[part])
        rows.append(
            {
                "start": bars.frame["bucket"][start],
                "end": bars.frame["bucket"][start + size - 1],
                "pvalue": None if isinstance(fit, Undefined) else fit.pvalue,
                "beta": None if isinstance(fit, Undefined) else fit.beta,
            }
        )
    stretches = pl.DataFrame(rows, schema_overrides={"pvalue": pl.Float64, "beta": pl.Float64})
    if stretches["pvalue"].drop_nulls().is_empty():
        return Undefined("No stretch of the window could be tested.")
    return stretches


def _profiles(
    bars: PairBars,
) -> tuple[analytics.VolumeProfile | Undefined, analytics.VolumeProfile | Undefined]:
    if isinstance(bars.ticks, Undefined):
        return bars.ticks, bars.ticks
    return timing.volume_profile(bars.ticks["y"]), timing.volume_profile(bars.ticks["x"])


def _enough(series: FloatArray) -> Undefined | None:
    """The reason why there are too few bars for a test, or None."""
    if len(series) >= MIN_BARS:
        return None
    return Undefined(f"{len(series)} aligned bars; this is computed from {MIN_BARS} on.")


def _on(spread: FloatArray | Undefined, statistic: Callable[[FloatArray], T]) -> T | Undefined:
    """A statistic of the spread, if there is a spread and it is long enough."""
    if isinstance(spread, Undefined):
        return spread
    few = _enough(spread)
    return attempt(statistic, spread) if few is None else few


def _of(result: object, name: str) -> Metric:
    return None if isinstance(result, Undefined) else finite(getattr(result, name))


def _last(series: pl.DataFrame, column: str) -> Metric:
    return finite(series[column][-1]) if series.height else None
