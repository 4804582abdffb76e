"""How prices move together: on a clock, at a lag, tick by tick, among many, and whether it lasts.

Correlations are dimensionless. A positive lag always means that the second series moves first.
"""

from __future__ import annotations

from quant_pipeline.analytics._clock_correlation import epps_curve, timeframe_correlations
from quant_pipeline.analytics._correlation_breakdown import (
    CorrelationBreakdown,
    correlation_breakdown,
)
from quant_pipeline.analytics._cross_correlation import CrossCorrelation, cross_correlation
from quant_pipeline.analytics._hayashi_yoshida import HayashiYoshida, hayashi_yoshida
from quant_pipeline.analytics._jennrich import MatrixChange, jennrich
from quant_pipeline.analytics._lead_lag import LeadLag, lead_lag
from quant_pipeline.analytics._rolling_correlation import rolling_correlation
from quant_pipeline.analytics._shrunk_correlation import ShrunkCorrelation, shrunk_correlation

__all__ = [
    "CorrelationBreakdown",
    "CrossCorrelation",
    "HayashiYoshida",
    "LeadLag",
    "MatrixChange",
    "ShrunkCorrelation",
    "correlation_breakdown",
    "cross_correlation",
    "epps_curve",
    "hayashi_yoshida",
    "jennrich",
    "lead_lag",
    "rolling_correlation",
    "shrunk_correlation",
    "timeframe_correlations",
]
