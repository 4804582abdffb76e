"""A statistic, or the reason why there is none."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, SupportsFloat, TypeVar

import numpy as np

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Undefined:
    """A quantity that the data cannot support.

    Attributes:
        reason: a sentence that a reader of the report understands.
    """

    reason: str


def attempt(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | Undefined:
    """Call `function`; what it calls undefined, or refuses, becomes `Undefined` in its words.

    Example:
        >>> attempt(math.sqrt, -1.0)
        Undefined(reason='Expected a nonnegative input, got -1.0.')
    """
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            # A library that warns of a singular matrix returns a number that means nothing.
            warnings.simplefilter("error", RuntimeWarning)
            warnings.simplefilter("error", UserWarning)
            result = function(*args, **kwargs)
    except (ValueError, ArithmeticError, np.linalg.LinAlgError, Warning) as error:
        return Undefined(sentence(str(error) or type(error).__name__))
    if getattr(result, "defined", True):
        return result
    return Undefined(sentence(getattr(result, "reason", None) or "The data do not determine it"))


def finite(value: SupportsFloat | Undefined | None) -> float | None:
    """A plain finite float, or None: what a metric and a JSON value may be."""
    if value is None or isinstance(value, Undefined):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def sentence(text: str) -> str:
    """The first line of `text` as a sentence."""
    text = text.strip().splitlines()[0].rstrip(".")
    return text[:1].upper() + text[1:] + "."
