"""Moments over a sliding window in linear time, without the cancellation of running sums.

The series is cut into blocks as long as the window. Every window is then the tail of one block and
the head of the next, so its moments are two cumulative ones merged by the formula of Chan, Golub
and LeVeque (1979). No sum runs longer than a window, and each block is centred on its own first
value, so a level of 60,000 with moves of 0.1 keeps its digits. A NaN reaches exactly the windows
that contain it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quant_pipeline.analytics._inputs import FloatArray


@dataclass(frozen=True, slots=True)
class WindowMoments:
    """Means and centred second moments (sums, not averages) of each complete window."""

    mean_y: FloatArray
    mean_x: FloatArray
    yy: FloatArray
    xx: FloatArray
    xy: FloatArray


@dataclass(frozen=True, slots=True)
class _Part:
    count: FloatArray
    mean_y: FloatArray
    mean_x: FloatArray
    yy: FloatArray
    xx: FloatArray
    xy: FloatArray


def window_moments(y: FloatArray, x: FloatArray, window: int) -> WindowMoments:
    """Moments of ``(y, x)`` over each of the ``len(y) - window + 1`` complete windows."""
    starts = np.arange(len(y) - window + 1)
    block, offset = np.divmod(starts, window)
    padding = (-len(y)) % window + window  # one spare block, so that block + 1 always exists
    blocks_y = np.append(y, np.full(padding, np.nan)).reshape(-1, window)
    blocks_x = np.append(x, np.full(padding, np.nan)).reshape(-1, window)

    tail = _pick(_cumulative(blocks_y[:, ::-1], blocks_x[:, ::-1]), block, window - 1 - offset)
    head = _pick(_cumulative(blocks_y, blocks_x), block + 1, offset - 1)
    merged = _merge(tail, head)
    whole = offset == 0  # the window is exactly one block: there is no head to merge
    return WindowMoments(
        *(
            np.where(whole, getattr(tail, field), getattr(merged, field))
            for field in ("mean_y", "mean_x", "yy", "xx", "xy")
        )
    )


def _cumulative(y: FloatArray, x: FloatArray) -> _Part:
    """Moments of the first 1, 2, … values of every row."""
    count = np.broadcast_to(np.arange(1.0, y.shape[1] + 1), y.shape)
    base_y, base_x = y[:, :1], x[:, :1]
    dy, dx = y - base_y, x - base_x
    sum_y, sum_x = np.cumsum(dy, axis=1), np.cumsum(dx, axis=1)
    return _Part(
        count,
        base_y + sum_y / count,
        base_x + sum_x / count,
        np.cumsum(dy * dy, axis=1) - sum_y * sum_y / count,
        np.cumsum(dx * dx, axis=1) - sum_x * sum_x / count,
        np.cumsum(dy * dx, axis=1) - sum_y * sum_x / count,
    )


def _pick(part: _Part, row: np.ndarray, column: np.ndarray) -> _Part:
    return _Part(*(getattr(part, field)[row, column] for field in part.__slots__))


def _merge(a: _Part, b: _Part) -> _Part:
    count = a.count + b.count
    dy, dx = b.mean_y - a.mean_y, b.mean_x - a.mean_x
    share, weight = b.count / count, a.count * b.count / count
    return _Part(
        count,
        a.mean_y + dy * share,
        a.mean_x + dx * share,
        a.yy + b.yy + dy * dy * weight,
        a.xx + b.xx + dx * dx * weight,
        a.xy + b.xy + dy * dx * weight,
    )
