"""What trading costs and where it happens.

Prices are in quote currency and quantities in base units; spreads estimated from bars are shares of
the price (0.01 is 1 %), those from quotes are in basis points, as their names say. What cannot be
measured is NaN with a reason, never zero.
"""

from __future__ import annotations

from quant_pipeline.analytics._discrete_generalized import discrete_generalized
from quant_pipeline.analytics._price_impact import (
    Amihud,
    KyleLambda,
    amihud,
    impact_curve,
    kyle_lambda,
)
from quant_pipeline.analytics._quotes import (
    QuotedSpread,
    TradeSpreads,
    order_flow_imbalance,
    quoted_spread,
    trade_spreads,
)
from quant_pipeline.analytics._spread_estimate import SpreadEstimate
from quant_pipeline.analytics._spread_estimators import (
    abdi_ranaldo,
    corwin_schultz,
    edge,
    roll_spread,
    spread_estimates,
)
from quant_pipeline.analytics._volume import (
    TradeImbalance,
    Vwap,
    rolling_vwap,
    trade_imbalance,
    vwap,
)
from quant_pipeline.analytics._volume_profile import VolumeProfile, volume_profile
from quant_pipeline.analytics._vpin import vpin

__all__ = [
    "Amihud",
    "KyleLambda",
    "QuotedSpread",
    "SpreadEstimate",
    "TradeImbalance",
    "TradeSpreads",
    "VolumeProfile",
    "Vwap",
    "abdi_ranaldo",
    "amihud",
    "corwin_schultz",
    "discrete_generalized",
    "edge",
    "impact_curve",
    "kyle_lambda",
    "order_flow_imbalance",
    "quoted_spread",
    "roll_spread",
    "rolling_vwap",
    "spread_estimates",
    "trade_imbalance",
    "trade_spreads",
    "volume_profile",
    "vpin",
    "vwap",
]
