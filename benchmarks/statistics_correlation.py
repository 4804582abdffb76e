"""What the correlation statistics recover, hold and cost, by simulation.

    uv run python benchmarks/statistics_correlation.py [--days 200] [--samples 2000]

prints Markdown tables: Hayashi–Yoshida against previous-tick sampling on ticks whose true
correlation is known (the Epps curve), the coverage of its standard error, its CPU time against the
double loop of its definition, and the size and power of the tests of a correlation breakdown.
Seeded; CPU seconds are of this machine, the rest is the same everywhere.
"""

import argparse
import time
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from quant_pipeline.analytics import (
    correlation_breakdown,
    epps_curve,
    hayashi_yoshida,
    jennrich,
    lead_lag,
)

Array = NDArray[np.float64]
Ticks = tuple[Array, Array, Array, Array]

TRUE_CORRELATION = 0.80
DAY_S = 86_400.0
MEAN_GAP_S = (2.0, 4.0)  # seconds between trades of the first and the second asset
INTERVALS_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)


def table(title: str, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    header = list(header)
    print(f"\n### {title}\n\n| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for row in rows:
        print(f"| {' | '.join(str(cell) for cell in row)} |")


def asynchronous_ticks(rng: np.random.Generator) -> Ticks:
    """A day of two Brownian prices of known correlation, each seen at its own Poisson times."""
    times = [np.sort(rng.uniform(0, DAY_S, rng.poisson(DAY_S / gap))) for gap in MEAN_GAP_S]
    clock = np.sort(np.concatenate(times))
    step = np.sqrt(np.diff(clock, prepend=0.0)) * 1e-4
    z = rng.normal(size=(2, len(clock))) * step
    other = TRUE_CORRELATION * z[0] + np.sqrt(1 - TRUE_CORRELATION**2) * z[1]
    prices = [
        100 * np.exp(np.cumsum(path)[np.searchsorted(clock, seen)])
        for path, seen in zip((z[0], other), times, strict=True)
    ]
    return times[0], prices[0], times[1], prices[1]


def recovery(days: int) -> None:
    rng = np.random.default_rng(20_240_808)
    estimates, errors, curves, stale = [], [], [], []
    for _ in range(days):
        ticks = asynchronous_ticks(rng)
        result = hayashi_yoshida(*ticks)
        estimates.append(result.correlation)
        errors.append(result.stderr)
        curve = epps_curve(*ticks, INTERVALS_S)
        curves.append(curve["correlation"].to_numpy())
        stale.append(curve["stale_share_b"].to_numpy())
    found, stderr = np.array(estimates), np.array(errors)
    sampled, repeated = np.array(curves), np.mean(stale, axis=0)

    def row(name: str, values: Array, unchanged: str) -> tuple[object, ...]:
        inside = np.mean(np.abs(values - TRUE_CORRELATION) <= 0.02)
        cells = (f"{values.mean():.3f}", f"{values.std(ddof=1):.3f}")
        return name, *cells, f"{100 * inside:.0f} %", unchanged

    rows = [row("Hayashi–Yoshida, every tick", found, "")]
    rows += [
        row(f"previous tick, {interval:g} s", sampled[:, i], f"{100 * repeated[i]:.0f} %")
        for i, interval in enumerate(INTERVALS_S)
    ]
    table(
        f"Recovering a correlation of {TRUE_CORRELATION:.2f} ({days} simulated days, trades every "
        f"{MEAN_GAP_S[0]:g} s and {MEAN_GAP_S[1]:g} s on average)",
        ("estimator", "mean", "standard deviation", "days within ±0.02", "stale (second asset)"),
        rows,
    )
    covered = np.mean(np.abs(found - TRUE_CORRELATION) < 1.96 * stderr)
    print(
        f"\nJackknife standard error of Hayashi–Yoshida: {np.median(stderr):.4f} (median) against "
        f"{found.std(ddof=1):.4f} observed; ±1.96 of it covers the truth on {100 * covered:.1f} % "
        "of the days."
    )


def double_loop(ticks: Ticks) -> float:
    """Hayashi–Yoshida by its definition, every pair of intervals compared."""
    ts_a, price_a, ts_b, price_b = (list(map(float, column)) for column in ticks)
    a, b = np.diff(np.log(price_a)).tolist(), np.diff(np.log(price_b)).tolist()
    total = 0.0
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            if max(ts_a[i], ts_b[j]) < min(ts_a[i + 1], ts_b[j + 1]):
                total += x * y
    return total / float(np.sqrt(sum(x * x for x in a) * sum(y * y for y in b)))


def cpu_seconds(work: Callable[[], object], at_least_s: float = 0.2) -> float:
    """CPU time of one call, repeated until the clock resolves it."""
    calls, begin = 0, time.process_time()
    while (spent := time.process_time() - begin) < at_least_s or not calls:
        work()
        calls += 1
    return spent / calls


def speed() -> None:
    rng = np.random.default_rng(1)
    rows = []
    for n in (100, 1_000, 3_000, 10_000, 100_000, 1_000_000, 5_000_000):
        times = [np.sort(rng.integers(0, 100 * n, n)) for _ in range(2)]
        prices = [100 * np.exp(np.cumsum(rng.normal(0, 1e-5, n))) for _ in range(2)]
        distinct = [np.unique(t, return_index=True)[1] for t in times]
        ticks = (
            times[0][distinct[0]],
            prices[0][distinct[0]],
            times[1][distinct[1]],
            prices[1][distinct[1]],
        )
        ours = cpu_seconds(lambda ticks=ticks: hayashi_yoshida(*ticks))
        loop, ratio, difference = "", "", ""
        if n <= 3_000:
            spent = cpu_seconds(lambda ticks=ticks: double_loop(ticks))
            loop, ratio = f"{spent:.3f}", f"{spent / ours:,.0f}×"
            gap = abs(double_loop(ticks) - hayashi_yoshida(*ticks).correlation)
            difference = f"{gap:.0e}"
        grid = ""
        if n <= 100_000:
            lags = np.arange(-50, 51) * 100
            grid = f"{cpu_seconds(lambda ticks=ticks, lags=lags: lead_lag(*ticks, lags)):.3f}"
        rows.append((f"{n:,}", f"{ours:.5f}", loop, ratio, difference, grid))
    table(
        "CPU seconds for two series of n ticks",
        (
            "n each",
            "hayashi_yoshida",
            "double loop",
            "ratio",
            "largest difference",
            "lead_lag, 101 lags",
        ),
        rows,
    )


def pair(rng: np.random.Generator, n: int, rho: float, clustered: bool) -> Array:
    """Two normal series, or the same under one common, persistent volatility (fat tails)."""
    z = rng.normal(size=(2, n))
    y = rho * z[0] + np.sqrt(1 - rho**2) * z[1]
    scale = np.ones(n)
    if clustered:
        scale = np.exp(0.5 * np.convolve(rng.normal(size=n + 19), np.ones(20) / 20**0.5, "valid"))
    return np.stack([z[0], y]) * scale


def breakdown(samples: int) -> None:
    rng = np.random.default_rng(2)
    rows = []
    for clustered in (False, True):
        for n in (250, 1_000, 4_000):
            half = n // 2
            cells = []
            for after in (0.5, 0.2):
                rejected = np.zeros(3)
                for _ in range(samples):
                    x = np.hstack(
                        [pair(rng, half, 0.5, clustered), pair(rng, half, after, clustered)]
                    )
                    rejected += (
                        correlation_breakdown(*x).pvalue < 0.05,
                        correlation_breakdown(*x, at=half).pvalue < 0.05,
                        jennrich(x[:, :half].T, x[:, half:].T).pvalue < 0.05,
                    )
                cells += [f"{100 * share:.1f} %" for share in rejected / samples]
            rows.append(("clustered, fat tails" if clustered else "normal", f"{n:,}", *cells))
    table(
        f"Rejections at a nominal 5 % ({samples:,} samples a cell)",
        (
            "returns",
            "n",
            *(
                f"{kind}: {test}"
                for kind in ("no break (size)", "0.5 to 0.2 (power)")
                for test in ("unknown time", "known time", "Jennrich")
            ),
        ),
        rows,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--days", type=int, default=200, help="simulated days of ticks")
    parser.add_argument("--samples", type=int, default=2_000, help="samples a cell of the tests")
    arguments = parser.parse_args()
    recovery(arguments.days)
    speed()
    breakdown(arguments.samples)


if __name__ == "__main__":
    main()
