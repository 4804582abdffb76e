"""Call a statistics library so that its refusals become a reason instead of a wrong number.

On degenerate data arch and statsmodels raise errors of several kinds, or warn that a matrix is
singular or a logarithm undefined and then return some number. Neither may reach a reader.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TypeVar

from arch.utility.exceptions import InfeasibleTestException
from statsmodels.tools.sm_exceptions import SingularMatrixWarning

T = TypeVar("T")


class UndefinedStatisticError(Exception):
    """The statistic does not exist for these data; the message says why."""


def call_library(function: Callable[[], T]) -> T:
    """Return ``function()``, or raise ``UndefinedStatisticError`` if its result means nothing."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = function()
        except InfeasibleTestException as refusal:
            raise UndefinedStatisticError(" ".join(str(refusal).split())) from refusal
        except ValueError as failure:  # a singular matrix, or no rows or columns left to regress
            raise UndefinedStatisticError(
                "its regressors are collinear or too few rows remain"
            ) from failure
    for warning in caught:
        if issubclass(warning.category, SingularMatrixWarning):
            raise UndefinedStatisticError("its regressors are collinear")
        # Some BLAS raise floating-point flags in products that are exact; those mean nothing.
        if issubclass(warning.category, RuntimeWarning) and "matmul" not in str(warning.message):
            raise UndefinedStatisticError(
                f"the regression fits it without error or not at all ({warning.message})"
            )
    return result
