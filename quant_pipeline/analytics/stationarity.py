"""Tests for a unit root, and for its absence.

ADF, Phillips–Perron, DF-GLS and Zivot–Andrews suppose a unit root and look for evidence against it;
KPSS supposes stationarity. ``stationarity`` runs one of each kind and says in words what the two
verdicts mean together. ADF is our own, with one factorisation for all lag orders; the others are
arch's.
"""

from quant_pipeline.analytics._adf import adf, rolling_adf
from quant_pipeline.analytics._stationarity import Stationarity, stationarity
from quant_pipeline.analytics._unit_root import UnitRoot
from quant_pipeline.analytics._unit_root_tests import (
    dfgls,
    kpss,
    phillips_perron,
    zivot_andrews,
)

__all__ = [
    "Stationarity",
    "UnitRoot",
    "adf",
    "dfgls",
    "kpss",
    "phillips_perron",
    "rolling_adf",
    "stationarity",
    "zivot_andrews",
]
