"""Correlation of a pair's returns at several horizons, by several estimators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, get_args

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import stats

from quant_pipeline.research import timing
from quant_pipeline.research.outcome import Undefined, attempt
from quant_pipeline.settings import Timeframe, timeframe_seconds

FEWEST_RETURNS: Final = 10
"""Below so many returns no correlation is given: its interval would span nearly everything."""


@dataclass(frozen=True)
class Horizon:
    """Correlation of log returns over intervals of one length.

    Attributes:
        timeframe: the interval, as `1m`.
        n: returns of previous-tick closes.
        pearson, lower, upper: with its 95 % interval (Fisher's z, independent returns).
        spearman: of the ranks.
        hayashi_yoshida: of trades thinned to the last of each interval.
    """

    timeframe: str
    n: int
    pearson: float | Undefined
    lower: float | None
    upper: float | None
    spearman: float | Undefined
    hayashi_yoshida: float | Undefined


def measure(
    frame: pl.DataFrame, timeframe: str, ticks: Mapping[str, pl.DataFrame] | Undefined
) -> list[Horizon]:
    """Correlations at every timeframe of the project.

    Args:
        frame: aligned bars: `bucket`, `y`, `x` (closes).
        timeframe: length of those bars; finer horizons cannot be made of them.
        ticks: trades by leg.
    """
    return [_horizon(frame, timeframe, ticks, size) for size in get_args(Timeframe)]


def _horizon(
    frame: pl.DataFrame,
    timeframe: str,
    ticks: Mapping[str, pl.DataFrame] | Undefined,
    size: str,
) -> Horizon:
    seconds = timeframe_seconds(size)
    hayashi_yoshida = ticks if isinstance(ticks, Undefined) else _thinned(ticks, seconds)
    if seconds < timeframe_seconds(timeframe):
        finer = Undefined(f"This page is made of {timeframe} bars; finer returns are not in them.")
        return Horizon(size, 0, finer, None, None, finer, hayashi_yoshida)
    y, x = _returns(frame, seconds)
    if len(y) < FEWEST_RETURNS:
        few = Undefined(f"Fewer than {FEWEST_RETURNS} returns: no correlation is given.")
        return Horizon(size, len(y), few, None, None, few, hayashi_yoshida)
    pearson = attempt(stats.pearsonr, y, x)
    spearman = attempt(stats.spearmanr, y, x)
    if isinstance(pearson, Undefined):
        constant = Undefined("A leg’s price did not change.")
        return Horizon(size, len(y), constant, None, None, constant, hayashi_yoshida)
    interval = pearson.confidence_interval(0.95)
    return Horizon(
        timeframe=size,
        n=len(y),
        pearson=float(pearson.statistic),
        lower=float(interval.low),
        upper=float(interval.high),
        spearman=spearman if isinstance(spearman, Undefined) else float(spearman.statistic),
        hayashi_yoshida=hayashi_yoshida,
    )


def _returns(
    frame: pl.DataFrame, seconds: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Log returns from the last close of an interval to that of the next."""
    last = (
        frame.group_by_dynamic("bucket", every=f"{seconds}s").agg(
            pl.col("y").last(), pl.col("x").last()
        )
        if frame.height
        else frame
    )
    y, x = (np.diff(np.log(last[leg].to_numpy())) for leg in ("y", "x"))
    return y, x


def _thinned(ticks: Mapping[str, pl.DataFrame], seconds: int) -> float | Undefined:
    arrays = [
        (ticks[leg]["ts"].dt.epoch("us").to_numpy(), ticks[leg]["price"].to_numpy())
        for leg in ("y", "x")
    ]
    value = timing.thinned_hayashi_yoshida(arrays[0], arrays[1], interval_s=seconds)
    if value is None:
        return Undefined(
            f"Fewer than {timing.FEWEST_RETURNS} returns of thinned trades: noise only."
        )
    return value
