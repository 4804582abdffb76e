"""No statistic of ticks or bars writes to what it is given: the inputs here are read-only."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from quant_pipeline import analytics


def frozen(values: np.ndarray) -> np.ndarray:
    values.setflags(write=False)
    return values


RNG = np.random.default_rng(0)
N = 200
TS = frozen(np.sort(RNG.integers(0, 10_000, N)))
PRICE = frozen(100 * np.exp(np.cumsum(RNG.normal(0, 1e-3, N))))
OTHER = frozen(50 * np.exp(np.cumsum(RNG.normal(0, 1e-3, N))))
SIZE = frozen(RNG.lognormal(size=N))
MAKER = frozen(RNG.random(N) < 0.5)
HIGH, LOW = frozen(np.maximum(PRICE, OTHER * 2) * 1.01), frozen(np.minimum(PRICE, OTHER * 2) * 0.99)
BARS = PRICE, HIGH, LOW, frozen(OTHER * 2)
LAGS = frozen(np.arange(-100, 101, 50))
MATRIX = frozen(RNG.normal(size=(N, 3)))

CALLS: dict[str, Callable[[], object]] = {
    "abdi_ranaldo": lambda: analytics.abdi_ranaldo(*BARS),
    "amihud": lambda: analytics.amihud(np.diff(PRICE), SIZE[1:]),
    "correlation_breakdown": lambda: analytics.correlation_breakdown(PRICE, OTHER),
    "corwin_schultz": lambda: analytics.corwin_schultz(*BARS),
    "cross_correlation": lambda: analytics.cross_correlation(PRICE, OTHER, 5),
    "data_quality": lambda: analytics.data_quality(TS, PRICE),
    "discrete_generalized": lambda: analytics.discrete_generalized(*BARS, "CHLO"),
    "edge": lambda: analytics.edge(*BARS),
    "epps_curve": lambda: analytics.epps_curve(TS, PRICE, TS, OTHER, [100, 1_000]),
    "hayashi_yoshida": lambda: analytics.hayashi_yoshida(TS, PRICE, TS, OTHER),
    "impact_curve": lambda: analytics.impact_curve(TS, SIZE, MAKER, TS, PRICE, horizon=100),
    "jennrich": lambda: analytics.jennrich(MATRIX[:100], MATRIX[100:]),
    "kyle_lambda": lambda: analytics.kyle_lambda(np.diff(PRICE), SIZE[1:]),
    "lead_lag": lambda: analytics.lead_lag(TS, PRICE, TS, OTHER, LAGS),
    "order_flow_imbalance": lambda: analytics.order_flow_imbalance(LOW, SIZE, HIGH, SIZE),
    "quoted_spread": lambda: analytics.quoted_spread(LOW, HIGH, TS),
    "roll_spread": lambda: analytics.roll_spread(*BARS),
    "rolling_correlation": lambda: analytics.rolling_correlation(PRICE, OTHER, 20),
    "rolling_vwap": lambda: analytics.rolling_vwap(PRICE, SIZE, 20),
    "shrunk_correlation": lambda: analytics.shrunk_correlation(pl.from_numpy(MATRIX)),
    "spread_estimates": lambda: analytics.spread_estimates(*BARS),
    "timeframe_correlations": lambda: analytics.timeframe_correlations(
        {"A": (TS, PRICE), "B": (TS, OTHER)}, [100]
    ),
    "trade_imbalance": lambda: analytics.trade_imbalance(SIZE, MAKER),
    "trade_spreads": lambda: analytics.trade_spreads(TS, PRICE, SIZE, MAKER, TS, OTHER, horizon=50),
    "volume_profile": lambda: analytics.volume_profile(PRICE, SIZE, MAKER, 0.5),
    "vpin": lambda: analytics.vpin(SIZE, MAKER, bucket_volume=5.0, window=5),
    "vwap": lambda: analytics.vwap(PRICE, SIZE),
}


@pytest.mark.parametrize("name", sorted(CALLS))
def test_inputs_stay_untouched(name: str) -> None:
    CALLS[name]()


def test_every_public_function_of_correlation_liquidity_and_diagnostics_is_covered() -> None:
    public = {
        name
        for module in (analytics.correlation, analytics.liquidity, analytics.diagnostics)
        for name in module.__all__
        if name[0].islower()
    }
    assert public == set(CALLS)
