"""`quant report` on a lake that it writes to, or that others write to meanwhile."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quant_pipeline import lake
from quant_pipeline import settings as settings_module
from quant_pipeline.cli import app
from quant_pipeline.commands import report
from quant_pipeline.settings import Pair, Settings
from reports import formats
from tests.reports.page_tables import read_tables

runner = CliRunner()


@pytest.fixture(scope="module")
def growing_lake(make_recorded_lake: Callable[[str], Settings]) -> Settings:
    """The recorded session in a lake of this module's own, scanned by the second."""
    return make_recorded_lake("growing").model_copy(update={"snapshot_timeframe": "1s"})


@pytest.fixture(autouse=True)
def _settings(growing_lake: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_module, "get", lambda: growing_lake)


def run(*arguments: str) -> str:
    result = runner.invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def made(output: str) -> Path:
    return Path(output.split("\n")[-2])


def scans(settings: Settings) -> list[tuple[str, int, float]]:
    with lake.connect(read_only=True, settings=settings) as connection:
        return connection.execute(
            "select y, tests, qvalue_by from analytics.universe_scans order by y"
        ).fetchall()


def test_a_universe_report_keeps_the_q_values_that_the_pair_page_shows(
    growing_lake: Settings,
) -> None:
    for _ in range(2):
        assert made(run("report", "universe")).name == "2024-08-09.html"
    kept = scans(growing_lake)
    assert [row[:2] for row in kept] == [("BTCUSDT", 2), ("ETHUSDT", 2)]
    page = made(run("report", "pair", "BTCUSDT/ETHUSDT", "--date", "2024-08-08"))
    shown = read_tables(page.read_text("utf-8"))["scan-qvalues"]
    assert shown["BTCUSDT on ETHUSDT"][-1] == formats.pvalue(kept[0][2])


@pytest.mark.parametrize(
    ("about", "options", "own", "named"),
    [
        (
            ("pair", "BTCUSDT/ETHUSDT"),
            ("--timeframe", "5m"),
            "BTCUSDT-ETHUSDT.timeframe-5m",
            "timeframe 5m",
        ),
        (("symbol", "BTCUSDT"), ("--timeframe", "5m"), "BTCUSDT.timeframe-5m", "timeframe 5m"),
        (("universe",), ("--days", "2"), "all.lookback-days-2", "lookback_days 2"),
        (
            ("universe",),
            ("--days", "2", "--timeframe", "5m"),
            "all.lookback-days-2.timeframe-5m",
            "lookback_days 2, timeframe 5m",
        ),
    ],
    ids=["pair", "symbol", "universe by its days", "universe"],
)
def test_other_parameters_take_no_default_results_place(
    growing_lake: Settings,
    about: tuple[str, ...],
    options: tuple[str, ...],
    own: str,
    named: str,
) -> None:
    order = ("report", *about, "--date", "2024-08-09")
    default = made(run(*order))
    before, kept = default.read_bytes(), scans(growing_lake)
    page = made(run(*order, *options))
    assert page.parent.name == own
    assert f"parameters</dt><dd>{named}<" in page.read_text("utf-8")
    assert f"({named})" in page.with_suffix(".json").read_text("utf-8")
    assert default.read_bytes() == before
    assert scans(growing_lake) == kept


def test_the_pair_page_takes_thin_bars_out_where_the_settings_do(
    growing_lake: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = ("report", "pair", "BTCUSDT/ETHUSDT", "--date", "2024-08-08")
    assert "Thin bars taken out" not in made(run(*order)).read_text("utf-8")
    with lake.connect(read_only=True, settings=growing_lake) as connection:
        now = lake.current_snapshot(connection)
    filtering = growing_lake.model_copy(update={"pair_liquidity_filter": True})
    monkeypatch.setattr(settings_module, "get", lambda: filtering)
    page, past = made(run(*order)), made(run(*order, "--snapshot", str(now)))
    assert page.parent.name == "BTCUSDT-ETHUSDT"
    (removed,) = set(re.findall(r"Thin bars taken out</dt><dd>([^<]+)<", page.read_text("utf-8")))
    assert f"Thin bars taken out</dt><dd>{removed}<" in past.read_text("utf-8")


def test_watch_makes_the_page_again_when_trades_land_and_not_otherwise(
    growing_lake: Settings,
) -> None:
    other_commit = (
        "insert into analytics.reconciliations select now()::timestamp, 'binance', 'BTCUSDT',"
        " '1m', now()::timestamp, now()::timestamp, 1, 0, '', 0, 1, 'test'"
    )
    later_trades = (
        "insert into raw.ticks select venue, symbol, max(trade_id) + 1, max(ts) + interval 2 second"
        ", max(received_at), max_by(price, ts), 1.0, false from raw.ticks group by venue, symbol"
    )
    commits = iter([other_commit, later_trades])
    waited = []

    def wait() -> None:
        waited.append(next(commits))
        with lake.connect(settings=growing_lake) as connection:
            connection.execute(waited[-1])

    followed = report.follow(growing_lake, Pair("BTCUSDT", "ETHUSDT"), "1s", wait=wait)
    first = next(followed).summary
    second = next(followed).summary
    assert waited == [other_commit, later_trades]
    assert second.snapshot > first.snapshot
    assert second.metrics["bars"] > first.metrics["bars"]  # type: ignore[operator]


def test_a_page_of_a_past_snapshot_is_made_from_the_ticks_of_then(growing_lake: Settings) -> None:
    with lake.connect(settings=growing_lake) as connection:
        row = connection.execute("select max(snapshot_id) from raw.ticks").fetchone()
        assert row is not None
        then = row[0]
        connection.execute(
            "insert into raw.ticks select venue, symbol, trade_id + 1000000, ts, received_at,"
            " price * 1.5, quantity, is_buyer_maker from raw.ticks where ts < '2024-08-09' limit 9"
        )
    order = ("report", "pair", "BTCUSDT/ETHUSDT", "--date", "2024-08-08")
    now = made(run(*order)).read_text("utf-8")
    path = made(run(*order, "--snapshot", str(then)))
    once = path.read_bytes()
    assert made(run(*order, "--snapshot", str(then))).read_bytes() == once
    assert path.parent.name == f"BTCUSDT-ETHUSDT.snapshot-{then}"
    assert read_tables(once.decode())["liquidity-legs"]["Trades"] == ["9,738", "6,098"]
    assert read_tables(now)["liquidity-legs"]["Trades"] != ["9,738", "6,098"]
    with pytest.raises(ValueError, match="needs --date"):
        run("report", "pair", "BTCUSDT/ETHUSDT", "--snapshot", str(then))
