"""Volatility: from bars by six estimators, with fading memory, and from intraday returns."""

from quant_pipeline.analytics._bar_volatility import (
    ewma_volatility,
    periods_per_year,
    volatility,
)

__all__ = ["ewma_volatility", "periods_per_year", "volatility"]
