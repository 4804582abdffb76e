"""Correlation matrix of many assets, shrunk so that it can be inverted and trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from quant_pipeline.analytics._inputs import FloatArray
from quant_pipeline.analytics._tick_inputs import centred


@dataclass(frozen=True, slots=True, eq=False)
class ShrunkCorrelation:
    """Ledoit–Wolf estimate of a correlation matrix.

    ``correlation`` (p × p) is ``(1 − shrinkage) · sample + shrinkage · identity``, ``sample`` the
    plain Pearson matrix and ``covariance`` the shrunk correlation with the sample's own standard
    deviations put back (units of the input squared). ``condition`` numbers, of ``correlation`` and
    of ``sample``, tell how much an inverse amplifies noise. ``n`` rows were used, ``n_dropped``
    held a missing value. ``undefined`` names the columns that do not move; their rows and columns
    are NaN.
    """

    symbols: tuple[str, ...]
    correlation: FloatArray
    sample: FloatArray
    covariance: FloatArray
    shrinkage: float
    condition: float
    sample_condition: float
    n: int
    n_dropped: int
    undefined: tuple[str, ...]
    reason: str | None

    @property
    def defined(self) -> bool:
        """Whether any correlation is a number that may be used."""
        return self.reason is None


def shrunk_correlation(returns: pl.DataFrame) -> ShrunkCorrelation:
    """Correlation matrix of many assets, shrunk towards no correlation by Ledoit and Wolf's rule.

    The sample matrix of p assets from n returns is singular for p ≥ n and noisy well before; the
    shrinkage intensity that minimises the expected squared error is estimated from the data. The
    columns are standardised first, so that an asset's volatility does not decide its weight.

    Formula
    -------
    (1 − δ)·R + δ·I with R the sample correlation and δ Ledoit and Wolf's optimal intensity.

    Units
    -----
    Correlations and δ dimensionless; ``covariance`` in squared units of the input.

    Parameters
    ----------
    returns : polars.DataFrame, n rows × p columns
        One column of returns a symbol. A row with any missing value is dropped, and counted.

    Returns
    -------
    ShrunkCorrelation
        Undefined (``reason`` says why) with fewer than 3 complete rows or 2 columns that move.

    Raises
    ------
    ValueError
        If there are fewer than two columns.

    References
    ----------
    Ledoit, O. and Wolf, M. (2004), "A well-conditioned estimator for large-dimensional covariance
    matrices", Journal of Multivariate Analysis 88(2), 365–411 (scikit-learn's implementation).

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"a": [1.0, -1.0, 2.0, -2.0], "b": [1.0, -2.0, 2.0, -1.0]})
    >>> estimate = shrunk_correlation(frame)
    >>> bool(abs(estimate.correlation[0, 1]) < abs(estimate.sample[0, 1])), estimate.n
    (True, 4)
    """
    if returns.width < 2:
        raise ValueError(f"returns has {returns.width} columns; pass one per symbol, two or more")
    values = returns.cast(pl.Float64).to_numpy()
    complete = np.isfinite(values).all(axis=1)
    values = values[complete]
    n, p = values.shape
    moving = np.ptp(values, axis=0) > 0 if n else np.zeros(p, dtype=np.bool_)
    reason = None
    if n < 3:
        reason = f"{n} complete rows; at least 3 are needed"
    elif moving.sum() < 2:
        reason = "fewer than two columns move"
    sample, correlation, covariance = (np.full((p, p), np.nan) for _ in range(3))
    shrinkage = condition = sample_condition = np.nan
    if reason is None:
        some = np.ix_(moving, moving)
        deviation = values[:, moving].std(axis=0, ddof=1)
        scaled = np.column_stack([centred(column) for column in values[:, moving].T])
        standard = scaled / np.sqrt((scaled**2).mean(axis=0))
        from sklearn.covariance import ledoit_wolf  # 17 MB that only this function needs

        shrunk, shrinkage = ledoit_wolf(standard, assume_centered=True)
        sample[some] = standard.T @ standard / n
        correlation[some] = shrunk
        covariance[some] = shrunk * np.outer(deviation, deviation)
        condition = float(np.linalg.cond(correlation[some]))
        sample_condition = float(np.linalg.cond(sample[some]))
    return ShrunkCorrelation(
        symbols=tuple(returns.columns),
        correlation=correlation,
        sample=sample,
        covariance=covariance,
        shrinkage=float(shrinkage),
        condition=condition,
        sample_condition=sample_condition,
        n=n,
        n_dropped=int((~complete).sum()),
        undefined=tuple(c for c, moves in zip(returns.columns, moving, strict=True) if not moves),
        reason=reason,
    )
