"""Hedge ratios: how many units of ``x`` offset one unit of ``y``.

``ols`` and ``rolling_ols`` minimise errors in ``y`` alone, ``total_least_squares`` errors in both,
``dynamic_ols`` corrects the long-run relation for short-run dynamics, ``kalman_hedge`` follows a
ratio that moves.
"""

from quant_pipeline.analytics._dynamic_ols import DolsFit, dynamic_ols
from quant_pipeline.analytics._kalman import KalmanHedge, kalman_hedge
from quant_pipeline.analytics._regression import OlsFit, ols, rolling_ols
from quant_pipeline.analytics._total_least_squares import TlsFit, total_least_squares

__all__ = [
    "DolsFit",
    "KalmanHedge",
    "OlsFit",
    "TlsFit",
    "dynamic_ols",
    "kalman_hedge",
    "ols",
    "rolling_ols",
    "total_least_squares",
]
