"""Correlation and liquidity statistics reproduce the numbers others published."""

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from quant_pipeline import analytics

REFERENCE = Path(__file__).parents[2] / "data" / "reference"

Bars = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def read(name: str) -> pl.DataFrame:
    data = (REFERENCE / name).read_bytes()
    data = gzip.decompress(data) if name.endswith(".gz") else data
    return pl.read_csv(data, null_values=["NA", ""], infer_schema_length=None)


def bars(name: str) -> Bars:
    frame = read(name).cast(pl.Float64)
    o, h, low, c = (frame[column].to_numpy() for column in ("Open", "High", "Low", "Close"))
    return o, h, low, c


@pytest.fixture(scope="module")
def simulated() -> Bars:
    return bars("bidask_sim_seed123_prob0.01.csv.gz")


def test_edge_of_the_published_bars() -> None:
    ohlc = bars("bidask_ohlc.csv.gz")
    assert analytics.edge(*ohlc).spread == pytest.approx(0.0101849034905478, abs=5e-17)
    assert analytics.edge(*bars("bidask_ohlc_miss.csv.gz")).spread == pytest.approx(
        0.01013284969780197, abs=5e-17
    )


def test_edge_of_the_first_ten_bars_is_negative_and_therefore_undefined() -> None:
    o, h, low, c = (column[:10] for column in bars("bidask_ohlc.csv.gz"))
    estimate = analytics.edge(o, h, low, c)
    assert estimate.signed == pytest.approx(-0.016889917516422, abs=5e-16)
    assert np.isnan(estimate.spread)
    assert not estimate.defined
    assert "not positive" in str(estimate.reason)


def test_edge_of_bars_that_hardly_move_is_undefined() -> None:
    estimate = analytics.edge(
        [18.21, 17.61, 17.61], [18.21, 17.61, 17.61], [17.61, 17.61, 17.61], [17.61, 17.61, 17.61]
    )
    assert np.isnan(estimate.spread)
    assert not estimate.defined


# R's bidask reports absolute values (sign = FALSE); here the sign is kept in `signed` and a
# negative one leaves `spread` undefined, which is the documented difference of convention.
@pytest.mark.parametrize(
    ("estimator", "published"),
    [
        (analytics.edge, 0.011211623772355),
        (analytics.abdi_ranaldo, 0.00874585212811397),
        (analytics.roll_spread, 0.0125430188215437),
    ],
)
def test_estimators_of_the_simulated_bars(estimator, published: float, simulated: Bars) -> None:
    estimate = estimator(*simulated)
    assert estimate.spread == pytest.approx(published, rel=1e-13)
    assert estimate.signed == estimate.spread


def test_corwin_schultz_of_the_simulated_bars_is_negative_where_r_shows_its_absolute_value(
    simulated: Bars,
) -> None:
    estimate = analytics.corwin_schultz(*simulated)
    assert estimate.signed == pytest.approx(-0.00273953769016127, rel=1e-12)
    assert np.isnan(estimate.spread)


@pytest.mark.parametrize(
    ("moment", "published"),
    [
        ("OHLC", 0.0111885179011119),
        ("CHLO", 0.0109352942009762),
        ("CHL", 0.0113136390567206),
    ],
)
def test_discrete_generalized_of_the_simulated_bars(
    moment: str, published: float, simulated: Bars
) -> None:
    estimate = analytics.discrete_generalized(*simulated, moment)
    assert estimate.spread == pytest.approx(published, rel=1e-13)


def test_ohl_moment_without_a_close(simulated: Bars) -> None:
    o, h, low, c = simulated
    estimate = analytics.discrete_generalized(o, h, low, np.full_like(c, np.nan), "OHL")
    assert estimate.spread == pytest.approx(0.0109503006263557, rel=1e-13)


def test_cross_correlation_equals_r() -> None:
    macro = read("ccf_unemp_infl.csv")
    published = read("ccf_R.csv")["ccf"].to_numpy()
    a, b = (np.diff(macro[column].to_numpy().astype(float)) for column in ("unemp", "infl"))
    result = analytics.cross_correlation(a, b, len(published) - 1)
    np.testing.assert_allclose(result.correlation[result.lags >= 0], published, rtol=0, atol=5e-15)
    mirrored = analytics.cross_correlation(b, a, len(published) - 1)
    np.testing.assert_allclose(mirrored.correlation[::-1], result.correlation, rtol=0, atol=1e-15)


def test_running_correlation_and_vwap_equal_ttr() -> None:
    prices, published = read("ttr_ttrc_prices.csv.gz"), read("ttr_ttrc_vwap_runcor.csv.gz")
    correlation = analytics.rolling_correlation(prices["Open"], prices["Close"], 20)
    expected = published["runCor20"].cast(pl.Float64).to_numpy()
    np.testing.assert_allclose(
        correlation["correlation"].fill_null(np.nan), expected, rtol=0, atol=2e-13
    )
    assert correlation["reason"].null_count() == len(prices) - 19

    vwap = analytics.rolling_vwap(prices["Close"], prices["Volume"], 10)
    expected = published["vwap10"].cast(pl.Float64).to_numpy()
    np.testing.assert_allclose(vwap["vwap"].fill_null(np.nan), expected, rtol=1e-14)
