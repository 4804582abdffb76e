"""Volatility: from bars by six estimators, with fading memory, and from intraday returns."""

from quant_pipeline.analytics._bar_volatility import (
    ewma_volatility,
    periods_per_year,
    volatility,
)
from quant_pipeline.analytics._realised_variance import (
    JumpShare,
    bipower_variation,
    jump_share,
    realised_variance,
    rolling_bipower_variation,
    rolling_realised_variance,
)

__all__ = [
    "JumpShare",
    "bipower_variation",
    "ewma_volatility",
    "jump_share",
    "periods_per_year",
    "realised_variance",
    "rolling_bipower_variation",
    "rolling_realised_variance",
    "volatility",
]
