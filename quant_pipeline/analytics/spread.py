"""The spread of a pair, how far it has strayed, and how fast it comes back."""

from quant_pipeline.analytics._half_life import HalfLife, half_life
from quant_pipeline.analytics._mean_reversion import (
    Crossings,
    Hurst,
    VarianceRatio,
    crossings,
    hurst,
    variance_ratio,
)
from quant_pipeline.analytics._spread import innovation_zscore, spread, zscore

__all__ = [
    "Crossings",
    "HalfLife",
    "Hurst",
    "VarianceRatio",
    "crossings",
    "half_life",
    "hurst",
    "innovation_zscore",
    "spread",
    "variance_ratio",
    "zscore",
]
