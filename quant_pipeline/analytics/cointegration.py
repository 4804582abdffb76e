"""Do two or more series share a stochastic trend?

``engle_granger`` (residual-based, one direction at a time) and ``phillips_ouliaris`` test pairs,
``johansen`` a system, ``scan`` every pair of a universe with its number of tests accounted for.
``error_correction`` says which leg does the adjusting, ``rolling_cointegration`` whether the
relation lasts, ``gregory_hansen`` whether it broke once.
"""

from quant_pipeline.analytics._benjamini import benjamini_hochberg, benjamini_yekutieli
from quant_pipeline.analytics._engle_granger import (
    Cointegration,
    CointegrationDirections,
    engle_granger,
    engle_granger_directions,
)
from quant_pipeline.analytics._johansen import Johansen, johansen
from quant_pipeline.analytics._scan import scan

__all__ = [
    "Cointegration",
    "CointegrationDirections",
    "Johansen",
    "benjamini_hochberg",
    "benjamini_yekutieli",
    "engle_granger",
    "engle_granger_directions",
    "johansen",
    "scan",
]
