"""The pair page: its numbers are the library's, its bytes repeat, degenerate input says so."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import io
import itertools
import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from quant_pipeline import analytics, lake
from quant_pipeline.research import pair as research
from quant_pipeline.research.outcome import Undefined
from quant_pipeline.research.pair import PairBars, PairStatistics
from quant_pipeline.research.pair_bars import align
from quant_pipeline.research.scans import PairInScan, ScanTest
from quant_pipeline.research.warehouse import LiquidityTables, Proxies, ValueArea
from quant_pipeline.settings import ROOT, Pair, Settings
from reports import formats, pair, publishing
from reports.context import Context, Previous
from reports.page import render
from reports.sections import alerts
from tests.reports.page_tables import number, read_tables

PAIR = Pair("BTCUSDT", "ETHUSDT")
DAY = dt.date(2024, 8, 8)
CONTEXT = Context(code_version="0.0.0", settings={"venue": "binance"})


@pytest.fixture(scope="module")
def bars(recorded_lake: Settings) -> PairBars:
    with lake.connect(read_only=True, settings=recorded_lake) as connection:
        return research.load(connection, venue="binance", pair=PAIR, day=DAY, timeframe="1s")


@pytest.fixture(scope="module")
def statistics(bars: PairBars) -> PairStatistics:
    return research.analyse(bars, window=60)


@pytest.fixture(scope="module")
def html(statistics: PairStatistics) -> str:
    return pair.render(statistics, CONTEXT)


def test_numbers_on_the_page_are_those_of_the_library(html: str, bars: PairBars) -> None:
    y, x = np.log(bars.frame["y"].to_numpy()), np.log(bars.frame["x"].to_numpy())
    tables = read_tables(html)

    both = analytics.engle_granger_directions(y, x)
    tests = tables["cointegration-tests"]
    for name, fit in (("BTCUSDT on ETHUSDT", both.y_on_x), ("ETHUSDT on BTCUSDT", both.x_on_y)):
        slope, statistic, critical, pvalue, lags, _ = tests[name]
        assert number(slope) == pytest.approx(fit.beta, abs=5e-4)
        assert number(statistic) == pytest.approx(fit.statistic, abs=5e-3)
        assert number(critical) == pytest.approx(fit.critical_values["5%"], abs=5e-3)
        assert number(pvalue) == pytest.approx(fit.pvalue, abs=5e-4)
        assert int(lags) == fit.lags

    level = analytics.adf(y)
    shown = tables["integration"]["log BTCUSDT"]
    assert number(shown[0]) == pytest.approx(level.statistic, abs=5e-3)
    assert number(shown[2]) == pytest.approx(level.pvalue, abs=5e-4)
    assert int(shown[3]) == level.lags

    fit = analytics.ols(y, x)
    slope, stderr, *_ = tables["hedge-ratios"]["OLS, log levels"]
    assert number(slope) == pytest.approx(fit.beta, abs=5e-4)
    assert number(stderr) == pytest.approx(fit.beta_stderr, abs=5e-4)
    half_life = analytics.half_life(fit.residuals)
    assert tables["reversion"]["Half-life"][0] == formats.duration(half_life.half_life)
    assert tables["reversion"]["95% interval, upper"][0] == formats.duration(half_life.upper)

    rows = tables["correlation-horizons"]
    pearson = np.corrcoef(np.diff(y), np.diff(x))[0, 1]
    assert number(rows["1\u00a0s"][1]) == pytest.approx(pearson, abs=5e-4)
    assert rows["1\u00a0h"][1] == "—"

    legs = tables["liquidity-legs"]
    for column, leg in enumerate(("y", "x")):
        stored = bars.warehouse[leg]
        assert isinstance(stored, LiquidityTables)
        assert isinstance(stored.value_area, ValueArea)
        shown = legs["Value area"][column].replace(",", "").split(" to ")
        assert [float(edge) for edge in shown] == [stored.value_area.low, stored.value_area.high]
        assert isinstance(stored.proxies, Proxies)
        for name, value in (
            ("Roll", stored.proxies.roll),
            ("Abdi–Ranaldo", stored.proxies.abdi_ranaldo),
        ):
            cell = legs[f"{name}, 1 min"][column]
            assert cell == (formats.number(value) if value is not None else "—")
    assert [number(cell) for cell in legs["Trades"]] == [
        bars.legs[leg]["trade_count"].sum() for leg in ("y", "x")
    ]


def test_the_q_value_comes_from_the_latest_scan(statistics: PairStatistics, html: str) -> None:
    assert read_tables(html)["scan-qvalues"]["BTCUSDT on ETHUSDT"] == ["", "", "—"]
    assert "`quant report universe` makes one" in html
    scan = PairInScan(
        taken_at=dt.datetime(2024, 8, 8, 1),  # noqa: DTZ001 - the lake's times are naive UTC
        day=dt.date(2024, 8, 7),
        days=30,
        timeframe="1h",
        bars=720,
        symbols=20,
        tests=380,
        y_on_x=ScanTest(0.0004, 0.012, 0.0784),
        x_on_y=Undefined("Not tested in the scan: gaps."),
        lake_snapshot=3,
    )
    scanned = replace(statistics, bars=replace(statistics.bars, scan=scan))
    page = pair.render(scanned, CONTEXT)
    shown = read_tables(page)["scan-qvalues"]
    assert shown["BTCUSDT on ETHUSDT"] == ["< 0.001", "0.012", "0.078"]
    assert shown["ETHUSDT on BTCUSDT"] == ["", "", "—"]
    assert "Scan of 20 symbols, 380 tests" in page


def test_downloads_hold_the_bars_that_are_shown(html: str, statistics: PairStatistics) -> None:
    links = dict(re.findall(r'download="[^"]+\.(csv|parquet)" href="data:[^,]+,([^"]+)"', html))
    csv = pl.read_csv(io.BytesIO(base64.b64decode(links["csv"])))
    parquet = pl.read_parquet(io.BytesIO(base64.b64decode(links["parquet"])))
    assert csv.height == parquet.height == statistics.bars.n
    np.testing.assert_allclose(parquet["y"], statistics.series["y"], rtol=1e-9)
    np.testing.assert_allclose(csv["spread"], statistics.series["spread"], rtol=1e-8)


def test_the_same_snapshot_gives_the_same_bytes(recorded_lake: Settings, html: str) -> None:
    with lake.connect(read_only=True, settings=recorded_lake) as connection:
        again = research.load(connection, venue="binance", pair=PAIR, day=DAY, timeframe="1s")
    assert pair.render(research.analyse(again, window=60), CONTEXT) == html


def test_the_page_carries_its_provenance(html: str, bars: PairBars) -> None:
    block = re.search(r'id="provenance">(.*?)</script>', html)
    assert block is not None
    provenance = json.loads(block[1])
    assert provenance["lake_snapshot"] == bars.snapshot
    assert provenance["code_version"] == "0.0.0"
    assert provenance["settings"]["timeframe"] == "1s"


def test_the_policy_allows_exactly_the_scripts_of_the_page(html: str) -> None:
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    assert policy is not None
    allowed = set(re.findall(r"'sha256-([^']+)'", policy[1]))
    actual = {base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts}
    assert actual == allowed
    assert "unsafe-eval" not in policy[1]
    assert "default-src 'none'" in policy[1]
    assert not re.search(r'(?:src|href)="(?:https?:)?//', html)


def test_ids_are_unique(html: str) -> None:
    page = re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert sorted(ids) == sorted(set(ids))


def test_headings_are_in_order_and_table_headers_scoped(html: str) -> None:
    page = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    levels = [int(level) for level in re.findall(r"<h([1-6])", page)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    for header in re.findall(r"<th\b[^>]*>", page):
        assert "scope=" in header


@pytest.mark.parametrize(
    ("y", "x", "said"),
    [
        pytest.param([], [], "no bar in common", id="no overlap"),
        pytest.param([100.0], [10.0], "1 aligned bars", id="one bar"),
        pytest.param([100.0] * 500, [10.0] * 500, "constant", id="constant prices"),
        pytest.param([np.nan] * 500, [np.nan] * 500, "no bar in common", id="all NaN"),
    ],
)
def test_degenerate_input_gives_a_page_that_says_so(
    y: list[float], x: list[float], said: str
) -> None:
    statistics = research.analyse(pair_bars(PAIR, y, x), window=60)
    html = pair.render(statistics, CONTEXT)
    assert "Nothing can be said about BTCUSDT and ETHUSDT" in html
    assert "<b>No verdict:</b>" in html
    assert "Not computed." in html
    assert said in html
    assert not re.search(r"\b(nan|NaN|None|inf)\b", visible(html))
    assert pair.preview(statistics).startswith("<svg")


@pytest.mark.parametrize("constant", [("y",), ("x",), ("y", "x")], ids="+".join)
def test_a_leg_whose_price_never_changes_has_a_page(constant: tuple[str, ...]) -> None:
    statistics = research.analyse(with_trades(constant), window=60)
    html = pair.render(statistics, CONTEXT)
    timing = html.partition('id="timing"')[2].partition("</section>")[0]
    assert "Not computed." in timing
    assert "did not change" in timing
    assert not re.search(r"\b(nan|None|inf)\b", visible(html))


def test_the_preview_fits_the_asset_page_to_scale(statistics: PairStatistics) -> None:
    size = re.search(
        r'width="(\d+)" height="(\d+)" viewBox="0 0 (\d+) (\d+)"', pair.preview(statistics)
    )
    assert size is not None
    width, height, drawn_width, drawn_height = map(int, size.groups())
    assert width == 420
    assert height / width == pytest.approx(drawn_height / drawn_width, rel=0.01)


def test_a_symbol_named_like_a_tag_stays_text() -> None:
    rng = np.random.default_rng(3)
    walk = 100 * np.exp(np.cumsum(rng.normal(0, 1e-3, (2, 400)), axis=1))
    hostile = Pair("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>')
    statistics = research.analyse(pair_bars(hostile, walk[0], walk[1]), window=60)
    for text in (pair.render(statistics, CONTEXT), pair.preview(statistics)):
        body = re.sub(
            r"<script(?: type=\"application/json\"[^>]*)?>.*?</script>", "", text, flags=re.S
        )
        assert "<script>alert" not in body
        assert "<img" not in body
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in pair.render(statistics, CONTEXT)


def test_what_changed_is_told_from_the_previous_report(statistics: PairStatistics) -> None:
    before = Previous(dt.date(2024, 8, 7), {"hedge_ratio": 1.25, "bars": 86_400}, "cointegrated")
    html = pair.render(statistics, Context(code_version="0", previous=before))
    changes = read_tables(html)["changes-table"]
    assert changes["Hedge ratio, OLS"][0] == "1.250"
    assert changes["Half-life"][0] == "—"
    assert "was “cointegrated” on 7 August 2024" in html


def test_publishing_writes_page_preview_and_index(
    statistics: PairStatistics, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    made = pair.publish(statistics, settings)
    assert made.url == "/reports/pair/BTCUSDT-ETHUSDT/2024-08-08.html"
    assert made.preview_url == "/reports/pair/BTCUSDT-ETHUSDT/2024-08-08.svg"
    assert made.html.read_text("utf-8").startswith("<!doctype html>")
    assert list(publishing.published(settings)) == [made]
    index = (settings.reports_dir / "index.html").read_text("utf-8")
    assert 'href="pair/BTCUSDT-ETHUSDT/2024-08-08.html"' in index
    assert made.summary.headline in index
    assert not [path for path in settings.reports_dir.rglob(".*") if path.name != ".lock"]


def test_the_latest_preview_keeps_its_address(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    latest = settings.reports_dir / "pair" / publishing.LATEST
    publishing.ensure_latest(settings)
    assert "no report yet" in latest.read_text("utf-8")
    for subject, days, drawing, shown in (
        ("A-B", 1, "<svg>first</svg>", "first"),
        ("A-B", 3, "<svg>newest</svg>", "newest"),
        ("C-D", 2, "<svg>older</svg>", "newest"),
        ("A-B.timeframe-1m", 4, "<svg>experiment</svg>", "newest"),
        ("A-B", 3, "<svg>again</svg>", "again"),
    ):
        summary = publishing.Summary("x", DAY + dt.timedelta(days=days), "x", "x", 1)
        publishing.publish(
            settings, kind="pair", subject=subject, html="", summary=summary, preview=drawing
        )
        publishing.ensure_latest(settings)
        assert shown in latest.read_text("utf-8")


def test_a_subject_that_is_a_path_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    summary = publishing.Summary("x", DAY, "x", "x", 1)
    with pytest.raises(ValueError, match="cannot be a folder"):
        publishing.publish(settings, kind="pair", subject="../up", html="", summary=summary)


def pair_bars(names: Pair, y: list[float] | np.ndarray, x: list[float] | np.ndarray) -> PairBars:
    """Bars of one second with these closes."""
    start = dt.datetime.combine(DAY, dt.time())
    legs = {}
    for name, symbol, close in (("y", names.y, y), ("x", names.x, x)):
        n = len(close)
        legs[name] = pl.DataFrame(
            {
                "symbol": pl.Series([symbol] * n, dtype=pl.String),
                "bucket": pl.Series(
                    [start + dt.timedelta(seconds=i) for i in range(n)], dtype=pl.Datetime("us")
                ),
                "close": pl.Series(close, dtype=pl.Float64),
                "volume": pl.Series([1.0] * n, dtype=pl.Float64),
                "quote_volume": pl.Series(close, dtype=pl.Float64).fill_nan(0.0),
                "buy_volume": pl.Series([0.5] * n, dtype=pl.Float64),
                "trade_count": pl.Series([1] * n, dtype=pl.Int64),
            }
        )
    return PairBars(
        venue="binance",
        pair=names,
        day=DAY,
        timeframe="1s",
        frame=align(legs, 1),
        legs=legs,
        snapshot=1,
    )


def with_trades(constant: tuple[str, ...]) -> PairBars:
    """Ten minutes of bars and the trades behind them; the price of these legs never changes."""
    rng = np.random.default_rng(7)
    n = 600
    prices = {leg: 100 * np.exp(np.cumsum(rng.normal(0, 1e-4, n))) for leg in ("y", "x")}
    prices |= {leg: np.full(n, 1.0) for leg in constant}
    bars = pair_bars(PAIR, prices["y"], prices["x"])
    ticks = {
        leg: frame.select(
            ts="bucket",
            price="close",
            quantity="volume",
            is_buyer_maker=pl.lit(value=True),
        )
        for leg, frame in bars.legs.items()
    }
    return replace(bars, ticks=ticks)


def visible(html: str) -> str:
    """The page's text."""
    return re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", html, flags=re.DOTALL)


def test_the_section_that_the_documentation_shows_works(statistics: PairStatistics) -> None:
    text = (ROOT / "docs" / "reports.md").read_text("utf-8")
    example = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert example is not None
    scope: dict[str, Any] = {}
    exec(example[1], scope)
    page = replace(
        pair.compose(statistics, CONTEXT), sections=[scope["build"](statistics, CONTEXT)]
    )
    shown = read_tables(render(page))["break"]["Break test"]
    assert shown == [formats.pvalue(statistics.breakdown.pvalue)]  # type: ignore[union-attr]


def test_alerts_name_the_rules_that_are_broken(statistics: PairStatistics) -> None:
    found = dict(alerts.alerts(statistics, CONTEXT))
    half_life = statistics.half_life
    assert isinstance(half_life, analytics.HalfLife)
    long = half_life.half_life > statistics.bars.n / 4
    assert ("The half-life is too long for the window." in found) == long


def test_alerts_on_record_are_listed_with_their_fate(statistics: PairStatistics) -> None:
    noon = dt.datetime.combine(statistics.bars.day, dt.time(12))
    episodes = pl.DataFrame(
        {
            "rule": ["zscore", "stale_feed"],
            "subject": [str(statistics.bars.pair), "stream"],
            "severity": ["warning", "critical"],
            "raised_at": [noon, noon],
            "cleared_at": [noon + dt.timedelta(minutes=5), None],
            "value": [2.7, 1.2],
            "threshold": [2.5, 1.0],
            "message": ["the spread is 2.7 away", "<script>no trade</script>"],
        }
    )
    recorded = replace(statistics, bars=replace(statistics.bars, alerts=episodes))
    html = render(pair.compose(recorded, CONTEXT))
    assert "2 alerts on record, 1 open" in html
    assert "the spread is 2.7 away" in html
    assert "&lt;script&gt;no trade&lt;/script&gt;" in html
    assert "alerts on record" not in render(pair.compose(statistics, CONTEXT))
