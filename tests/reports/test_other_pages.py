"""Universe, symbol, snapshot-history and quality pages: numbers, degenerate input, same bytes."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace

import numpy as np
import polars as pl

from quant_pipeline import lake, reconcile
from quant_pipeline.research import pair, quality, snapshots, symbol, universe
from quant_pipeline.settings import Pair, Settings
from reports import formats
from reports import pair as pair_page
from reports import quality as quality_page
from reports import snapshots as snapshots_page
from reports import symbol as symbol_page
from reports import universe as universe_page
from reports.context import Context
from tests.reports.markets import pair_of_month, symbol_of_month
from tests.reports.page_tables import read_tables

CONTEXT = Context(code_version="0.0.0")
DAY = dt.date(2024, 8, 8)
START = dt.datetime.combine(DAY, dt.time())


def market(symbols: int, n: int, name: str = "SYM") -> universe.UniverseStatistics:
    rng = np.random.default_rng(5)
    clock = pl.Series(
        [START + dt.timedelta(minutes=minute) for minute in range(n)], dtype=pl.Datetime("us")
    )
    common = np.cumsum(rng.normal(0, 1e-3, n))
    frames = []
    for i in range(symbols):
        own = rng.normal(0, 1e-3, n) if i == 1 else np.cumsum(rng.normal(0, 1e-3, n))
        price = np.exp(3 + common + own)
        frames.append(
            pl.DataFrame(
                {
                    "symbol": [f"{name}{i}"] * n,
                    "bucket": clock,
                    "open": price,
                    "high": price,
                    "low": price,
                    "close": price,
                    "quote_volume": price,
                    "trade_count": [1] * n,
                },
                schema_overrides={"trade_count": pl.Int64},
            )
        )
    bars = universe.arrange(
        pl.concat(frames), venue="binance", day=DAY, days=1, timeframe="1m", snapshot=9
    )
    return universe.analyse(bars)


def visible(html: str) -> str:
    return re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", html, flags=re.DOTALL)


def test_the_ranked_pairs_are_the_scans() -> None:
    statistics = market(6, 400)
    html = universe_page.render(statistics, CONTEXT)
    assert html == universe_page.render(market(6, 400), CONTEXT)
    best = statistics.scan.row(0, named=True)  # type: ignore[union-attr]
    assert f"{best['y']} on {best['x']}" in html
    assert formats.number(best["statistic"]) in html
    assert "of 30 tests would look significant" in visible(html)
    assert universe_page.preview(statistics).startswith("<svg")  # type: ignore[union-attr]


def test_a_month_of_hours_is_told_in_hours_and_dates() -> None:
    hourly = symbol.analyse(symbol_of_month())
    assert hourly.candle_seconds == 3600  # never shorter than a bar
    text = visible(pair_page.render(pair.analyse(pair_of_month(), window=60), CONTEXT))
    assert "100.0% of its 30 dates" in text
    assert "Engle–Granger p &lt; 0.001 and p &lt; 0.001 the other way round" in text


def test_amounts_are_in_the_asset_that_the_symbol_is_priced_in() -> None:
    bars = symbol_of_month()
    cross = replace(bars, symbol="ETHBTC", frame=bars.frame.with_columns(symbol=pl.lit("ETHBTC")))
    html = symbol_page.render(symbol.analyse(cross), CONTEXT)
    assert "USDT" not in html
    assert "Price, BTC" in html
    assert "bp per million BTC net" in visible(html)


def test_a_universe_of_one_says_so() -> None:
    html = universe_page.render(market(1, 400), CONTEXT)
    assert "There is no universe to scan" in html
    assert "a scan needs 2 symbols" in html
    assert not re.search(r"\b(nan|None|inf)\b", visible(html))


def test_hostile_symbols_stay_text() -> None:
    html = universe_page.render(market(3, 100, name="<script>alert(1)</script>"), CONTEXT)
    body = re.sub(r"<script( type=\"application/json\"[^>]*)?>.*?</script>", "", html, flags=re.S)
    assert "<script>alert" not in body
    assert "&lt;script&gt;alert(1)&lt;/script&gt;0" in html


def test_no_capture_says_so() -> None:
    empty = quality.CaptureQuality(
        venue="binance",
        day=DAY,
        ticks=pl.DataFrame(schema={"trades": pl.Int64, "missing": pl.Int64}),
        sessions=pl.DataFrame(),
        gaps=pl.DataFrame(schema={"status": pl.String}),
        revisions=pl.DataFrame(),
        snapshot=0,
    )
    html = quality_page.render(empty, CONTEXT)
    assert "Nothing was captured on this date" in html
    assert "The lake holds no trades of this date." in html


def test_the_last_comparison_with_the_exchange_is_shown(settings: Settings) -> None:
    taken = START + dt.timedelta(days=1)
    span = (START, taken)
    differing = reconcile.Reconciliation(
        "BTCUSDT",
        "1m",
        *span,
        bars=1440,
        unrepaired=7,
        differences=[reconcile.Difference("BTCUSDT", "1m", START, "close", 1.0, 2.0)],
    )
    agreeing = reconcile.Reconciliation("BTCUSDT", "1h", *span, bars=24)
    with lake.connect(settings=settings) as connection:

        def page() -> str:
            state = quality.load(connection, venue="binance", symbols=["BTCUSDT"], day=DAY)
            return quality_page.render(state, CONTEXT)

        assert "<code>quant reconcile</code>" in page()
        for results, at in (
            ([differing], taken),
            ([agreeing, differing], taken + dt.timedelta(days=1)),
        ):
            reconcile.record(connection, "binance", results, taken_at=at, snapshot=5)
        html = page()
    shown = read_tables(html)["reconciliations"]
    assert shown["1\u00a0min"][:4] == ["1,440", "1", "close 1", "7"]
    assert shown["1\u00a0h"][:4] == ["24", "0", "none", "0"]
    assert shown["1\u00a0min"][-1] == "10 Aug 2024 00:00:00"
    assert "1 of 2 series differed" in html


def test_a_session_without_an_end_is_connected_or_its_worker_is_gone(settings: Settings) -> None:
    with lake.connect(settings=settings) as connection:
        for writer, at in (("killed", START), ("running", START + dt.timedelta(hours=2))):
            connection.execute(
                "insert into raw.capture_sessions"
                " values (?, ?, 'binance', 'wss://venue', ['BTCUSDT'], ?, null, null, 0)",
                [writer, writer, at],
            )

        def shown(day: dt.date) -> dict[str, list[str]]:
            state = quality.load(connection, venue="binance", symbols=["BTCUSDT"], day=day)
            return read_tables(quality_page.render(state, CONTEXT))["capture-sessions"]

        first, next_day = shown(DAY), shown(DAY + dt.timedelta(days=1))
    assert first["8 Aug 2024 00:00:00"][0] == "—"
    assert first["8 Aug 2024 02:00:00"][0] == "connected"
    assert "8 Aug 2024 00:00:00" not in next_day
    assert next_day["8 Aug 2024 02:00:00"][0] == "connected"


def test_no_snapshots_say_so() -> None:
    empty = snapshots.SnapshotHistory(
        "binance",
        Pair("BTCUSDT", "ETHUSDT"),
        pl.DataFrame(
            schema={
                "taken_at": pl.Datetime("us"),
                "series": pl.String,
                "statistic": pl.Float64,
                "pvalue": pl.Float64,
            }
        ),
        pl.DataFrame(
            schema={
                "taken_at": pl.Datetime("us"),
                "correlation": pl.Float64,
                "lower_95": pl.Float64,
                "upper_95": pl.Float64,
            }
        ),
        0,
    )
    html = snapshots_page.render(empty, CONTEXT)
    assert "No snapshot of BTCUSDT and ETHUSDT was taken yet" in html
    assert "<b>No verdict:</b>" in html
