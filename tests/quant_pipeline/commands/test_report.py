"""`quant report` and `quant export` as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from quant_pipeline import settings as settings_module
from quant_pipeline.cli import app
from quant_pipeline.settings import Settings

runner = CliRunner()


@pytest.fixture(autouse=True)
def _settings(
    recorded_lake: Settings,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The recorded lake, with reports in a folder of the test's own."""
    own = recorded_lake.model_copy(
        update={
            "home": tmp_path_factory.mktemp("home"),
            "data_path": str(recorded_lake.home / "lake"),
        }
    )
    monkeypatch.setattr(settings_module, "get", lambda: own)


def run(*arguments: str) -> str:
    result = runner.invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_pair_report_is_made_and_listed() -> None:
    output = run("report", "pair", "BTCUSDT/ETHUSDT", "--date", "2024-08-08")
    path = Path(output.split("\n")[-2])
    assert path.read_text("utf-8").startswith("<!doctype html>")
    assert "BTCUSDT-ETHUSDT" in run("report", "list", "btcusdt")


def test_without_a_date_the_latest_with_bars_is_taken() -> None:
    assert "2024-08-09.html" in run("report", "symbol", "ETHUSDT")


def test_quality_is_made() -> None:
    assert "quality/capture/2024-08-08.html" in run("report", "quality", "--date", "2024-08-08")


def test_a_date_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="date 'yesterday' is not a date"):
        run("report", "pair", "BTCUSDT/ETHUSDT", "--date", "yesterday")


def test_a_table_is_exported_in_every_format(tmp_path: Path) -> None:
    where = ("--where", "symbol = 'BTCUSDT'")
    parquet, csv, text = (tmp_path / f"bars.{ending}" for ending in ("parquet", "csv", "json"))
    for file in (parquet, csv, text):
        run("export", "bars.ohlc_1m", *where, "--to", str(file))
    expected = pl.read_parquet(parquet)
    assert expected.height == 12  # 23:54 to 00:05
    assert pl.read_csv(csv)["close"].to_list() == expected["close"].to_list()
    assert [row["close"] for row in json.loads(text.read_text())] == expected["close"].to_list()
    assert run("export", "bars.ohlc_1m", *where).count("\n") == 13


def test_an_unknown_table_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"'raw.ticks' cannot be exported.*bars\.ohlc_1m"):
        run("export", "raw.ticks")
