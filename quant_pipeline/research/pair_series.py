"""The rolling and filtered series of a pair, one row per bar."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from quant_pipeline import analytics
from quant_pipeline.research.outcome import Undefined, attempt
from quant_pipeline.research.pair_bars import PairBars

FloatArray = npt.NDArray[np.float64]

_NORMAL_95 = 1.959963984540054
_LIKELIHOOD_BARS = 1_500


@dataclass(frozen=True)
class KalmanTrack:
    """A drifting hedge ratio.

    Attributes:
        fit: the filter over every bar.
        every: its noise was estimated by maximum likelihood on every so many-th bar.
    """

    fit: analytics.KalmanHedge
    every: int


def kalman_track(y: FloatArray, x: FloatArray) -> KalmanTrack | Undefined:
    """Filter the hedge ratio of log prices, its noise estimated by maximum likelihood.

    The likelihood is searched on at most 1,500 bars, every k-th one; a random walk's variance per
    bar is then that per k bars divided by k. Estimating on the whole sample looks ahead: the band
    describes, it is not a signal.
    """
    every = max(1, -(-len(y) // _LIKELIHOOD_BARS))
    coarse = attempt(analytics.kalman_hedge, y[::every], x[::every])
    if isinstance(coarse, Undefined):
        return coarse
    if every == 1:
        return KalmanTrack(coarse, 1)
    fine = attempt(analytics.kalman_hedge, y, x, q=coarse.q / every, r=coarse.r)
    return fine if isinstance(fine, Undefined) else KalmanTrack(fine, every)


def build(
    bars: PairBars,
    hedge: analytics.OlsFit | Undefined,
    kalman: KalmanTrack | Undefined,
    window: int,
) -> pl.DataFrame:
    """Every series that a chart of the pair shows.

    Returns:
        `bucket, y, x, y_filled, x_filled` of the bars; `spread` (log units), `zscore` (whole
        window), `rolling_zscore` (trailing); `correlation` of log returns over the trailing window
        with its 95 % band `correlation_low`, `correlation_high` (Fisher's z, independent returns);
        `volatility_y`, `volatility_x` (trailing, annualised); `beta` (trailing OLS); `beta_kalman`
        with `beta_kalman_low`, `beta_kalman_high`. Null where undefined.
    """
    n = bars.n
    y, x = bars.log_prices("y"), bars.log_prices("x")
    nothing = np.full(n, np.nan)
    spread = nothing if isinstance(hedge, Undefined) else hedge.residuals
    columns: dict[str, FloatArray] = {
        "spread": spread,
        "zscore": _or_nan(attempt(analytics.zscore, spread), n),
        "rolling_zscore": _or_nan(attempt(analytics.zscore, spread, window), n),
        **_correlation(y, x, window),
        "volatility_y": _rolling_volatility(bars, "y", window),
        "volatility_x": _rolling_volatility(bars, "x", window),
        "beta": _rolling_beta(y, x, window),
        **_kalman_band(kalman, n),
    }
    return bars.frame.with_columns(
        pl.Series(name, values, dtype=pl.Float64).fill_nan(None) for name, values in columns.items()
    )


def _correlation(y: FloatArray, x: FloatArray, window: int) -> dict[str, FloatArray]:
    """Trailing correlation of log returns and its Fisher band; the first bar has no return."""
    return_y, return_x = (np.append(np.nan, np.diff(leg)) if len(leg) else leg for leg in (y, x))
    rolled = attempt(analytics.rolling_correlation, return_y, return_x, window)
    if isinstance(rolled, Undefined):
        missing = np.full(len(y), np.nan)
        return {"correlation": missing, "correlation_low": missing, "correlation_high": missing}
    correlation = rolled["correlation"].to_numpy()
    half = _NORMAL_95 / np.sqrt(window - 3) if window > 3 else np.nan
    with np.errstate(all="ignore"):
        centre = np.arctanh(correlation)
    return {
        "correlation": correlation,
        "correlation_low": np.tanh(centre - half),
        "correlation_high": np.tanh(centre + half),
    }


def _rolling_volatility(bars: PairBars, leg: str, window: int) -> FloatArray:
    close = bars.frame[leg].to_numpy()
    return _or_nan(
        attempt(
            analytics.volatility,
            close,
            close,
            close,
            close,
            estimator="close_to_close",
            window=window,
            periods_per_year=analytics.periods_per_year(bars.seconds),
        ),
        bars.n,
    )


def _rolling_beta(y: FloatArray, x: FloatArray, window: int) -> FloatArray:
    rolled = attempt(analytics.rolling_ols, y, x, window)
    if isinstance(rolled, Undefined):
        return np.full(len(y), np.nan)
    return rolled["beta"].fill_null(float("nan")).to_numpy()


def _kalman_band(kalman: KalmanTrack | Undefined, n: int) -> dict[str, FloatArray]:
    if isinstance(kalman, Undefined):
        missing = np.full(n, np.nan)
        return {"beta_kalman": missing, "beta_kalman_low": missing, "beta_kalman_high": missing}
    beta, half = kalman.fit.beta, _NORMAL_95 * kalman.fit.beta_stderr
    return {"beta_kalman": beta, "beta_kalman_low": beta - half, "beta_kalman_high": beta + half}


def _or_nan(values: FloatArray | Undefined, n: int) -> FloatArray:
    if isinstance(values, Undefined) or len(values) != n:
        return np.full(n, np.nan)
    return values
