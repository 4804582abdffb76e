"""Returns and previous-tick alignment."""

from datetime import datetime
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipeline import analytics

NANOSECONDS_2024 = 1_723_161_255_123_456_789  # does not fit a double


def test_log_returns_add_up_and_simple_returns_compound() -> None:
    price = pl.Series([100.0, 110.0, 99.0])
    assert analytics.log_returns(price).sum() == pytest.approx(np.log(0.99))
    assert np.prod(1.0 + analytics.simple_returns(price)) == pytest.approx(0.99)
    assert analytics.log_returns([5.0]).size == 0


def test_a_missing_price_leaves_two_returns_missing() -> None:
    r = analytics.log_returns(pl.Series([1.0, None, 2.0, 4.0]))
    assert np.isnan(r).tolist() == [True, True, False]


def test_a_price_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match=r"price must be positive, but is 0\.0 at index 1"):
        analytics.log_returns([1.0, 0.0])


def test_alignment_takes_the_last_tick_at_or_before_each_point() -> None:
    base = NANOSECONDS_2024
    ticks = {"A": (np.array([base, base + 1, base + 1]), [1.0, 2.0, 3.0])}
    result = analytics.align(ticks, np.array([base - 1, base, base + 1, base + 2]))
    assert result.frame["A"].to_list() == [None, 1.0, 3.0, 3.0]
    assert result.frame["ts"].to_list() == [base - 1, base, base + 1, base + 2]
    assert result.stale_share["A"] == pytest.approx(1 / 3)


@given(
    stamps=st.lists(st.integers(0, 40), max_size=30).map(sorted),
    clock=st.lists(st.integers(0, 40), min_size=1, max_size=30).map(lambda c: sorted(set(c))),
)
def test_alignment_is_polars_join_asof(stamps: list[int], clock: list[int]) -> None:
    values = [float(i) for i in range(len(stamps))]
    points = pl.DataFrame({"ts": clock}, schema={"ts": pl.Int64})
    ticks = pl.DataFrame({"ts": stamps, "v": values}, schema={"ts": pl.Int64, "v": pl.Float64})
    expected = points.join_asof(ticks, on="ts")["v"].to_list()
    ours = analytics.align({"v": (np.array(stamps, dtype=np.int64), values)}, np.array(clock))
    assert ours.frame["v"].to_list() == expected
    seen = [v for v in expected if v is not None]
    repeats = sum(a == b for a, b in pairwise(seen))
    if seen:
        assert ours.stale_share["v"] == pytest.approx(repeats / len(seen))
    else:
        assert np.isnan(ours.stale_share["v"])


def test_alignment_of_datetimes_of_different_resolution() -> None:
    ticks = np.array(["2024-08-08T23:59:59.5", "2024-08-09T00:00:00.5"], dtype="datetime64[us]")
    clock = pl.Series([datetime(2024, 8, 9), datetime(2024, 8, 9, 0, 0, 1)])  # noqa: DTZ001
    result = analytics.align({"A": (ticks, [1.0, 2.0])}, clock)
    assert result.frame["A"].to_list() == [1.0, 2.0]
    assert result.frame["ts"].to_list() == clock.to_list()


def test_alignment_refuses_disorder() -> None:
    with pytest.raises(ValueError, match="ts of A goes back at index 2"):
        analytics.align({"A": ([1, 3, 2], [1.0, 2.0, 3.0])}, [1, 2])
    with pytest.raises(ValueError, match="ts of A has 2 observations and value of A has 1"):
        analytics.align({"A": ([1, 3], [1.0])}, [1, 2])
    with pytest.raises(ValueError, match="'ts', the name of the clock"):
        analytics.align({"ts": ([1], [1.0])}, [1])
    with pytest.raises(ValueError, match="integers or datetime64"):
        analytics.align({"A": ([1.5], [1.0])}, [1])


def test_a_regular_clock_is_anchored_at_multiples_of_its_step() -> None:
    assert analytics.regular_clock(7, 21, 7).tolist() == [7, 14, 21]
    assert analytics.regular_clock(8, 20, 7).tolist() == [14]
    assert analytics.regular_clock(9, 8, 7).size == 0


@given(
    stamps=st.lists(st.integers(-50, 200), max_size=40).map(sorted),
    step=st.integers(1, 60),
    seed=st.integers(0, 1000),
)
def test_resampling_is_a_group_by_of_polars(stamps: list[int], step: int, seed: int) -> None:
    prices = np.random.default_rng(seed).uniform(1.0, 2.0, size=len(stamps))
    ours = analytics.resample(np.array(stamps, dtype=np.int64), prices, step)
    ticks = pl.DataFrame(
        {"ts": stamps, "p": prices}, schema={"ts": pl.Int64, "p": pl.Float64}
    ).with_columns(pl.col("ts") // step * step)
    p = pl.col("p")
    expected = ticks.group_by("ts", maintain_order=True).agg(
        p.first().alias("open"), p.max().alias("high"), p.min().alias("low"),
        p.last().alias("close"), pl.len().cast(pl.Int64).alias("n"),
    )  # fmt: skip
    assert ours.schema == expected.schema
    assert ours.equals(expected)
