"""Every kind of page, rendered from the recorded session and from a synthetic month."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from quant_pipeline import lake
from quant_pipeline.defs.snapshots import append
from quant_pipeline.research import (
    pair,
    pair_window,
    published,
    quality,
    reading,
    snapshots,
    symbol,
    universe,
)
from quant_pipeline.settings import Settings
from reports import context, publishing
from reports import pair as pair_page
from reports import quality as quality_page
from reports import snapshots as snapshots_page
from reports import symbol as symbol_page
from reports import universe as universe_page
from tests.reports.markets import (
    MONTH_END,
    PAIR,
    capture_month,
    pair_of_month,
    snapshot_history,
    symbol_of_month,
    universe_of_month,
    without_overlap,
)

DAY = dt.date(2024, 8, 8)

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
    made["universe"] = universe_page.publish(universe.analyse(universe_of_month()), settings).html
    empty = pair.analyse(without_overlap(), window=60)
    made["empty"] = settings.reports_dir / "pair" / "empty.html"
    made["empty"].write_text(pair_page.render(empty, context.from_settings(settings)), "utf-8")
    made["index"] = publishing.rebuild_index(settings)
    return made


@pytest.fixture(scope="session")
def pages(
    site: Mapping[str, Path],
    make_recorded_lake: Callable[[str], Settings],
    make_lake: Callable[[str], Settings],
    tmp_path_factory: pytest.TempPathFactory,
) -> Mapping[str, Path]:
    """The site's pages, and the kinds that it has not of the session or not of the month."""
    settings = Settings(home=tmp_path_factory.mktemp("other"))
    now = dt.datetime(2024, 8, 9, 1, tzinfo=dt.UTC)
    minutes = make_recorded_lake("snapshots").model_copy(
        update={
            "snapshot_timeframe": "1s",
            "snapshot_lookback_h": 0.1,
            "snapshot_liquidity_filter": False,
        }
    )
    span = published.snapshot_span("1s", 0.1)
    with lake.connect(settings=minutes) as connection:
        closes = universe.load(
            connection, venue="binance", symbols=list(PAIR), day=DAY, timeframe="1m"
        )
        for hour in range(3):
            end = now.replace(tzinfo=None) - dt.timedelta(minutes=55 + hour)
            where = reading.Window("binance", end - span, end)
            window = pair_window.load(connection, pair=PAIR, timeframe="1s", where=where)
            append(connection, window, now=now + dt.timedelta(hours=hour))
        history = snapshots.load(connection, minutes, PAIR)
    with lake.connect(settings=make_lake("month")) as connection:
        capture_month(connection)
        names = [f"SYM{i:02d}USDT" for i in range(20)]
        state = quality.load(connection, venue="binance", symbols=names, day=MONTH_END)
    found = pair.analyse(pair_of_month(), window=60)
    return {
        **site,
        "session universe": universe_page.publish(universe.analyse(closes), settings).html,
        "session snapshots": snapshots_page.publish(history, settings).html,
        "month quality": quality_page.publish(state, settings).html,
        "month pair": pair_page.publish(found, settings).html,
        "month symbol": symbol_page.publish(symbol.analyse(symbol_of_month()), settings).html,
    }


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
