"""Every kind of page, rendered from the recorded session and from a synthetic month."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from playwright.sync_api import Browser, sync_playwright

from quant_pipeline import lake
from quant_pipeline.research import pair, quality, snapshots, symbol, universe
from quant_pipeline.settings import Pair, Settings
from reports import context, publishing
from reports import pair as pair_page
from reports import quality as quality_page
from reports import snapshots as snapshots_page
from reports import symbol as symbol_page
from reports import universe as universe_page

PAIR = Pair("BTCUSDT", "ETHUSDT")
DAY = dt.date(2024, 8, 8)
MONTH_START = dt.datetime(2024, 7, 1)  # noqa: DTZ001 - the lake's times are naive UTC

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--font-render-hinting=none",
]


@pytest.fixture(scope="session")
def site(recorded_lake: Settings, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Pages by name, published under one folder with their index."""
    settings = Settings(home=tmp_path_factory.mktemp("site"))
    made = {}
    with lake.connect(read_only=True, settings=recorded_lake) as connection:
        where = {"venue": "binance", "day": DAY}
        bars = pair.load(connection, **where, pair=PAIR, timeframe="1s")
        one = symbol.load(connection, **where, symbol="BTCUSDT", timeframe="1s")
        state = quality.load(connection, **where, symbols=list(PAIR))
    made["pair"] = pair_page.publish(pair.analyse(bars, window=60), settings).html
    made["symbol"] = symbol_page.publish(symbol.analyse(one), settings).html
    made["quality"] = quality_page.publish(state, settings).html
    made["snapshots"] = snapshots_page.publish(snapshot_history(), settings).html
    month = universe.arrange(
        synthetic_month(),
        venue="binance",
        day=dt.date(2024, 7, 30),
        days=30,
        timeframe="1h",
        snapshot=7,
    )
    made["universe"] = universe_page.publish(universe.analyse(month), settings).html
    empty = pair.analyse(without_overlap(), window=60)
    made["empty"] = settings.reports_dir / "pair" / "empty.html"
    made["empty"].write_text(pair_page.render(empty, context.from_settings(settings)), "utf-8")
    made["index"] = publishing.rebuild_index(settings)
    return made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real Chromium; its absence is a failure, not a skip.

    It ends with the module: while Playwright's own event loop runs, no asynchronous test can.
    """
    executable = shutil.which("chromium")
    assert executable, "the browser tests need Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core, fetched by npm at the version of package.json."""
    npm = shutil.which("npm")
    assert npm, "the accessibility tests need npm: apt-get install npm"
    folder = tmp_path_factory.mktemp("axe")
    shutil.copy(Path(__file__).with_name("package.json"), folder)
    subprocess.run(
        [npm, "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=180,
    )
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")


def synthetic_month(symbols: int = 20) -> pl.DataFrame:
    """Thirty days of hourly bars of a seeded market; every fifth symbol follows its neighbour."""
    rng = np.random.default_rng(20)
    n = 30 * 24
    market = np.cumsum(rng.normal(0, 4e-3, n))
    clock = [MONTH_START + dt.timedelta(hours=hour) for hour in range(n)]
    frames, before = [], market
    for i in range(symbols):
        noise = rng.normal(0, 5e-3, n)
        own = np.convolve(noise, 0.7 ** np.arange(20))[:n] if i % 5 == 1 else np.cumsum(noise)
        level = (before if i % 5 == 1 else market * (0.4 + 0.06 * i)) + own
        before = level
        price = np.exp(3 + level)
        volume = rng.gamma(2.0, 40.0, n)
        frames.append(
            pl.DataFrame(
                {
                    "symbol": [f"SYM{i:02d}USDT"] * n,
                    "bucket": pl.Series(clock, dtype=pl.Datetime("us")),
                    "open": price,
                    "high": price * 1.002,
                    "low": price * 0.998,
                    "close": price,
                    "volume": volume,
                    "quote_volume": volume * price,
                    "buy_volume": volume / 2,
                    "trade_count": np.full(n, 50),
                }
            )
        )
    return pl.concat(frames)


def snapshot_history() -> snapshots.SnapshotHistory:
    """Two days of hourly snapshots whose relation breaks half-way."""
    times = pl.Series(
        [MONTH_START + dt.timedelta(hours=hour) for hour in range(48)], dtype=pl.Datetime("us")
    )
    pvalue = np.where(np.arange(48) < 24, 0.012, 0.41) + np.linspace(0, 0.02, 48)
    tests = pl.concat(
        pl.DataFrame(
            {
                "taken_at": times,
                "series": [series] * 48,
                "statistic": -3.9 + 4 * pvalue,
                "pvalue": (pvalue + offset) / (1 + offset),
                "lags": [2] * 48,
                "bars": [1440] * 48,
                "critical_5pct": [-3.34] * 48,
                "lake_snapshot": np.arange(48) + 100,
            }
        )
        for series, offset in (("BTCUSDT", 1.5), ("ETHUSDT", 0.6), ("spread", 0.0))
    ).sort("taken_at", "series")
    correlation = np.where(np.arange(48) < 24, 0.85, 0.55)
    moves = pl.DataFrame(
        {
            "taken_at": times,
            "correlation": correlation,
            "lower_95": correlation - 0.05,
            "upper_95": correlation + 0.04,
            "observations": [1439] * 48,
            "lake_snapshot": np.arange(48) + 100,
        }
    )
    return snapshots.SnapshotHistory("binance", PAIR, tests, moves, 150)


def without_overlap() -> pair.PairBars:
    """Two legs that never trade at the same time."""
    legs = {
        leg: pl.DataFrame(
            {
                "symbol": [name],
                "bucket": pl.Series(
                    [MONTH_START + dt.timedelta(seconds=second)], dtype=pl.Datetime("us")
                ),
                "close": [100.0],
                "volume": [1.0],
                "quote_volume": [100.0],
                "buy_volume": [0.5],
                "trade_count": [1],
            }
        )
        for leg, name, second in (("y", PAIR.y, 0), ("x", PAIR.x, 9))
    }
    return pair.PairBars(
        venue="binance",
        pair=PAIR,
        day=MONTH_START.date(),
        timeframe="1s",
        frame=pair.align(legs, 1),
        legs=legs,
        snapshot=1,
    )
