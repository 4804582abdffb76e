"""A hedge ratio that drifts: regression with random-walk coefficients, by Kalman filter.

The filter is a plain loop over floats: for two states that costs less than any array operation, and
about a two-hundredth of a general matrix filter. It never looks ahead: the spread at t uses only
what was known at t−1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize

from quant_pipeline.analytics._inputs import FloatArray, as_pair
from quant_pipeline.analytics._regression import ols

_CHUNK = 4096
"""Observations whose results are Python floats at a time, which take five times the memory."""


@dataclass(frozen=True, slots=True, eq=False)
class KalmanHedge:
    """Filtered hedge and its innovations; smoothed states only if they were asked for.

    ``alpha[t]``, ``beta[t]`` use observations up to t. ``spread[t]`` is the innovation: y minus its
    forecast from observations up to t−1, with forecast variance ``spread_variance[t]``.
    """

    alpha: FloatArray
    beta: FloatArray
    spread: FloatArray
    spread_variance: FloatArray
    log_likelihood: float
    alpha_stderr: FloatArray
    beta_stderr: FloatArray
    q: FloatArray
    r: float
    n: int
    alpha_smoothed: FloatArray | None = None
    beta_smoothed: FloatArray | None = None
    defined: bool = True
    reason: str | None = None


class _State(NamedTuple):
    """Mean and covariance of (alpha, beta) before the observation at ``start``."""

    alpha: float
    beta: float
    p00: float
    p01: float
    p11: float
    start: int


class _Filtered(NamedTuple):
    alpha: FloatArray
    beta: FloatArray
    innovation: FloatArray
    variance: FloatArray
    p00: FloatArray
    p01: FloatArray
    p11: FloatArray
    log_likelihood: float


def kalman_hedge(
    y: ArrayLike,
    x: ArrayLike,
    *,
    q: ArrayLike | None = None,
    r: float | None = None,
    initial_state: ArrayLike | None = None,
    initial_cov: ArrayLike | None = None,
    smooth: bool = False,
) -> KalmanHedge:
    """Track a drifting hedge: y_t = alpha_t + beta_t·x_t + v_t with random-walk coefficients.

    Formula
    -------
    (alpha, beta)_t = (alpha, beta)_{t−1} + w_t, w ~ N(0, Q), v ~ N(0, r). Innovation
    e_t = y_t − alpha_{t−1} − beta_{t−1}·x_t, its variance S_t = h'(P_{t−1}+Q)h + r with
    h = (1, x_t); log-likelihood = −½·Σ (ln 2πS_t + e_t²/S_t).

    Units
    -----
    alpha and spread in units of y; beta in units of y per unit of x; spread_variance and r in
    units of y squared; q in squared units of alpha and beta per bar.

    Parameters
    ----------
    y, x : array of shape (n,)
        Levels on one clock.
    q : float, pair, or (2, 2) array, optional
        Variance of the states' steps: one for both, one each, or the full matrix.
    r : float, optional
        Variance of the observation noise, above 0. Whichever of ``q`` (then diagonal) and ``r`` is
        None is estimated by maximum likelihood over the whole sample, which looks ahead.
    initial_state, initial_cov : pair and (2, 2) array, optional
        Mean and covariance of the state at the first observation. Without them the start is
        diffuse: the first observations that are needed to identify a line (two, unless x repeats)
        have a NaN hedge and spread, and do not count in the likelihood.
    smooth : bool
        Also return states given the whole sample (these look ahead).

    Returns
    -------
    KalmanHedge
        Undefined if n < 3 or, with a diffuse start, x is constant.

    Raises
    ------
    ValueError
        If lengths differ, a value is missing or infinite, only one of the initial values is given,
        or a variance is not valid.

    References
    ----------
    Durbin and Koopman (2012), Time Series Analysis by State Space Methods, chs. 4–5, 7.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = 100.0 + np.cumsum(rng.normal(size=400))
    >>> hedge = kalman_hedge(5.0 + 0.7 * x + rng.normal(size=400), x, q=1e-8, r=1.0)
    >>> bool(abs(hedge.beta[-1] - 0.7) < 3 * hedge.beta_stderr[-1])
    True
    """
    left, right = as_pair(y, x)
    n = len(left)
    if (initial_state is None) != (initial_cov is None):
        raise ValueError("give initial_state and initial_cov together, or neither")
    known = None if initial_state is None else _prior(initial_state, initial_cov)
    step = None if q is None else _step_covariance(q)
    if r is not None and not (np.isfinite(r) and r > 0.0):
        raise ValueError(f"r is {r}; an observation variance must be positive")
    reason = None
    if n < 3:
        reason = f"{n} observations; at least 3 are needed"
    elif known is None and np.ptp(right) == 0.0:
        reason = "x is constant, so a diffuse start never identifies a line"
    if reason is not None:
        return _undefined(n, reason)

    # Measured from x[0], alpha and beta are far less correlated when x is a price far from zero;
    # shifting by the first value (not the mean) keeps the filter causal to the last bit.
    shift = float(right[0])
    to_shifted = np.array([[1.0, shift], [0.0, 1.0]])
    moved = right - shift
    if step is None or r is None:
        step, r = _maximum_likelihood(left, moved, step, r, known, to_shifted)
    inner_q = to_shifted @ step @ to_shifted.T
    filtered = _filter(left, moved, inner_q, r, _start(left, moved, inner_q, r, known, to_shifted))
    smoothed = _smooth(filtered, inner_q) if smooth else None
    alpha_variance = filtered.p00 - 2.0 * shift * filtered.p01 + shift * shift * filtered.p11
    return KalmanHedge(
        alpha=filtered.alpha - shift * filtered.beta,
        beta=filtered.beta,
        spread=filtered.innovation,
        spread_variance=filtered.variance,
        log_likelihood=filtered.log_likelihood,
        alpha_stderr=np.sqrt(np.maximum(alpha_variance, 0.0)),
        beta_stderr=np.sqrt(np.maximum(filtered.p11, 0.0)),
        q=step,
        r=float(r),
        n=n,
        alpha_smoothed=None if smoothed is None else smoothed[0] - shift * smoothed[1],
        beta_smoothed=None if smoothed is None else smoothed[1],
    )


def _filter(y: FloatArray, x: FloatArray, q: FloatArray, r: float, state: _State) -> _Filtered:
    """Run the filter from ``state``; values before ``state.start`` are NaN."""
    a, b, p00, p01, p11, start = state
    q00, q01, q11 = float(q[0, 0]), float(q[0, 1]), float(q[1, 1])
    columns = np.full((7, len(y)), np.nan)
    for first in range(start, len(y), _CHUNK):
        part = slice(first, first + _CHUNK)
        rows: list[tuple[float, float, float, float, float, float, float]] = []
        record = rows.append
        for y_t, x_t in zip(y[part].tolist(), x[part].tolist(), strict=True):
            u0 = p00 + p01 * x_t
            u1 = p01 + p11 * x_t
            s = u0 + x_t * u1 + r
            e = y_t - a - b * x_t
            gain0 = u0 / s
            gain1 = u1 / s
            a += gain0 * e
            b += gain1 * e
            f00 = p00 - gain0 * u0
            f01 = p01 - gain0 * u1
            f11 = p11 - gain1 * u1
            record((a, b, e, s, f00, f01, f11))
            p00 = f00 + q00
            p01 = f01 + q01
            p11 = f11 + q11
        columns[:, part] = np.array(rows).T
    innovation, variance = columns[2, start:], columns[3, start:]
    log_likelihood = -0.5 * float(
        (np.log(2.0 * np.pi * variance) + innovation * innovation / variance).sum()
    )
    a_t, b_t, e_t, s_t, f00_t, f01_t, f11_t = columns
    return _Filtered(a_t, b_t, e_t, s_t, f00_t, f01_t, f11_t, log_likelihood)


def _smooth(filtered: _Filtered, q: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rauch–Tung–Striebel means, for the observations that have a filtered state."""
    start = int(np.argmax(np.isfinite(filtered.alpha)))
    f00, f01, f11 = (p[start:-1] for p in (filtered.p00, filtered.p01, filtered.p11))
    p00, p01, p11 = f00 + q[0, 0], f01 + q[0, 1], f11 + q[1, 1]
    determinant = p00 * p11 - p01 * p01
    # The gains f·p⁻¹ do not depend on the smoothed means, so only those need a loop. A state known
    # exactly (determinant 0) does not move.
    gains = np.array(
        [
            f00 * p11 - f01 * p01,
            f01 * p00 - f00 * p01,
            f01 * p11 - f11 * p01,
            f11 * p00 - f01 * p01,
        ]
    )
    known = determinant <= 0.0
    gains = np.where(known, 0.0, gains / np.where(known, 1.0, determinant))
    steps = [filtered.alpha[start:-1], filtered.beta[start:-1], *gains]
    a, b = float(filtered.alpha[-1]), float(filtered.beta[-1])
    means = [(a, b)]
    for a_t, b_t, g00, g01, g10, g11 in zip(*(s[::-1].tolist() for s in steps), strict=True):
        da, db = a - a_t, b - b_t
        a, b = a_t + g00 * da + g01 * db, b_t + g10 * da + g11 * db
        means.append((a, b))
    result = np.full((2, len(filtered.alpha)), np.nan)
    result[:, start:] = np.array(means[::-1]).T
    return result[0], result[1]


def _start(
    y: FloatArray,
    x: FloatArray,
    q: FloatArray,
    r: float,
    known: tuple[FloatArray, FloatArray] | None,
    to_shifted: FloatArray,
) -> _State:
    """The prior, or the exact diffuse state after the first observations that identify a line.

    In information form a diffuse state is the zero matrix, which needs no large number to imitate
    infinity. Observations are added, and aged by q, until the matrix can be inverted.
    """
    if known is not None:
        mean, cov = to_shifted @ known[0], to_shifted @ known[1] @ to_shifted.T
        return _state(mean, cov, 0)
    information, weighted = np.zeros((2, 2)), np.zeros(2)
    identified = int(np.argmax(x != x[0]))
    for t in range(identified + 1):
        if t:
            ageing = np.linalg.inv(np.eye(2) + information @ q)
            information, weighted = ageing @ information, ageing @ weighted
        h = np.array([1.0, x[t]])
        information = information + np.outer(h, h) / r
        weighted = weighted + h * y[t] / r
    # Row and column scaling: x may be tiny or huge beside 1.
    scale = 1.0 / np.sqrt(np.diag(information))
    cov = np.linalg.inv(information * np.outer(scale, scale)) * np.outer(scale, scale)
    mean = cov @ weighted
    cov = cov + q
    return _state(mean, cov, identified + 1)


def _state(mean: FloatArray, cov: FloatArray, start: int) -> _State:
    return _State(
        alpha=float(mean[0]),
        beta=float(mean[1]),
        p00=float(cov[0, 0]),
        p01=float(cov[0, 1]),
        p11=float(cov[1, 1]),
        start=start,
    )


def _maximum_likelihood(
    y: FloatArray,
    x: FloatArray,
    step: FloatArray | None,
    r: float | None,
    known: tuple[FloatArray, FloatArray] | None,
    to_shifted: FloatArray,
) -> tuple[FloatArray, float]:
    """Estimate whichever of q (diagonal, in the original coordinates) and r is missing."""
    residual_variance = float(np.var(ols(y, x).residuals)) or float(np.var(y)) or 1.0
    spread_of_x = float(np.var(x)) or 1.0
    guess = (
        []
        if step is not None
        else [residual_variance * 1e-4, residual_variance * 1e-4 / spread_of_x]
    )
    if r is None:
        guess.append(residual_variance)

    def unpack(log_parameters: FloatArray) -> tuple[FloatArray, float]:
        values = np.exp(log_parameters)
        q = np.diag(values[:2]) if step is None else step
        return q, float(values[-1]) if r is None else r

    def cost(log_parameters: FloatArray) -> float:
        q, noise = unpack(log_parameters)
        inner = to_shifted @ q @ to_shifted.T
        start = _start(y, x, inner, noise, known, to_shifted)
        return -_filter(y, x, inner, noise, start).log_likelihood

    begin = np.log(np.array(guess))
    found = optimize.minimize(
        cost,
        begin,
        method="L-BFGS-B",
        bounds=[(value - 30.0, value + 15.0) for value in begin],
    )
    return unpack(found.x)


def _prior(state: ArrayLike, cov: ArrayLike | None) -> tuple[FloatArray, FloatArray]:
    mean, covariance = np.array(state, dtype=np.float64), np.array(cov, dtype=np.float64)
    if mean.shape != (2,) or covariance.shape != (2, 2):
        raise ValueError(
            f"initial_state must have shape (2,) and initial_cov (2, 2), got {mean.shape} and "
            f"{covariance.shape}; the states are alpha and beta"
        )
    _require_covariance(covariance, "initial_cov")
    return mean, covariance


def _step_covariance(q: ArrayLike) -> FloatArray:
    values = np.array(q, dtype=np.float64)
    matrix = values if values.ndim == 2 else np.diag(np.broadcast_to(values, (2,)))
    if matrix.shape != (2, 2):
        raise ValueError(f"q has shape {values.shape}; pass one variance, two, or a 2×2 matrix")
    _require_covariance(matrix, "q")
    return np.array(matrix)


def _require_covariance(matrix: FloatArray, name: str) -> None:
    valid = np.isfinite(matrix).all() and np.array_equal(matrix, matrix.T)
    if not valid or np.linalg.eigvalsh(matrix)[0] < -1e-12 * abs(matrix).max():
        raise ValueError(
            f"{name} is {matrix.tolist()}; it must be symmetric without negative variance"
        )


def _undefined(n: int, reason: str) -> KalmanHedge:
    empty, nan = np.full(n, np.nan), float("nan")
    return KalmanHedge(
        empty, empty, empty, empty, nan, empty, empty, np.full((2, 2), nan), nan, n,
        defined=False, reason=reason,
    )  # fmt: skip
