"""Whether a series is fit to be analysed: gaps, stale values, outliers and faulty stamps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from quant_pipeline.analytics._inputs import FloatArray, as_series, require_at_least
from quant_pipeline.analytics._tick_inputs import TimeArray, positive_number, same_length

__all__ = ["DataQuality", "data_quality"]

# 1 / 0.6745: makes the median absolute deviation of a normal sample its standard deviation.
_MAD_TO_STD = 1.4826022185056018


@dataclass(frozen=True, slots=True, eq=False)
class DataQuality:
    """Counts of what is wrong with a series of ``n`` observations.

    Times are in the unit of the stamps (nanoseconds for datetime64).

    - ``n_missing``: NaN or infinite; ``n_not_positive``: finite but no price.
    - ``n_out_of_order``: stamps earlier than the one before; ``n_duplicated``: stamps seen before.
    - ``interval``: the expected time between observations; ``gaps``, one row each, are where more
      than ``gap_multiple`` times that passed: ``start``, ``end``, ``length`` and how many
      observations of the expected interval are ``missing`` from it. ``n_gaps``, ``longest_gap`` and
      ``coverage``, the share of the whole span that lies outside the gaps' missing part.
    - ``n_stale``: equal to the observation before; ``stale_share`` of the changes;
      ``longest_stale_run`` in observations that repeat one value (1 if none repeats).
    - ``n_outliers``: changes further than ``outlier_threshold`` robust standard deviations (from
      the median absolute deviation of the changes that are not zero) from their median;
      ``outlier_positions`` in the input. Log changes if all prices are positive.
    """

    n: int
    n_missing: int
    n_not_positive: int
    n_out_of_order: int
    n_duplicated: int
    interval: float
    gaps: pl.DataFrame
    longest_gap: float
    coverage: float
    n_stale: int
    stale_share: float
    longest_stale_run: int
    n_outliers: int
    outlier_threshold: float
    outlier_positions: NDArray[np.int64]
    reason: str | None

    @property
    def defined(self) -> bool:
        """Whether there were enough observations to judge."""
        return self.reason is None

    @property
    def n_gaps(self) -> int:
        """Number of gaps."""
        return self.gaps.height

    @property
    def problems(self) -> tuple[str, ...]:
        """Each kind of fault found, in words; empty for a clean series."""
        counted = {
            "missing values": self.n_missing,
            "values not positive": self.n_not_positive,
            "stamps out of order": self.n_out_of_order,
            "duplicated stamps": self.n_duplicated,
            "gaps": self.n_gaps,
            "outliers": self.n_outliers,
        }
        return tuple(f"{fault}: {count}" for fault, count in counted.items() if count)


def data_quality(
    ts: ArrayLike,
    value: ArrayLike,
    *,
    interval: float | None = None,
    gap_multiple: float = 3.0,
    outlier_threshold: float = 10.0,
) -> DataQuality:
    """Summarise the quality of a series before anything is computed from it.

    Nothing is repaired or refused here, stamps out of order included: the point is to count it.

    Formula
    -------
    Gap: a step of more than gap_multiple·interval. Outlier: |Δ − median Δ| > outlier_threshold ×
    1.4826·MAD of the changes that are not zero; Δ is the log change if all values are positive.
    coverage = 1 − Σ(gap − interval) / span.

    Units
    -----
    Times in the unit of the stamps; shares 0–1; the rest are counts.

    Parameters
    ----------
    ts : array of shape (n,)
        Stamps: integers, floats or datetime64.
    value : array of shape (n,)
        Prices or other values.
    interval : float, optional
        Expected time between observations, in the unit of the stamps; the median step between
        distinct stamps unless given. For bars give it: the median adapts to a series that lacks
        most of its observations.
    gap_multiple : float
        A step longer than this many intervals is a gap, at least 1.
    outlier_threshold : float
        Robust standard deviations beyond which a change is an outlier.

    Returns
    -------
    DataQuality
        Undefined (``reason`` says why) with fewer than two observations.

    Raises
    ------
    ValueError
        If lengths differ, or ``interval``, ``gap_multiple`` or ``outlier_threshold`` is out of
        range.

    References
    ----------
    Iglewicz, B. and Hoaglin, D. (1993), "How to detect and handle outliers", ASQC (the modified z
    score; their threshold of 3.5 suits normal data, not the fat tails of returns).

    Examples
    --------
    >>> quality = data_quality([0, 1, 2, 3, 9, 10, 10], [5.0, 5.1, 5.1, 5.0, 5.1, 90.0, 5.1])
    >>> quality.problems
    ('duplicated stamps: 1', 'gaps: 1', 'outliers: 2')
    >>> quality.gaps.rows(), round(quality.stale_share, 3)
    ([(3, 9, 6, 5)], 0.167)
    """
    times: TimeArray = _any_stamps(ts)
    values = as_series(value, "value", allow_nan=True)
    same_length(ts=times, value=values)
    require_at_least(gap_multiple, "gap_multiple", 1.0)
    positive_number(outlier_threshold, "outlier_threshold")
    if interval is not None:
        positive_number(interval, "interval")
    n = len(values)
    finite = np.isfinite(values)
    ordered = np.unique(times)
    steps = np.diff(ordered)
    expected = (
        interval if interval is not None else float(np.median(steps)) if len(steps) else np.nan
    )
    gaps = _gaps(ordered, steps, expected, gap_multiple)
    span = float(ordered[-1] - ordered[0]) if n else 0.0
    lost = float((gaps["length"].to_numpy() - expected).sum()) if gaps.height else 0.0
    stale = finite[1:] & finite[:-1] & (values[1:] == values[:-1])
    outliers = _outliers(values, finite, outlier_threshold)
    return DataQuality(
        n=n,
        n_missing=int((~finite).sum()),
        n_not_positive=int((values[finite] <= 0).sum()),
        n_out_of_order=int((times[1:] < times[:-1]).sum()),
        n_duplicated=n - len(ordered),
        interval=float(expected),
        gaps=gaps,
        longest_gap=float(gaps["length"].max()) if gaps.height else 0.0,  # type: ignore[arg-type]
        coverage=1.0 - lost / span if span > 0 else np.nan,
        n_stale=int(stale.sum()),
        stale_share=float(stale.mean()) if n > 1 else np.nan,
        longest_stale_run=_longest_run(stale) + 1 if n else 0,
        n_outliers=len(outliers),
        outlier_threshold=outlier_threshold,
        outlier_positions=outliers,
        reason=None if n > 1 else f"{n} observations; at least 2 are needed",
    )


def _any_stamps(ts: ArrayLike) -> TimeArray:
    times = np.asarray(ts)
    if times.dtype.kind != "M":
        missing = ~np.isfinite(as_series(ts, "ts", allow_nan=True))
    else:
        missing = np.isnat(times)
    if missing.any():
        raise ValueError(
            "ts holds a missing stamp; an observation without a time is no observation"
        )
    if times.dtype.kind == "M":
        return times.astype("datetime64[ns]").astype(np.int64)
    return times.astype(np.int64 if times.dtype.kind in "iu" else np.float64)


def _gaps(
    ordered: TimeArray, steps: TimeArray, expected: float, gap_multiple: float
) -> pl.DataFrame:
    at = np.flatnonzero(steps > gap_multiple * expected)
    missing = np.rint(steps[at] / expected).astype(np.int64) - 1 if len(at) else at
    return pl.DataFrame(
        {"start": ordered[at], "end": ordered[at + 1], "length": steps[at], "missing": missing}
    )


def _longest_run(flags: NDArray[np.bool_]) -> int:
    """Length of the longest run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _outliers(values: FloatArray, finite: NDArray[np.bool_], threshold: float) -> NDArray[np.int64]:
    """Positions whose change from the last finite value is beyond the threshold."""
    positions = np.flatnonzero(finite)
    present = values[positions]
    changes = np.diff(np.log(present) if (present > 0).all() else present)
    moved = changes[changes != 0]
    if len(moved) < 3:
        return np.empty(0, dtype=np.int64)
    centre = float(np.median(moved))
    scale = _MAD_TO_STD * float(np.median(np.abs(moved - centre)))
    # Half of all moves being equal (one tick up) leaves no scale; their mean size is the next best.
    scale = scale or float(np.abs(moved).mean())
    return np.asarray(positions[1:][np.abs(changes - centre) > threshold * scale])
