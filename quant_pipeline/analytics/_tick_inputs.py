"""What statistics of ticks and bars accept: vectors of equal length, sorted stamps, flags."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quant_pipeline.analytics._inputs import FloatArray, as_series

TimeArray = NDArray[Any]


def vectors(**named: ArrayLike) -> list[FloatArray]:
    """One-dimensional float arrays of one common length, in the order given; may hold NaN.

    >>> vectors(price=[1.0], quantity=[2.0, 3.0])
    Traceback (most recent call last):
    ...
    ValueError: lengths differ: price 1, quantity 2; pass one value of each per observation
    """
    arrays = {name: as_series(values, name, allow_nan=True) for name, values in named.items()}
    same_length(**arrays)
    return list(arrays.values())


def same_length(**named: NDArray[Any]) -> None:
    """Raise ``ValueError`` naming every length unless all are equal."""
    if len({len(array) for array in named.values()}) > 1:
        lengths = ", ".join(f"{name} {len(array)}" for name, array in named.items())
        raise ValueError(f"lengths differ: {lengths}; pass one value of each per observation")


def flags(values: ArrayLike, name: str) -> NDArray[np.bool_]:
    """A one-dimensional boolean array; anything that is not boolean is refused, not guessed at.

    >>> flags([True, False], "is_buyer_maker")
    array([ True, False])
    """
    array = np.asarray(values)
    if array.ndim != 1 or (array.dtype != np.bool_ and len(array)):
        raise ValueError(
            f"{name} has dtype {array.dtype} and shape {array.shape}; pass one boolean per trade"
        )
    return array.astype(np.bool_, copy=False)


def stamps(values: ArrayLike, name: str) -> TimeArray:
    """Non-decreasing time stamps as numbers: ``datetime64`` becomes integer nanoseconds.

    Integer and float stamps keep their unit, whatever it is.

    >>> stamps([1, 2, 2], "ts")
    array([1, 2, 2])
    >>> stamps([2, 1], "ts")
    Traceback (most recent call last):
    ...
    ValueError: ts goes back in time at position 1 (2 then 1); sort by time first
    """
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"{name} has shape {array.shape}; pass one stamp per observation")
    if array.dtype.kind == "M":
        if np.isnat(array).any():
            raise ValueError(f"{name} holds a missing stamp; drop those observations first")
        array = array.astype("datetime64[ns]").astype(np.int64)
    elif array.dtype.kind in "iu":
        array = array.astype(np.int64, copy=False)
    elif array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds a missing stamp; drop those observations first")
    elif len(array):
        raise ValueError(f"{name} has dtype {array.dtype}; pass integers, floats or datetime64")
    back = np.flatnonzero(array[1:] < array[:-1])
    if len(back):
        at = int(back[0]) + 1
        raise ValueError(
            f"{name} goes back in time at position {at} ({array[at - 1]} then {array[at]}); "
            "sort by time first"
        )
    return array


def centred(values: FloatArray) -> FloatArray:
    """Deviations from the mean, the largest 1 in size, whose squares neither vanish nor overflow.

    Correlations do not change by it. Zeros if the values are all the same.

    >>> centred(np.array([1e-200, 3e-200]))
    array([-1.,  1.])
    """
    deviations = values - values.mean()
    largest = float(np.abs(deviations).max(initial=0.0))
    return np.asarray(deviations / largest) if largest > 0 else deviations


def duration(value: float, times: TimeArray) -> float | int:
    """A length of time as exact as the stamps: a whole number stays one beside integer stamps.

    Nanoseconds since 1970 do not fit a float: integer stamps less a float would be off by 256 ns.

    >>> duration(1e9, np.array([1_723_161_255_342_000_001]))
    1000000000
    """
    whole = times.dtype.kind == "i" and float(value).is_integer()
    return int(value) if whole else float(value)


def positive(array: FloatArray, name: str, *, missing_allowed: bool = False) -> None:
    """Raise ``ValueError`` at the first value that is not a positive, finite number."""
    wrong = ~((array > 0) & np.isfinite(array))
    if missing_allowed:
        wrong &= ~np.isnan(array)
    at = np.flatnonzero(wrong)
    if len(at):
        raise ValueError(
            f"{name} is {array[at[0]]} at position {at[0]}; it must be positive and finite"
        )


def not_negative(array: FloatArray, name: str, *, missing_allowed: bool = False) -> None:
    """Raise ``ValueError`` at the first value that is not a finite number of at least zero."""
    wrong = ~((array >= 0) & np.isfinite(array))
    if missing_allowed:
        wrong &= ~np.isnan(array)
    at = np.flatnonzero(wrong)
    if len(at):
        raise ValueError(
            f"{name} is {array[at[0]]} at position {at[0]}; it must be finite and not negative"
        )


def positive_number(value: float, name: str) -> None:
    """Raise ``ValueError`` unless ``0 < value < ∞``."""
    if not 0.0 < value < np.inf:
        raise ValueError(f"{name} is {value}; it must be positive and finite")


def open_unit_interval(value: float, name: str) -> None:
    """Raise ``ValueError`` unless ``0 < value < 1``."""
    if not 0.0 < value < 1.0:
        raise ValueError(f"{name} is {value}; it must lie strictly between 0 and 1")
