"""Pure statistics for pairs trading and market microstructure.

NumPy arrays or Polars series in, frozen dataclasses or Polars frames out; no input or output, no
clock, no state. Nothing mutates its arguments. Misuse raises ``ValueError``; a statistic that does
not exist for valid data is NaN, with ``defined`` false and a ``reason``. Frames use null where
arrays use NaN. ``docs/analytics.md`` lists every name with its formula, units, source and example.
"""

from quant_pipeline.analytics.cointegration import (
    Cointegration,
    CointegrationDirections,
    engle_granger,
    engle_granger_directions,
)
from quant_pipeline.analytics.hedge import (
    DolsFit,
    OlsFit,
    TlsFit,
    dynamic_ols,
    ols,
    rolling_ols,
    total_least_squares,
)
from quant_pipeline.analytics.johansen import Johansen, johansen
from quant_pipeline.analytics.kalman import KalmanHedge, kalman_hedge
from quant_pipeline.analytics.returns import (
    Alignment,
    align,
    log_returns,
    regular_clock,
    resample,
    simple_returns,
)
from quant_pipeline.analytics.spread import (
    Crossings,
    HalfLife,
    Hurst,
    VarianceRatio,
    crossings,
    half_life,
    hurst,
    innovation_zscore,
    spread,
    variance_ratio,
    zscore,
)
from quant_pipeline.analytics.stationarity import (
    Stationarity,
    UnitRoot,
    adf,
    dfgls,
    kpss,
    phillips_perron,
    rolling_adf,
    stationarity,
    zivot_andrews,
)
from quant_pipeline.analytics.volatility import (
    ewma_volatility,
    periods_per_year,
    volatility,
)

__all__ = [
    "Alignment",
    "Cointegration",
    "CointegrationDirections",
    "Crossings",
    "DolsFit",
    "HalfLife",
    "Hurst",
    "Johansen",
    "KalmanHedge",
    "OlsFit",
    "Stationarity",
    "TlsFit",
    "UnitRoot",
    "VarianceRatio",
    "adf",
    "align",
    "crossings",
    "dfgls",
    "dynamic_ols",
    "engle_granger",
    "engle_granger_directions",
    "ewma_volatility",
    "half_life",
    "hurst",
    "innovation_zscore",
    "johansen",
    "kalman_hedge",
    "kpss",
    "log_returns",
    "ols",
    "periods_per_year",
    "phillips_perron",
    "regular_clock",
    "resample",
    "rolling_adf",
    "rolling_ols",
    "simple_returns",
    "spread",
    "stationarity",
    "total_least_squares",
    "variance_ratio",
    "volatility",
    "zivot_andrews",
    "zscore",
]
