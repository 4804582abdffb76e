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
from quant_pipeline.analytics._error_correction import ErrorCorrection, error_correction
from quant_pipeline.analytics._gregory_hansen import GregoryHansen, gregory_hansen
from quant_pipeline.analytics._johansen import Johansen, johansen
from quant_pipeline.analytics._phillips_ouliaris import phillips_ouliaris
from quant_pipeline.analytics._rolling_cointegration import (
    RollingCointegration,
    rolling_cointegration,
)
from quant_pipeline.analytics._scan import scan

__all__ = [
    "Cointegration",
    "CointegrationDirections",
    "ErrorCorrection",
    "GregoryHansen",
    "Johansen",
    "RollingCointegration",
    "benjamini_hochberg",
    "benjamini_yekutieli",
    "engle_granger",
    "engle_granger_directions",
    "error_correction",
    "gregory_hansen",
    "johansen",
    "phillips_ouliaris",
    "rolling_cointegration",
    "scan",
]
