"""Pearson and Spearman correlation in a moving window."""

from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from numpy.lib.stride_tricks import sliding_window_view
from scipy.stats import rankdata

from quant_pipeline.analytics._tick_inputs import FloatArray, at_least, vectors

INCOMPLETE = "window not full yet"
MISSING = "missing values in the window"
CONSTANT = "no variation in the window"

# Windows whose variance is below this share of their neighbourhood's are recomputed directly,
# since a difference of running sums would have lost half of its digits there.
_CANCELLATION = 1e-6
_BATCH_VALUES = 2_000_000  # bounds the memory of the direct path at about 16 MB an array


def rolling_correlation(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    window: int,
    *,
    method: Literal["pearson", "spearman"] = "pearson",
) -> pl.DataFrame:
    """Correlation of the last `window` observations, at every observation.

    Parameters
    ----------
    x, y : array_like, shape (n,)
        Usually returns: correlations of price levels are mostly spurious.
    window : int
        Observations in a window, at least 3.
    method : {"pearson", "spearman"}
        Spearman correlates ranks within each window; ties get their mean rank.

    Returns
    -------
    polars.DataFrame, n rows
        `correlation` (dimensionless, −1 to 1, NaN where undefined), `n` (finite pairs in the
        window) and `reason` (null where defined, otherwise why not). A window that is not full,
        holds a missing value, or in which either series does not move, is undefined.

    Raises
    ------
    ValueError
        If lengths differ or `window` < 3.

    Notes
    -----
    Only past and present observations enter a row. Running sums are restarted every `window`
    observations around a local mean, so precision does not decay along the series.

    Examples
    --------
    >>> x = [1.0, 2.0, 3.0, 4.0, 4.0]
    >>> y = [2.0, 4.0, 6.0, 5.0, float("nan")]
    >>> rolling_correlation(x, y, 3)["correlation"].round(4).to_list()
    [nan, nan, 1.0, 0.5, nan]
    >>> rolling_correlation(x, y, 3)["reason"].to_list()[-2:]
    [None, 'missing values in the window']
    """
    a, b = vectors(x=x, y=y)
    at_least(window, 3, "window")
    n = len(a)
    valid = np.isfinite(a) & np.isfinite(b)
    correlation = np.full(n, np.nan)
    pairs = _trailing_counts(valid, window)
    if n >= window:
        full = pairs[window - 1 :] == window
        moves = full & ~_constant(a, window) & ~_constant(b, window)
        body = correlation[window - 1 :]
        if method == "pearson":
            body[:] = _pearson_by_running_sums(a, b, valid, window, moves)
        elif method == "spearman":
            body[moves] = _by_window(a, b, window, np.flatnonzero(moves), ranked=True)
        else:
            raise ValueError(f"method is {method!r}; use 'pearson' or 'spearman'")
    reason = np.where(
        np.arange(n) < window - 1, INCOMPLETE, np.where(pairs < window, MISSING, CONSTANT)
    )
    return pl.DataFrame({"correlation": correlation, "n": pairs, "reason": reason}).with_columns(
        pl.when(pl.col("correlation").is_nan()).then("reason").alias("reason")
    )


def _trailing_counts(valid: npt.NDArray[np.bool_], window: int) -> npt.NDArray[np.int64]:
    count = np.concatenate([[0], np.cumsum(valid, dtype=np.int64)])
    start = np.maximum(np.arange(len(valid)) + 1 - window, 0)
    return np.asarray(count[1:] - count[start])


def _constant(values: FloatArray, window: int) -> npt.NDArray[np.bool_]:
    """Whether each full window holds one value only, decided exactly by counting changes."""
    changes = np.concatenate([[0], np.cumsum(values[1:] != values[:-1])])
    return np.asarray(changes[window - 1 :] == changes[: len(changes) - window + 1])


def _pearson_by_running_sums(
    a: FloatArray,
    b: FloatArray,
    valid: npt.NDArray[np.bool_],
    window: int,
    moves: npt.NDArray[np.bool_],
) -> FloatArray:
    windows = len(a) - window + 1
    blocks = -(-windows // window)
    x, x_scale = _centred_blocks(a, valid, window, blocks)
    y, y_scale = _centred_blocks(b, valid, window, blocks)

    def window_sums(values: FloatArray) -> FloatArray:
        running = np.cumsum(values, axis=1)
        first = running[:, window - 1 : window]
        return np.hstack([first, running[:, window:] - running[:, : window - 1]])

    sum_x, sum_y = window_sums(x), window_sums(y)
    var_x = window_sums(x * x) - sum_x**2 / window
    var_y = window_sums(y * y) - sum_y**2 / window
    cov = window_sums(x * y) - sum_x * sum_y / window
    imprecise = (var_x <= _CANCELLATION * x_scale) | (var_y <= _CANCELLATION * y_scale)
    with np.errstate(invalid="ignore", divide="ignore"):
        flat = (cov / np.sqrt(var_x * var_y)).reshape(-1)[:windows]
    out = np.where(moves, np.clip(flat, -1.0, 1.0), np.nan)
    again = np.flatnonzero(imprecise.reshape(-1)[:windows] & moves)
    out[again] = _by_window(a, b, window, again, ranked=False)
    return out


def _centred_blocks(
    values: FloatArray, valid: npt.NDArray[np.bool_], window: int, blocks: int
) -> tuple[FloatArray, FloatArray]:
    """Overlapping blocks of 2·window − 1 values, each holding `window` whole windows."""
    length = 2 * window - 1
    size = (blocks - 1) * window + length
    padded = np.full(max(size, len(values)), np.nan)
    padded[: len(values)] = np.where(valid, values, np.nan)
    block = sliding_window_view(padded, length)[: (blocks - 1) * window + 1 : window]
    present = ~np.isnan(block)
    filled = np.where(present, block, 0.0)
    mean = filled.sum(axis=1, keepdims=True) / np.maximum(present.sum(axis=1, keepdims=True), 1)
    centred = np.where(present, block - mean, 0.0)
    return centred, np.asarray((centred**2).sum(axis=1, keepdims=True))


def _by_window(
    a: FloatArray, b: FloatArray, window: int, starts: npt.NDArray[np.int64], *, ranked: bool
) -> FloatArray:
    """Correlations of the windows that begin at `starts`, each from its own values."""
    out = np.empty(len(starts))
    views = sliding_window_view(a, window), sliding_window_view(b, window)
    batch = max(1, _BATCH_VALUES // window)
    for begin in range(0, len(starts), batch):
        rows = starts[begin : begin + batch]
        x, y = (rankdata(view[rows], axis=1) if ranked else view[rows] for view in views)
        x = x - x.mean(axis=1, keepdims=True)
        y = y - y.mean(axis=1, keepdims=True)
        norm = np.sqrt((x * x).sum(axis=1)) * np.sqrt((y * y).sum(axis=1))
        with np.errstate(invalid="ignore", divide="ignore"):
            out[begin : begin + batch] = np.clip((x * y).sum(axis=1) / norm, -1.0, 1.0)
    return out
