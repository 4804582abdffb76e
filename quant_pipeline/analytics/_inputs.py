"""Validation shared by every statistic: what goes in is a finite float64 array, or is refused.

The rule of the whole package: *misuse* (wrong shape, unequal lengths, missing values where a
statistic has no meaning for them, an unknown option) raises ``ValueError``; *valid data on which a
statistic does not exist* (too short, constant, perfectly collinear) returns a result whose numbers
are NaN, whose ``defined`` is false and whose ``reason`` says why.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


def as_series(values: ArrayLike, name: str, *, allow_nan: bool = False) -> FloatArray:
    """Return ``values`` as a contiguous one-dimensional float64 array, never the caller's own.

    Polars and pandas series, lists and arrays are accepted; a Polars null becomes NaN.
    """
    array = np.array(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(
            f"{name} must be one-dimensional, got shape {array.shape}; pass one column at a time"
        )
    if not allow_nan:
        refuse_missing(array, name)
    return array


def as_matrix(values: ArrayLike, name: str) -> FloatArray:
    """Return ``values`` as a finite float64 matrix of shape (observations, columns)."""
    array = np.array(values, dtype=np.float64)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(
            f"{name} must have shape (observations, columns), got {array.shape}; "
            "stack one column per series"
        )
    refuse_missing(array, name)
    return array


def as_pair(y: ArrayLike, x: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return two finite series of one length."""
    left, right = as_series(y, "y"), as_series(x, "x")
    require_equal_length(left, right, "y", "x")
    return left, right


def refuse_missing(array: FloatArray, name: str) -> None:
    """Raise if ``array`` holds a NaN or an infinity, saying how many and where the first is."""
    bad = ~np.isfinite(array)
    if bad.any():
        first = int(np.argwhere(bad)[0][0])
        raise ValueError(
            f"{name} holds {int(bad.sum())} missing or infinite values, the first at index "
            f"{first}; drop them, or put the series on one clock with analytics.align"
        )


def require_equal_length(left: FloatArray, right: FloatArray, *names: str) -> None:
    """Raise unless both arrays hold the same number of observations."""
    if len(left) != len(right):
        raise ValueError(
            f"{names[0]} has {len(left)} observations and {names[1]} has {len(right)}; align them "
            "on one clock first, for example with analytics.align"
        )


def require_option(value: str, name: str, options: Collection[str]) -> None:
    """Raise unless ``value`` is one of ``options``."""
    if value not in options:
        raise ValueError(f"{name} is {value!r}; choose one of {', '.join(sorted(options))}")


def require_at_least(value: float, name: str, minimum: float) -> None:
    """Raise unless ``value`` is at least ``minimum``."""
    if not value >= minimum:
        raise ValueError(f"{name} is {value}; it must be at least {minimum}")


def require_positive(array: FloatArray, name: str) -> None:
    """Raise if a price is zero or negative: its logarithm does not exist."""
    bad = array <= 0
    if bad.any():
        first = int(np.argmax(bad))
        raise ValueError(
            f"{name} must be positive, but is {array[first]} at index {first}; "
            "remove the bad print before taking logarithms"
        )
