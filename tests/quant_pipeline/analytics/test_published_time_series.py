"""Volatility, unit-root and cointegration statistics reproduce the numbers others published.

Where a published number came from data stored in single precision (Stata's default), the same
storage is applied here: in double precision the digits differ from about the sixth on, in single
they agree. Tolerances are one unit in the last digit that was published, unless a comment says why
not.
"""

import gzip
import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from quant_pipeline import analytics

REFERENCE = Path(__file__).parents[2] / "data" / "reference"
FloatArray = np.ndarray


def read(name: str) -> pl.DataFrame:
    data = (REFERENCE / name).read_bytes()
    data = gzip.decompress(data) if name.endswith(".gz") else data
    return pl.read_csv(data, null_values=["NA"], infer_schema_length=None)


def stored_single(values: FloatArray) -> FloatArray:
    """The values as a program that stores single-precision numbers reads them back."""
    return values.astype(np.float32).astype(np.float64)


@pytest.fixture(scope="module")
def macro() -> pl.DataFrame:
    return read("macrodata.csv")


@pytest.fixture(scope="module")
def inflation(macro: pl.DataFrame) -> FloatArray:
    """Differences of log CPI, the logs stored in single precision."""
    return np.diff(stored_single(np.log(macro["cpi"].to_numpy())))


@pytest.mark.parametrize(
    ("estimator", "column"),
    [
        ("close_to_close", "close"),
        ("parkinson", "parkinson"),
        ("garman_klass", "garman.klass"),
        ("garman_klass_yang_zhang", "gk.yz"),
        ("rogers_satchell", "rogers.satchell"),
        ("yang_zhang", "yang.zhang"),
    ],
)
def test_volatility_is_that_of_R_TTR_on_every_bar(estimator: str, column: str) -> None:
    bars = read("ttr_ttrc_prices.csv.gz")
    published = read("ttr_ttrc_volatility.csv.gz")[column].cast(pl.Float64).to_numpy()
    ours = analytics.volatility(
        *(bars[name] for name in ("Open", "High", "Low", "Close")),
        estimator=estimator,
        window=10,
        periods_per_year=260,
    )
    assert np.isfinite(published).sum() > 5500
    np.testing.assert_array_equal(np.isfinite(ours), np.isfinite(published))
    np.testing.assert_allclose(ours, published, rtol=0, atol=1e-14)  # R printed 15 digits


# Stata's dfuller keeps its results in single precision too: one unit in the last place of that.
SINGLE_PRECISION_UNIT = 1.2e-7


@pytest.mark.parametrize(
    ("series", "trend", "lags", "statistic", "pvalue"),
    [
        ("realgdp", "c", 4, 0.97505319, 0.99399563),
        ("realgdp", "ct", 4, -1.8566374, 0.67682968),
        ("realgdp", "n", 4, 3.5227498, 0.99999),
        ("infl", "c", 1, -4.3346988, 0.00038661),
        ("infl", "ct", 1, -4.425093, 0.00199633),
        ("infl", "n", 1, -2.4511596, 0.013747),
    ],
)
def test_adf_of_stata(
    macro: pl.DataFrame, series: str, trend: str, lags: int, statistic: float, pvalue: float
) -> None:
    result = analytics.adf(stored_single(macro[series].to_numpy()), trend=trend, lags=lags)
    assert result.statistic == pytest.approx(statistic, rel=SINGLE_PRECISION_UNIT)
    # Five decimals: for trend "n" the published p-values are given to five and six digits only.
    assert result.pvalue == pytest.approx(pvalue, abs=1e-5)


def test_critical_values_are_mackinnons_of_2010_not_statas_of_fuller(macro: pl.DataFrame) -> None:
    result = analytics.adf(macro["realgdp"], lags=4)
    assert result.n == 198
    # MacKinnon (2010), table 2: beta_inf + beta_1/T + beta_2/T² + beta_3/T³, one series, constant.
    t = 198.0
    assert result.critical_values["5%"] == pytest.approx(
        -2.86154 - 2.8903 / t - 4.234 / t**2 - 40.040 / t**3, abs=1e-12
    )
    # Stata interpolates Fuller's table and prints -2.883: another source, half a percent away.
    assert result.critical_values["5%"] == pytest.approx(-2.883, abs=0.01)


def test_adf_of_arch(inflation: FloatArray) -> None:
    chosen = analytics.adf(inflation)
    assert chosen.lags == 2
    assert chosen.statistic == pytest.approx(-3.0931, abs=1e-4)
    assert chosen.pvalue == pytest.approx(0.027067, abs=1e-6)
    for trend, published in (("c", -6.56880), ("n", -3.88845), ("ct", -6.66705)):
        ours = analytics.adf(inflation, lags=0, trend=trend).statistic
        assert ours == pytest.approx(published, abs=1e-5)
    assert analytics.adf(inflation, lags=10).statistic == pytest.approx(-2.28375, abs=1e-5)


def test_phillips_perron_of_stata(inflation: FloatArray) -> None:
    tau = analytics.phillips_perron(inflation, lags=12)
    rho = analytics.phillips_perron(inflation, lags=12, statistic="rho")
    assert tau.statistic == pytest.approx(-7.8076512, abs=1e-7)
    assert rho.statistic == pytest.approx(-108.1552688, abs=1e-7)
    assert analytics.phillips_perron(inflation).statistic == pytest.approx(-8.135547778, abs=1e-9)


def test_dfgls_of_stata(inflation: FloatArray) -> None:
    assert analytics.dfgls(inflation, lags=0).statistic == pytest.approx(-6.017304, abs=1e-6)
    assert analytics.dfgls(inflation, lags=0, trend="ct").statistic == pytest.approx(
        -6.300927, abs=1e-6
    )


def test_kpss_of_stata_and_R(macro: pl.DataFrame, inflation: FloatArray) -> None:
    # Sixteen digits were published for these two, from single-precision logs: eight hold.
    assert analytics.kpss(inflation, lags=12).statistic == pytest.approx(0.32762903402, abs=5e-9)
    assert analytics.kpss(inflation, lags=12, trend="ct").statistic == pytest.approx(
        0.23558190300, abs=5e-9
    )
    level = analytics.kpss(macro["realgdp"], lags=3)
    trend = analytics.kpss(macro["realgdp"], lags=3, trend="ct")
    assert level.statistic == pytest.approx(5.0169, abs=1e-4)
    assert trend.statistic == pytest.approx(1.1828, abs=1e-4)


def test_kpss_bandwidth_is_that_of_SAS(macro: pl.DataFrame) -> None:
    from statsmodels.datasets import nile, sunspots

    assert analytics.kpss(macro["realgdp"]).lags == 9
    assert analytics.kpss(sunspots.load_pandas().data["SUNACTIVITY"].to_numpy()).lags == 7
    assert analytics.kpss(nile.load_pandas().data["volume"].to_numpy()).lags == 5


def test_engle_granger_without_lags_of_statsmodels(macro: pl.DataFrame) -> None:
    result = analytics.engle_granger(macro["realcons"], macro["realgdp"], lags=0)
    assert result.statistic == pytest.approx(-1.830170986148, abs=1e-12)


@pytest.mark.parametrize(
    ("trend", "statistic", "critical"),
    [
        ("c", -5.760696844656, (-3.952321293401682, -3.367006313729, -3.065831247948)),
        ("ct", -5.615251442239, (-4.406102369132, -3.82866685109, -3.532082997903)),
        ("ctt", -5.644431269946, (-4.796038299708, -4.221469431008, -3.926472577178)),
    ],
)
def test_engle_granger_of_stata(
    trend: str, statistic: float, critical: tuple[float, float, float]
) -> None:
    frame = read("egranger_stata.csv")
    result = analytics.engle_granger(frame["y0"], frame["y1"], trend=trend, lags=4)
    assert result.statistic == pytest.approx(statistic, abs=1e-12)
    assert tuple(result.critical_values.values()) == pytest.approx(critical, abs=1e-12)


@pytest.mark.parametrize(
    ("trend", "statistic"),
    [("c", -2.477444137366), ("ct", -2.892029275027), ("ctt", -3.161462374828)],
)
def test_engle_granger_of_stata_with_two_regressors(trend: str, statistic: float) -> None:
    frame = read("egranger_stata.csv")
    result = analytics.engle_granger(frame["y0"], frame.select("y2", "y3"), trend=trend, lags=4)
    assert result.statistic == pytest.approx(statistic, abs=1e-12)
    assert len(result.coefficients) == 2


@pytest.mark.parametrize("method", ["aic", "bic"])
@pytest.mark.parametrize(
    ("trend", "y", "x", "statistic", "digits", "pvalue"),
    [
        ("n", "x", "y", -2.737185, 1e-6, 0.05355),
        ("n", "y", "x", -2.354023, 1e-6, 0.12446),
        ("c", "x", "y", -2.734094, 1e-6, 0.18843),
        ("c", "y", "x", -2.245916, 1e-6, 0.39995),
        ("ct", "x", "y", -2.953992475678419, 1e-13, 0.2882),
        ("ct", "y", "x", -2.118891881009684, 1e-13, 0.72007),
    ],
)
def test_engle_granger_of_arch_without_cointegration(
    trend: str, y: str, x: str, statistic: float, digits: float, pvalue: float, method: str
) -> None:
    frame = read("engle_granger_arch.csv")
    options = {"trend": trend, "method": method}
    result = analytics.engle_granger(frame[y], frame[x], **options, table="arch")
    assert result.statistic == pytest.approx(statistic, abs=digits)
    # The published p-values are EViews', from MacKinnon's (1996) finite-sample distribution, whose
    # licence bars it from programs. arch's own tests ask 1 % of arch's asymptotic table.
    assert result.pvalue == pytest.approx(pvalue, rel=1e-2)


@pytest.mark.parametrize(
    ("method", "y", "x", "statistic", "lags"),
    [
        ("bic", "y", "w", -14.41683, 1),
        ("bic", "w", "y", -14.47295, 1),
        ("aic", "w", "y", -9.329104, 4),
    ],
)
def test_engle_granger_of_arch_with_cointegration(
    method: str, y: str, x: str, statistic: float, lags: int
) -> None:
    frame = read("engle_granger_arch.csv")
    result = analytics.engle_granger(frame[y], frame[x], method=method)
    assert result.lags == lags
    assert result.statistic == pytest.approx(statistic, abs=1e-5)


def test_johansen_of_the_matlab_toolbox() -> None:
    system = np.loadtxt(io.BytesIO((REFERENCE / "johansen_matlab.csv").read_bytes()))
    result = analytics.johansen(system, det_order=1, lags=2)
    trace = [241.985452556075, 166.4781461662553, 110.3298006342814, 70.79801574443574]
    trace += [44.90887371527634, 27.22385073668511, 11.74205493173769, 3.295435325623445]
    max_eigen = [75.50730638981975, 56.14834553197396, 39.5317848898456, 25.8891420291594]
    max_eigen += [17.68502297859124, 15.48179580494741, 8.446619606114249, 3.295435325623445]
    critical = [175.1584, 139.278, 107.3429, 79.3422, 55.2459, 35.0116, 18.3985, 3.8415]
    assert result.trace.tolist() == pytest.approx(trace, abs=1e-11)
    assert result.max_eigen.tolist() == pytest.approx(max_eigen, abs=1e-11)
    assert result.trace_critical_values[:, 1].tolist() == critical
    assert result.rank == 3


def test_johansen_and_juselius_on_danish_money_demand() -> None:
    system = read("urca_denmark.csv").select("LRM", "LRY", "IBO", "IDE")
    result = analytics.johansen(system, lags=1, restricted_constant=True, seasons=4)
    # urca's K counts the lags of the levels: K = 2 is one lagged difference.
    assert result.trace.tolist() == pytest.approx(
        [49.14437, 19.05691, 8.694964, 2.352233], abs=5e-6
    )
    assert result.max_eigen.tolist() == pytest.approx(
        [30.08745, 10.36195, 6.34273, 2.352233], abs=5e-6
    )
    # The printed example of urca's help page: 10, 5 and 1 % points.
    assert result.trace_critical_values[0].tolist() == [49.65, 53.12, 60.16]
    assert result.max_eigen_critical_values[0].tolist() == [25.56, 28.14, 33.24]
    # Johansen and Juselius report the money-demand vector (1, -1.03, 5.21, -4.22, -6.06).
    assert result.vectors[:, 0].round(2).tolist() == [1.0, -1.03, 5.21, -4.22, -6.06]


def test_recursive_least_squares_of_R(macro: pl.DataFrame) -> None:
    """R updates its estimates row by row and carries rounding along: exact arithmetic decides."""
    published = read("recursive_ols_R.csv")
    assert published.height == 201
    cpi, m1 = macro["cpi"], macro["m1"]
    for row, (alpha, beta) in enumerate(published.iter_rows()):
        y, x = cpi[: 3 + row], m1[: 3 + row]
        fit = analytics.ols(y, x)
        assert fit.alpha == pytest.approx(alpha, abs=1e-10)
        assert fit.beta == pytest.approx(beta, abs=1e-12)
        exact_alpha, exact_beta = exact_line([str(v) for v in y], [str(v) for v in x])
        assert fit.alpha == pytest.approx(exact_alpha, abs=1e-12)
        assert fit.beta == pytest.approx(exact_beta, abs=1e-14)


def exact_line(y: list[str], x: list[str]) -> tuple[float, float]:
    """Least-squares line in rational arithmetic."""
    ys, xs = [Fraction(v) for v in y], [Fraction(v) for v in x]
    mean_y, mean_x = sum(ys) / len(ys), sum(xs) / len(xs)
    products = sum((a - mean_x) * (b - mean_y) for a, b in zip(xs, ys, strict=True))
    slope = products / sum((a - mean_x) ** 2 for a in xs)
    return float(mean_y - slope * mean_x), float(slope)
