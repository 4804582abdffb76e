"""How often the tests are wrong when the null is true, and right when it is not, by simulation.

    uv run python -m benchmarks.statistics_size_power                # prints Markdown tables
    uv run python -m benchmarks.statistics_size_power --write        # and rewrites their document

Seeded: the numbers are the same everywhere. About two minutes on one core.
"""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quant_pipeline import analytics
from quant_pipeline.analytics._mackinnon import pvalues

FloatArray = NDArray[np.float64]
DOCUMENT = Path(__file__).parents[1] / "docs" / "statistics_simulations.md"
LEVEL = 0.05


def table(title: str, header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = list(header)
    lines = [f"### {title}", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def share(hits: Iterable[bool]) -> str:
    """A share with the half-width of its 95 % interval."""
    values = np.array(list(hits), dtype=float)
    error = 1.96 * np.sqrt(values.mean() * (1.0 - values.mean()) / len(values))
    return f"{100 * values.mean():.1f} % ± {100 * error:.1f}"


def walks(rng: np.random.Generator, count: int, n: int) -> FloatArray:
    return np.cumsum(rng.normal(size=(count, n)), axis=1)


def reverting(rng: np.random.Generator, count: int, n: int, half_life: float) -> FloatArray:
    """Stationary AR(1) paths with the given half-life in bars."""
    phi = 0.5 ** (1.0 / half_life)
    path = rng.normal(size=(count, n))
    path[:, 0] /= np.sqrt(1.0 - phi**2)
    for t in range(1, n):
        path[:, t] += phi * path[:, t - 1]
    return path


def engle_granger_size(pairs: int) -> str:
    rng = np.random.default_rng(20_240_808)
    rows = []
    for n in (250, 500, 1_440):
        y, x = walks(rng, pairs, n), walks(rng, pairs, n)
        for method in ("aic", "bic", "t-stat"):
            results = [
                analytics.engle_granger(a, b, method=method) for a, b in zip(y, x, strict=True)
            ]
            statistics = np.array([result.statistic for result in results])
            rows.append(
                (
                    f"{n:,}",
                    method if method == "t-stat" else method.upper(),
                    share(result.rejects(LEVEL) for result in results),
                    share(pvalues(statistics, "c", 1) < LEVEL),
                )
            )
    return table(
        f"Engle–Granger on {pairs:,} pairs of independent random walks, nominal 5 %",
        ("bars", "lags by", "rejected", "with Dickey–Fuller's table instead"),
        rows,
    )


def engle_granger_power(pairs: int) -> str:
    rng = np.random.default_rng(1)
    rows = []
    for n in (250, 500, 1_440):
        cells: list[object] = [f"{n:,}"]
        for half_life in (5, 10, 20, 50, 100):
            x = walks(rng, pairs, n)
            y = 1.0 + 0.8 * x + reverting(rng, pairs, n, half_life)
            cells.append(
                share(
                    analytics.engle_granger(a, b).rejects(LEVEL) for a, b in zip(y, x, strict=True)
                )
            )
        rows.append(cells)
    return table(
        f"Power of Engle–Granger (AIC, 5 %) on {pairs:,} cointegrated pairs, by half-life in bars",
        ("bars", "5", "10", "20", "50", "100"),
        rows,
    )


def unit_root_tests(series: int, n: int) -> str:
    rng = np.random.default_rng(2)
    tests: dict[str, Callable[[FloatArray], analytics.UnitRoot]] = {
        "ADF (AIC)": analytics.adf,
        "Phillips–Perron": analytics.phillips_perron,
        "DF-GLS (AIC)": analytics.dfgls,
        "KPSS": analytics.kpss,
    }
    null, stationary = walks(rng, series, n), reverting(rng, series, n, 20)
    noise = rng.normal(size=(series, n))
    rows = [
        (
            name,
            "stationarity" if name == "KPSS" else "unit root",
            *(
                share(test(x).rejects(LEVEL) for x in sample)
                for sample in (null, stationary, noise)
            ),
        )
        for name, test in tests.items()
    ]
    return table(
        f"Share rejected at 5 % of {series:,} series of {n} bars",
        ("test", "null", "random walk", "half-life 20 bars", "white noise"),
        rows,
    )


def false_discoveries(universes: int, symbols: int, n: int, planted: int) -> str:
    """Scan universes of walks in which ``planted`` disjoint pairs are cointegrated."""
    controls = {"qvalue": "Benjamini–Hochberg", "qvalue_by": "Benjamini–Yekutieli"}
    rows = []
    for method in ("aic", "t-stat"):
        rng = np.random.default_rng(3 + planted)  # both methods see the same universes
        proportions: dict[str, list[float]] = {column: [] for column in controls}
        powers: dict[str, list[float]] = {column: [] for column in controls}
        naive: list[float] = []
        for _ in range(universes):
            prices, true = planted_universe(rng, symbols, n, planted)
            found = analytics.scan(prices, method=method)
            is_true = np.array([pair in true for pair in zip(found["y"], found["x"], strict=True)])
            naive.append(float((found["pvalue"].to_numpy() <= LEVEL)[~is_true].sum()))
            for column in controls:
                hit = found[column].to_numpy() <= LEVEL
                proportions[column].append(float((hit & ~is_true).sum()) / max(hit.sum(), 1))
                powers[column].append(float(hit[is_true].mean()) if planted else np.nan)
        for column, control in controls.items():
            mean, spread = np.mean(proportions[column]), np.std(proportions[column])
            error = 1.96 * spread / np.sqrt(universes)
            power = f"{100 * np.mean(powers[column]):.1f} %" if planted else "–"
            rate = f"{100 * mean:.1f} % ± {100 * error:.1f}"
            rows.append((method.upper() if method == "aic" else method, control, rate, power))
        label = method.upper() if method == "aic" else method
        rows.append((label, "none (p ≤ 0.05)", f"{np.mean(naive):.0f} false a scan", "–"))
    what = f"{planted} planted pairs (half-life 10)" if planted else "nothing planted"
    return table(
        f"False-discovery rate at 5 % of {universes} scans: {symbols} symbols × {n:,} bars, {what}",
        ("lags by", "control", "false discoveries", "planted directions found"),
        rows,
    )


def planted_universe(
    rng: np.random.Generator, symbols: int, n: int, planted: int
) -> tuple[pl.DataFrame, set[tuple[str, str]]]:
    """Random walks, the first ``planted`` pairs of them cointegrated, and those ordered pairs."""
    prices = walks(rng, symbols, n)
    errors = reverting(rng, planted, n, 10.0)
    true = set()
    for pair in range(planted):
        prices[2 * pair + 1] = prices[2 * pair] * rng.uniform(0.5, 2.0) + errors[pair]
        one, other = f"S{2 * pair}", f"S{2 * pair + 1}"
        true |= {(one, other), (other, one)}
    return pl.DataFrame({f"S{index}": row for index, row in enumerate(prices)}), true


def half_life_coverage(series: int) -> str:
    rng = np.random.default_rng(4)
    rows = []
    for n in (250, 1_000, 5_000):
        cells: list[object] = [f"{n:,}"]
        for half_life in (5, 20, 50):
            results = [analytics.half_life(s) for s in reverting(rng, series, n, half_life)]
            inside = share(r.defined and r.lower <= half_life <= r.upper for r in results)
            middle = np.nanmedian([r.half_life for r in results])
            cells.append(f"{inside}; median {middle:.1f}")
        rows.append(cells)
    return table(
        f"Coverage of the half-life's 95 % interval, {series:,} series, by true half-life in bars",
        ("bars", "5", "20", "50"),
        rows,
    )


def system_tests(count: int, n: int) -> str:
    rng = np.random.default_rng(5)
    rows = []
    for name, planted in (("independent walks", False), ("cointegrated, half-life 10", True)):
        x = walks(rng, count, n)
        y = x + reverting(rng, count, n, 10) if planted else walks(rng, count, n)
        pairs = list(zip(y, x, strict=True))
        rows.append(
            (
                name,
                share(analytics.phillips_ouliaris(a, b).rejects(LEVEL) for a, b in pairs),
                *(
                    share(
                        analytics.johansen(
                            np.column_stack(p), lags=1, restricted_constant=restricted
                        ).rank
                        > 0
                        for p in pairs
                    )
                    for restricted in (False, True)
                ),
                share(analytics.gregory_hansen(a, b, lags=0).rejects("5%") for a, b in pairs),
            )
        )
    return table(
        f"Other tests of no cointegration at 5 %, {count} pairs of {n} bars",
        (
            "pairs",
            "Phillips–Ouliaris",
            "Johansen trace, free constant",
            "Johansen trace, restricted constant",
            "Gregory–Hansen",
        ),
        rows,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"rewrite {DOCUMENT.name}")
    arguments = parser.parse_args()
    tables = [
        engle_granger_size(2_000),
        engle_granger_power(300),
        false_discoveries(100, 30, 1_440, 0),
        false_discoveries(100, 30, 1_440, 5),
        unit_root_tests(300, 500),
        half_life_coverage(1_000),
        system_tests(200, 300),
    ]
    print("\n".join(tables))
    if arguments.write:
        introduction = DOCUMENT.read_text(encoding="utf-8").split("### ", 1)[0]
        DOCUMENT.write_text(introduction + "\n".join(tables), encoding="utf-8")


if __name__ == "__main__":
    main()
