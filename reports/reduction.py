"""Fewer points, same picture: keep the extremes of every pixel column.

Dropping points at regular steps loses spikes, and a z-score's spikes are the point of the chart.
Two points per pixel column (minimum and maximum) draw the same envelope as the full series.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from tsdownsample import MinMaxDownsampler

_PIXEL_COLUMNS = 240
_DRAW_ALL = 1_500


def keep_extremes(
    frame: pl.DataFrame,
    time: str,
    columns: Sequence[str],
    *,
    pixel_columns: int = _PIXEL_COLUMNS,
    draw_all: int = _DRAW_ALL,
) -> tuple[pl.DataFrame, bool]:
    """Rows that hold the minimum and maximum of each column in each of `pixel_columns` intervals.

    First and last rows and both sides of every break in a series are kept too.

    Args:
        frame: rows in time order.
        time: column of times, integer or datetime.
        columns: numeric columns that will be drawn; null and NaN are gaps.
        pixel_columns: resolution; the result holds at most about twice this per column.
        draw_all: frames up to this many rows are returned as they are.

    Returns:
        The rows to draw and whether any were left out.
    """
    if frame.height <= draw_all:
        return frame, False
    times = frame[time].cast(pl.Int64).to_numpy()
    sampler = MinMaxDownsampler()  # type: ignore[no-untyped-call]
    keep = {0, frame.height - 1}
    for column in columns:
        values = frame[column].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        finite = np.isfinite(values)
        rows = np.flatnonzero(finite)
        edges = np.flatnonzero(np.diff(finite.astype(np.int8)))
        keep.update(edges.tolist(), (edges + 1).tolist())
        if rows.size <= 2 * pixel_columns:
            keep.update(rows.tolist())
            continue
        chosen = sampler.downsample(
            np.ascontiguousarray(times[rows]),
            np.ascontiguousarray(values[rows]),
            n_out=2 * pixel_columns,
        )
        keep.update(rows[chosen].tolist())
    return frame[sorted(keep)], True
