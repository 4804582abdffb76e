"""Correlation by horizon: the libraries' numbers on the same closes, and reasons where none."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest
from scipy import stats

from quant_pipeline.research import horizons
from quant_pipeline.research.outcome import Undefined

START = dt.datetime(2024, 8, 8)  # noqa: DTZ001 - the lake's times are naive UTC
UNREAD = Undefined("The trades were not read.")


def frame(n: int, step_s: int) -> pl.DataFrame:
    rng = np.random.default_rng(4)
    common = np.cumsum(rng.normal(0, 1e-4, n))
    clock = [START + dt.timedelta(seconds=step_s * i) for i in range(n)]
    return pl.DataFrame(
        {
            "bucket": pl.Series(clock, dtype=pl.Datetime("us")),
            "y": np.exp(common + np.cumsum(rng.normal(0, 1e-4, n))),
            "x": np.exp(common + np.cumsum(rng.normal(0, 1e-4, n))),
        }
    )


def test_each_horizon_is_scipys_correlation_of_the_last_closes() -> None:
    bars = frame(3_600, 1)
    by_size = {each.timeframe: each for each in horizons.measure(bars, "1s", UNREAD)}
    for size, step in (("1s", 1), ("1m", 60), ("5m", 300)):
        closes = {leg: bars[leg].to_numpy()[step - 1 :: step] for leg in ("y", "x")}
        y, x = (np.diff(np.log(closes[leg])) for leg in ("y", "x"))
        assert by_size[size].n == len(y)
        assert by_size[size].pearson == pytest.approx(stats.pearsonr(y, x).statistic)
        assert by_size[size].spearman == pytest.approx(stats.spearmanr(y, x).statistic)
        interval = stats.pearsonr(y, x).confidence_interval()
        assert by_size[size].lower == pytest.approx(interval.low)
    assert by_size["1h"].pearson == Undefined("Fewer than 10 returns: no correlation is given.")
    assert all(each.hayashi_yoshida == UNREAD for each in by_size.values())


def test_returns_finer_than_the_bars_are_not_invented() -> None:
    found = horizons.measure(frame(120, 60), "1m", UNREAD)
    assert isinstance(found[0].pearson, Undefined)
    assert "finer returns are not in them" in found[0].pearson.reason
    assert isinstance(found[1].pearson, float)


def test_a_constant_leg_has_no_correlation() -> None:
    constant = frame(600, 1).with_columns(x=pl.lit(1.0))
    assert horizons.measure(constant, "1s", UNREAD)[0].pearson == Undefined(
        "A leg’s price did not change."
    )
