"""The data-quality summary counts what was planted, and nothing in clean data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipeline.analytics import data_quality


def clean(n: int = 1_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return np.arange(n) * 60, 100 * np.exp(np.cumsum(rng.normal(0, 1e-3, n)))


def test_clean_bars_have_no_problems() -> None:
    quality = data_quality(*clean())
    assert quality.problems == ()
    assert (quality.coverage, quality.interval, quality.longest_stale_run) == (1.0, 60.0, 1)
    assert quality.defined


def test_planted_faults_are_counted() -> None:
    ts, value = clean()
    value[100] = np.nan
    value[200] *= 1.5
    value[300:310] = value[300]
    value[400] = -1.0
    keep = np.ones(1_000, dtype=bool)
    keep[500:530] = False
    ts, value = ts[keep], value[keep]
    ts = np.append(ts, ts[-1])
    value = np.append(value, value[-1])
    quality = data_quality(ts, value)
    assert (quality.n_missing, quality.n_not_positive, quality.n_duplicated) == (1, 1, 1)
    assert quality.gaps.rows() == [(499 * 60, 530 * 60, 31 * 60, 30)]
    assert quality.coverage == pytest.approx(1 - 30 / 999)
    assert quality.longest_stale_run == 10
    assert quality.n_stale == 10
    assert {200, 201} <= set(quality.outlier_positions.tolist())
    assert quality.problems[:2] == ("missing values: 1", "values not positive: 1")


def test_stamps_out_of_order_are_counted_not_refused() -> None:
    quality = data_quality([3, 1, 2, 2], [1.0, 1.1, 1.2, 1.3])
    assert (quality.n_out_of_order, quality.n_duplicated) == (1, 1)


def test_a_given_interval_shows_what_the_median_would_hide() -> None:
    ts, value = np.arange(10) * 10, np.linspace(1, 2, 10)
    assert data_quality(ts, value).n_gaps == 0
    quality = data_quality(ts, value, interval=1)
    assert quality.n_gaps == 9
    assert quality.gaps["missing"].to_list() == [9] * 9
    assert quality.coverage == pytest.approx(0.1)


def test_one_observation_is_too_few_to_judge() -> None:
    for n in (0, 1):
        quality = data_quality(np.arange(n), np.ones(n))
        assert (quality.defined, quality.n) == (False, n)


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match="ts 2, value 1"):
        data_quality([1, 2], [1.0])
    with pytest.raises(ValueError, match="interval is 0"):
        data_quality([1, 2], [1.0, 2.0], interval=0)
    with pytest.raises(ValueError, match="without a time"):
        data_quality([1.0, np.nan], [1.0, 2.0])
    with pytest.raises(ValueError, match="without a time"):
        data_quality(np.array(["2024-08-08", "NaT"], "M8[ns]"), [1.0, 2.0])


@given(
    st.lists(
        st.tuples(
            st.integers(0, 50), st.sampled_from([1.0, 2.0, 3.0, np.nan, np.inf, 0.0, -1.0, 1e9])
        ),
        max_size=40,
    )
)
def test_counts_are_consistent_for_any_input(rows) -> None:
    ts = np.array([row[0] for row in rows], dtype=np.int64)
    value = np.array([row[1] for row in rows])
    quality = data_quality(ts, value)
    assert quality.n == len(rows)
    assert quality.n_duplicated == len(rows) - len(set(ts.tolist()))
    assert quality.n_missing == int((~np.isfinite(value)).sum())
    assert quality.n_outliers == len(quality.outlier_positions)
    assert quality.longest_stale_run <= max(quality.n_stale + 1, 0)
    if len(set(ts.tolist())) > 1:
        assert 0.0 <= quality.coverage <= 1.0
