"""Pairs: `load` reads the lake, `analyse` computes."""

from __future__ import annotations

from quant_pipeline.research.pair_bars import PairBars, align, load
from quant_pipeline.research.pair_statistics import PairStatistics, analyse

__all__ = ["PairBars", "PairStatistics", "align", "analyse", "load"]
