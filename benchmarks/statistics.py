"""CPU time of the statistics beside statsmodels, arch and pykalman, in one run.

    uv run --group bench python -m benchmarks.statistics           # about a minute
    uv run --group bench python -m benchmarks.statistics --quick   # smaller samples of the peers

Every row runs both sides on the same data in the same process, one BLAS thread, and compares their
answers as well as their times. Time is CPU time (``time.process_time``), the least of the
repetitions for the fast side. Where a peer would take minutes it is timed on a random sample of the
work and scaled up; the row says so. The exit code is 1 if a required ratio or agreement is missed.
"""

# ruff: noqa: E402 - the BLAS reads its number of threads when NumPy is first imported

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"

import sys

# Run as a script, this folder comes first on the path and this file hides the standard library's
# module of the same name.
_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib not yet safe
sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != _HERE]  # noqa: PTH100

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
from arch.unitroot.cointegration import engle_granger as arch_engle_granger
from pykalman import KalmanFilter
from statsmodels.regression.rolling import RollingOLS
from statsmodels.tools.sm_exceptions import CollinearityWarning
from statsmodels.tsa.stattools import adfuller, coint

from quant_pipeline import analytics


@dataclass(frozen=True)
class Row:
    """One comparison: seconds of CPU on either side, and how far the answers differ."""

    what: str
    peer: str
    ours_s: float
    theirs_s: float
    difference: float
    allowed: float
    required_ratio: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float:
        return self.theirs_s / self.ours_s

    @property
    def passed(self) -> bool:
        fast = self.required_ratio is None or self.ratio >= self.required_ratio
        return fast and self.difference <= self.allowed


def cpu(function: Callable[[], object], repeat: int = 1) -> float:
    """Least CPU seconds of ``repeat`` runs."""
    times = []
    for _ in range(repeat):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def universe(symbols: int, bars: int, seed: int = 3) -> pl.DataFrame:
    """Log prices on three shared factors; every fifth symbol mean-reverts around them."""
    rng = np.random.default_rng(seed)
    factors = np.cumsum(rng.normal(0.0, 6e-4, size=(3, bars)), axis=1)
    columns = {}
    for index in range(symbols):
        own = rng.normal(0.0, 3e-4, size=bars)
        if index % 5 == 0:
            for t in range(1, bars):
                own[t] += 0.95 * own[t - 1]
        else:
            own = np.cumsum(own)
        columns[f"S{index:03d}"] = rng.uniform(-1, 10) + rng.uniform(0.3, 1.5, 3) @ factors + own
    return pl.DataFrame(columns)


def scan_rows(symbols: int, bars: int, sample: int) -> list[Row]:
    """The whole scan, beside loops over one Engle–Granger test at a time."""
    prices = universe(symbols, bars)
    analytics.scan(prices)  # import and cache effects stay outside the measurement
    ours_s = cpu(lambda: analytics.scan(prices), repeat=5)
    found = analytics.scan(prices)
    chosen = found.sample(sample, seed=0).to_dicts()
    pairs = [(prices[row["y"]].to_numpy(), prices[row["x"]].to_numpy()) for row in chosen]
    scale = found.height / sample
    rows = []
    peers: list[tuple[str, Callable[[np.ndarray, np.ndarray, int], float], float]] = [
        ("statsmodels.coint, AIC", lambda y, x, _: float(coint(y, x, autolag="aic")[0]), 300.0),
        ("arch engle_granger, AIC", lambda y, x, _: arch_statistic(y, x, None), 50.0),
        ("arch engle_granger, our lags", lambda y, x, lag: arch_statistic(y, x, lag), 0.0),
    ]
    for name, test, required in peers:
        worst = 0.0
        start = time.process_time()
        answers = [test(y, x, row["lags"]) for (y, x), row in zip(pairs, chosen, strict=True)]
        theirs_s = (time.process_time() - start) * scale
        worst = max(abs(a - row["statistic"]) for a, row in zip(answers, chosen, strict=True))
        note = f"peer timed on {sample} of {found.height} directions"
        what = f"scan {symbols} symbols × {bars:,} bars"
        rows.append(Row(what, name, ours_s, theirs_s, worst, 1e-8, required or None, note))
    return rows


def arch_statistic(y: np.ndarray, x: np.ndarray, lags: int | None) -> float:
    return float(arch_engle_granger(y, x, lags=lags, method="aic").stat)


def adf_row(n: int, required: float | None) -> Row:
    x = np.cumsum(np.random.default_rng(n).normal(size=n))
    ours_s = cpu(lambda: analytics.adf(x), repeat=9)
    ours = analytics.adf(x)
    start = time.process_time()
    theirs = adfuller(x, autolag="aic", result_object=True)
    theirs_s = time.process_time() - start
    difference = abs(ours.statistic - theirs.statistic) + abs(ours.lags - theirs.lags)
    return Row(f"ADF, AIC, {n:,} points", "adfuller", ours_s, theirs_s, difference, 1e-8, required)


def rolling_adf_row(n: int, window: int, sample: int) -> Row:
    x = np.cumsum(np.random.default_rng(5).normal(size=n))
    ours_s = cpu(lambda: analytics.rolling_adf(x, window), repeat=2)
    frame = analytics.rolling_adf(x, window)
    chosen = frame.sample(sample, seed=1).to_dicts()
    start = time.process_time()
    answers = [
        adfuller(x[row["end"] - window + 1 : row["end"] + 1], autolag="aic", result_object=True)
        for row in chosen
    ]
    theirs_s = (time.process_time() - start) * frame.height / sample
    worst = max(abs(a.statistic - row["statistic"]) for a, row in zip(answers, chosen, strict=True))
    what = f"rolling ADF, AIC, {n:,} points, window {window}"
    note = f"peer timed on {sample} of {frame.height:,} windows"
    return Row(what, "adfuller loop", ours_s, theirs_s, worst, 1e-8, None, note)


def rolling_ols_row(n: int, window: int, required: float | None) -> Row:
    rng = np.random.default_rng(7)
    x = 100.0 + np.cumsum(rng.normal(size=n))
    y = 3.0 + 0.7 * x + rng.normal(size=n)
    ours_s = cpu(lambda: analytics.rolling_ols(y, x, window), repeat=9)
    beta = analytics.rolling_ols(y, x, window)["beta"].to_numpy()
    design = np.column_stack([np.ones(n), x])
    start = time.process_time()
    theirs = RollingOLS(y, design, window).fit().params[:, 1]
    theirs_s = time.process_time() - start
    difference = float(np.nanmax(np.abs(beta - theirs)))
    what = f"rolling OLS, {n:,} points, window {window}"
    return Row(what, "RollingOLS", ours_s, theirs_s, difference, 1e-8, required)


def kalman_row(n: int, smooth: bool, required: float | None) -> Row:
    rng = np.random.default_rng(11)
    x = 10.0 + np.cumsum(rng.normal(scale=0.1, size=n))
    y = 1.0 + 0.5 * x + rng.normal(scale=0.1, size=n)
    given = {"q": 1e-5, "r": 0.01, "initial_state": [0.0, 0.0], "initial_cov": np.eye(2)}
    ours_s = cpu(lambda: analytics.kalman_hedge(y, x, **given, smooth=smooth), repeat=5)
    ours = analytics.kalman_hedge(y, x, **given, smooth=smooth)
    peer = KalmanFilter(
        transition_matrices=np.eye(2),
        observation_matrices=np.column_stack([np.ones(n), x])[:, None, :],
        transition_covariance=1e-5 * np.eye(2),
        observation_covariance=np.array([[0.01]]),
        initial_state_mean=np.zeros(2),
        initial_state_covariance=np.eye(2),
    )
    start = time.process_time()
    states = (peer.smooth if smooth else peer.filter)(y)[0]
    theirs_s = time.process_time() - start
    beta = ours.beta_smoothed if smooth else ours.beta
    assert beta is not None
    difference = float(np.abs(beta - np.asarray(states)[:, 1]).max())
    what = f"Kalman {'filter and smoother' if smooth else 'filter'}, {n:,} points"
    return Row(what, "pykalman", ours_s, theirs_s, difference, 1e-8, required)


def comparison(quick: bool) -> list[Row]:
    sample = 12 if quick else 60
    rows = scan_rows(50, 1_440, sample)
    rows.append(adf_row(10_000, 20.0))
    rows.append(rolling_adf_row(2_000, 250, sample))
    rows.append(rolling_ols_row(10_000, 100, 50.0))
    rows.append(kalman_row(2_000 if quick else 10_000, False, 100.0))
    rows.append(kalman_row(2_000 if quick else 10_000, True, None))
    return rows


def growth() -> list[tuple[str, str, float]]:
    """How our own CPU time grows with n and with the number of pairs."""
    found: list[tuple[str, str, float]] = []
    for symbols in (10, 20, 50, 100):
        prices = universe(symbols, 1_440)
        directions = symbols * (symbols - 1)
        seconds = cpu(lambda prices=prices: analytics.scan(prices), repeat=2)
        found.append(("scan, 1,440 bars", f"{directions:,} directions", seconds))
    for bars in (360, 1_440, 5_760, 11_520):
        prices = universe(20, bars)
        seconds = cpu(lambda prices=prices: analytics.scan(prices), repeat=2)
        found.append(("scan, 20 symbols", f"{bars:,} bars", seconds))
    rng = np.random.default_rng(1)
    for n in (1_000, 10_000, 100_000):
        x = 100.0 + np.cumsum(rng.normal(size=n))
        y = 0.7 * x + rng.normal(size=n)
        found.append(("ADF, AIC", f"{n:,} points", cpu(lambda x=x: analytics.adf(x), repeat=3)))
        seconds = cpu(lambda y=y, x=x: analytics.rolling_ols(y, x, 100), repeat=3)
        found.append(("rolling OLS, window 100", f"{n:,} points", seconds))
        seconds = cpu(lambda y=y, x=x: analytics.kalman_hedge(y, x, q=1e-5, r=1.0), repeat=3)
        found.append(("Kalman filter", f"{n:,} points", seconds))
    for window in (10, 100, 1_000, 10_000):
        x = 100.0 + np.cumsum(rng.normal(size=100_000))
        seconds = cpu(lambda x=x, w=window: analytics.rolling_ols(x[::-1], x, w), repeat=3)
        found.append(("rolling OLS, 100,000 points", f"window {window:,}", seconds))
    return sorted(found, key=lambda row: row[0])


def duration(seconds: float) -> str:
    if seconds >= 1.0:
        return f"{seconds:,.2f} s"
    return f"{seconds * 1e3:,.2f} ms"


def print_comparison(rows: list[Row]) -> None:
    print("| task | peer | ours | peer's | ratio | required | max difference | |")
    print("|---|---|---:|---:|---:|---:|---:|---|")
    for row in rows:
        required = "" if row.required_ratio is None else f"≥ {row.required_ratio:.0f}×"
        note = "ok" if row.passed else "**missed**"
        note += f"; {row.note}" if row.note else ""
        print(
            f"| {row.what} | {row.peer} | {duration(row.ours_s)} | {duration(row.theirs_s)} "
            f"| {row.ratio:,.0f}× | {required} | {row.difference:.1e} | {note} |"
        )


def print_growth(rows: list[tuple[str, str, float]]) -> None:
    print("\n| ours | size | CPU time |")
    print("|---|---|---:|")
    for what, size, seconds in rows:
        print(f"| {what} | {size} | {duration(seconds)} |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="time the peers on smaller samples")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", CollinearityWarning)
    rows = comparison(arguments.quick)
    print_comparison(rows)
    print_growth(growth())
    return 0 if all(row.passed for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
