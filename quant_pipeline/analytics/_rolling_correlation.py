"""Pearson and Spearman correlation in a moving window."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from quant_pipeline.analytics._inputs import (
    FloatArray,
    as_series,
    require_at_least,
    require_equal_length,
    require_option,
)
from quant_pipeline.analytics._rolling import window_moments

INCOMPLETE = "window not full yet"
MISSING = "missing values in the window"
CONSTANT = "no variation in the window"

_BATCH_VALUES = 2_000_000  # bounds the memory of the ranks at about 16 MB an array


def rolling_correlation(
    x: ArrayLike, y: ArrayLike, window: int, *, method: str = "pearson"
) -> pl.DataFrame:
    """Correlation of the last ``window`` observations, at every observation.

    Formula
    -------
    Σ(x−x̄)(y−ȳ) / sqrt(Σ(x−x̄)² Σ(y−ȳ)²) over the window; of the ranks within it for Spearman,
    ties at their mean rank.

    Units
    -----
    Dimensionless, −1 to 1; ``n`` in observations.

    Parameters
    ----------
    x, y : array of shape (n,)
        Usually returns: correlations of price levels are mostly spurious. May hold NaN.
    window : int
        Observations in a window, at least 3.
    method : "pearson" or "spearman"

    Returns
    -------
    polars.DataFrame, n rows
        ``correlation`` (null where undefined), ``n`` (finite pairs in the window) and ``reason``
        (null where defined). A window that is not full, holds a missing value, or in which either
        series does not move, is undefined. Only past and present observations enter a row.

    Raises
    ------
    ValueError
        If lengths differ, ``window`` < 3 or ``method`` is unknown.

    References
    ----------
    Pearson as R's TTR::runCor. Spearman (1904), Am. J. Psychology 15, 72–101.

    Examples
    --------
    >>> x = [1.0, 2.0, 3.0, 4.0, 4.0]
    >>> y = [2.0, 4.0, 6.0, 5.0, float("nan")]
    >>> frame = rolling_correlation(x, y, 3)
    >>> frame["correlation"].round(4).to_list()
    [None, None, 1.0, 0.5, None]
    >>> frame["reason"].to_list()[-2:]
    [None, 'missing values in the window']
    """
    a, b = as_series(x, "x", allow_nan=True), as_series(y, "y", allow_nan=True)
    require_equal_length(a, b, "x", "y")
    require_at_least(window, "window", 3)
    require_option(method, "method", ("pearson", "spearman"))
    n = len(a)
    valid = np.isfinite(a) & np.isfinite(b)
    pairs = _trailing_counts(valid, window)
    correlation = np.full(n, np.nan)
    if n >= window:
        moves = pairs[window - 1 :] == window
        moves &= ~(_constant(a, window) | _constant(b, window))
        of_windows = _pearson if method == "pearson" else _spearman
        body = correlation[window - 1 :]
        body[moves] = of_windows(np.where(valid, a, np.nan), np.where(valid, b, np.nan), moves)
    reason = np.where(
        np.arange(n) < window - 1, INCOMPLETE, np.where(pairs < window, MISSING, CONSTANT)
    )
    return pl.DataFrame(
        {"correlation": pl.Series(correlation).fill_nan(None), "n": pairs, "reason": reason}
    ).with_columns(pl.when(pl.col("correlation").is_null()).then("reason").alias("reason"))


def _trailing_counts(valid: NDArray[np.bool_], window: int) -> NDArray[np.int64]:
    count = np.concatenate([[0], np.cumsum(valid, dtype=np.int64)])
    start = np.maximum(np.arange(len(valid)) + 1 - window, 0)
    return np.asarray(count[1:] - count[start])


def _constant(values: FloatArray, window: int) -> NDArray[np.bool_]:
    """Whether each full window holds one value only, decided exactly by counting changes."""
    changes = np.concatenate([[0], np.cumsum(values[1:] != values[:-1])])
    return np.asarray(changes[window - 1 :] == changes[: len(changes) - window + 1])


def _pearson(a: FloatArray, b: FloatArray, wanted: NDArray[np.bool_]) -> FloatArray:
    moments = window_moments(a, b, len(a) - len(wanted) + 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = moments.xy / np.sqrt(moments.yy * moments.xx)
    return np.asarray(np.clip(correlation[wanted], -1.0, 1.0))


def _spearman(a: FloatArray, b: FloatArray, wanted: NDArray[np.bool_]) -> FloatArray:
    window = len(a) - len(wanted) + 1
    starts = np.flatnonzero(wanted)
    out = np.empty(len(starts))
    batch = max(1, _BATCH_VALUES // window)
    for begin in range(0, len(starts), batch):
        rows = starts[begin : begin + batch]
        x, y = (
            rankdata(sliding_window_view(values, window)[rows], axis=1) - (window + 1) / 2
            for values in (a, b)
        )
        norm = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
        out[begin : begin + batch] = np.clip((x * y).sum(axis=1) / norm, -1.0, 1.0)
    return out
