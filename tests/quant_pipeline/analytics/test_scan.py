"""The scan of a universe is a loop over Engle–Granger, with the odd pairs marked."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import fdrcorrection
from statsmodels.tsa.stattools import coint

from quant_pipeline import analytics
from quant_pipeline.analytics._adf_regression import default_max_lags

COLUMNS = ["y", "x", "alpha", "beta", "statistic", "pvalue", "lags", "qvalue", "qvalue_by"]
COLUMNS += ["half_life", "correlation", "n", "status"]


def universe(symbols: int, n: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    market = np.cumsum(rng.normal(size=n))
    frame = {}
    for index in range(symbols):
        own = rng.normal(size=n)
        cumulated = own if index % 2 else np.cumsum(own)
        frame[f"S{index}"] = 10.0 * index + rng.uniform(0.5, 2.0) * market + cumulated
    return pl.DataFrame(frame)


@settings(max_examples=15)
@given(n=st.integers(40, 300), seed=st.integers(0, 2**32 - 1), trend=st.sampled_from(["c", "ct"]))
def test_every_row_is_statsmodels_coint(n: int, seed: int, trend: str) -> None:
    prices = universe(4, n, seed)
    found = analytics.scan(prices, trend=trend)
    assert found.columns == COLUMNS
    assert found.height == 12
    for row in found.iter_rows(named=True):
        single = analytics.engle_granger(prices[row["y"]], prices[row["x"]], trend=trend)
        theirs = coint(
            prices[row["y"]].to_numpy(),
            prices[row["x"]].to_numpy(),
            trend=trend,
            maxlag=default_max_lags(n, "n"),
        )
        assert row["status"] == "ok"
        assert row["statistic"] == pytest.approx(single.statistic, abs=1e-8)
        assert row["pvalue"] == pytest.approx(single.pvalue, abs=1e-8)
        assert (row["lags"], row["n"]) == (single.lags, single.n)
        assert row["alpha"] == pytest.approx(single.alpha, abs=1e-8)
        assert row["beta"] == pytest.approx(single.beta, abs=1e-10)
        assert row["statistic"] == pytest.approx(theirs[0], abs=1e-8)
        assert row["pvalue"] == pytest.approx(theirs[1], abs=1e-8)


def test_half_life_and_correlation_are_those_of_the_pair() -> None:
    prices = universe(3, 500, 1)
    for row in analytics.scan(prices).iter_rows(named=True):
        y, x = prices[row["y"]].to_numpy(), prices[row["x"]].to_numpy()
        life = analytics.half_life(analytics.ols(y, x).residuals)
        assert row["half_life"] == pytest.approx(life.half_life, rel=1e-9)
        correlation = np.corrcoef(np.diff(y), np.diff(x))[0, 1]
        assert row["correlation"] == pytest.approx(correlation, abs=1e-12)


def test_qvalues_cover_the_whole_family_and_rows_are_ranked() -> None:
    found = analytics.scan(universe(7, 300, 2))
    p = found["pvalue"].to_numpy()
    assert found.height == 42
    np.testing.assert_allclose(found["qvalue"], fdrcorrection(p)[1], rtol=1e-12)
    np.testing.assert_allclose(found["qvalue_by"], fdrcorrection(p, method="n")[1], rtol=1e-12)
    assert (np.diff(p) >= 0.0).all()


def test_odd_series_are_marked_and_counted_in_no_family() -> None:
    clean = universe(3, 400, 3)
    walk = np.random.default_rng(9).normal(size=400).cumsum()
    odd = clean.with_columns(
        constant=pl.lit(5.0),
        twin=2.0 * pl.col("S0") + 1e-9 * pl.col("S1"),
        gaps=pl.Series([None if i == 200 else v for i, v in enumerate(walk)]),
        late=pl.Series([None] * 150 + walk[150:].tolist()),
        brief=pl.Series([None] * 397 + walk[397:].tolist()),
        never=pl.Series([None] * 400, dtype=pl.Float64),
    )
    found = analytics.scan(odd)
    assert found.height == 9 * 8
    status = {(row["y"], row["x"]): row for row in found.iter_rows(named=True)}
    assert status["S0", "S1"]["status"] == "ok"
    assert status["S0", "constant"]["status"] == "constant"
    assert status["S0", "twin"]["status"] == "collinear"
    assert status["gaps", "S0"]["status"] == "gaps"
    assert status["S0", "brief"]["status"] == "too short"
    assert status["S0", "never"]["status"] == "too short"

    late = status["late", "S1"]
    alone = analytics.engle_granger(odd["late"][150:], odd["S1"][150:])
    assert late["status"] == "trimmed"
    assert late["statistic"] == pytest.approx(alone.statistic, abs=1e-8)

    tested = found.filter(pl.col("status").is_in(["ok", "trimmed"]))
    others = found.filter(~pl.col("status").is_in(["ok", "trimmed"]))
    for column in ("statistic", "pvalue", "qvalue", "qvalue_by", "lags", "n", "half_life"):
        assert others[column].null_count() == others.height, column
    np.testing.assert_allclose(
        tested["qvalue"], stats.false_discovery_control(tested["pvalue"].to_numpy()), rtol=1e-12
    )
    assert found["status"].head(tested.height).to_list() == tested["status"].to_list()


def test_a_universe_of_nothing_but_odd_series_has_no_result() -> None:
    found = analytics.scan(pl.DataFrame({"A": [1.0] * 50, "B": [2.0] * 50}))
    assert found["status"].to_list() == ["constant", "constant"]
    assert found["qvalue"].null_count() == 2


def test_a_linear_series_leaves_residuals_that_cannot_be_tested() -> None:
    time = np.arange(100.0)
    found = analytics.scan(pl.DataFrame({"A": time, "B": time**2, "C": 3.0 * time + 1.0}))
    assert set(found["status"]) <= {"degenerate", "collinear"}


def test_prices_that_are_no_prices_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 symbols"):
        analytics.scan(pl.DataFrame({"A": [1.0, 2.0]}))
    with pytest.raises(ValueError, match="column 'ts' is String, not numeric"):
        analytics.scan(pl.DataFrame({"ts": ["a", "b"], "A": [1.0, 2.0]}))
    with pytest.raises(ValueError, match="column 'B' holds an infinity"):
        analytics.scan(pl.DataFrame({"A": [1.0, 2.0], "B": [1.0, np.inf]}))


def test_qvalues_of_a_family_with_tests_that_were_not_made() -> None:
    q = analytics.benjamini_hochberg([0.01, np.nan, 0.04, 0.03])
    np.testing.assert_allclose(q, [0.03, np.nan, 0.04, 0.04])
    with pytest.raises(ValueError, match=r"pvalues holds 1\.5"):
        analytics.benjamini_yekutieli([0.1, 1.5])
    assert analytics.benjamini_hochberg([]).size == 0
