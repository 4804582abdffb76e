"""Settings: where values come from, and how wrong ones are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from quant_pipeline import settings as settings_module
from quant_pipeline.commands import lake as lake_commands
from quant_pipeline.settings import ROOT, Pair, SettingsError, load, timeframe_seconds


@pytest.fixture
def toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty settings file that the process reads instead of the repository's."""
    file = tmp_path / "quant.toml"
    file.touch()
    monkeypatch.setenv("QUANT_CONFIG", str(file))
    return file


@pytest.mark.usefixtures("toml")
def test_defaults_are_a_working_pipeline() -> None:
    settings = load()
    assert settings.home == ROOT / "data"
    assert settings.symbols == ("BTCUSDT", "ETHUSDT")
    assert settings.pairs == (Pair("BTCUSDT", "ETHUSDT"),)


def test_environment_wins_over_file_over_default(
    toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml.write_text('flush_interval_s = 2.5\nsymbols = ["SOLUSDT", "BTCUSDT"]\n')
    monkeypatch.setenv("QUANT_FLUSH_INTERVAL_S", "0.5")
    settings = load()
    assert settings.flush_interval_s == 0.5
    assert settings.symbols == ("SOLUSDT", "BTCUSDT")
    assert settings.dagster_port == 3000


@pytest.mark.usefixtures("toml")
def test_lists_are_written_with_commas_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANT_SYMBOLS", "BTCUSDT, ETHUSDT,SOLUSDT")
    monkeypatch.setenv("QUANT_PAIRS", "BTCUSDT/SOLUSDT,ETHUSDT-BTCUSDT")
    settings = load()
    assert settings.symbols == ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    assert [str(pair) for pair in settings.pairs] == ["BTCUSDT/SOLUSDT", "ETHUSDT/BTCUSDT"]


@pytest.mark.usefixtures("toml")
def test_one_symbol_alone_needs_no_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANT_SYMBOLS", "BTCUSDT")
    assert load().pairs == ()


def test_relative_home_is_anchored_at_the_repository(
    toml: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    toml.write_text('home = "elsewhere"\n')
    monkeypatch.chdir(tmp_path)
    assert load().home == ROOT / "elsewhere"


@pytest.mark.parametrize("name", ["data_path", "archive_path"])
@pytest.mark.parametrize(
    ("value", "means"),
    [
        ("elsewhere/files", str(ROOT / "elsewhere/files")),
        ("~/files", str(Path.home() / "files")),
        ("/srv/files", "/srv/files"),
        ("file:///srv/files", "/srv/files"),
        ("s3://bucket/files", "s3://bucket/files"),
        ("", ""),
    ],
)
def test_folders_of_files_are_anchored_at_the_repository_and_addresses_are_kept(
    toml: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str, means: str
) -> None:
    toml.write_text(f'{name} = "{value}"\n')
    monkeypatch.chdir(tmp_path)
    assert getattr(load(), name) == means


@pytest.mark.usefixtures("toml")
@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("QUANT_SYMBLS", "BTCUSDT", "did you mean 'symbols'"),
        ("QUANT_SYMBOLS", "BTC-USDT,ETHUSDT", "did you mean 'BTCUSDT'"),
        ("QUANT_SYMBOLS", "'; DROP TABLE", 'symbol "\'; DROP TABLE" is not 2 to 20'),
        ("QUANT_SYMBOLS", "", "at least 1"),
        ("QUANT_FLUSH_INTERVAL_S", "-1", "'flush_interval_s': Input should be greater than 0"),
        ("QUANT_PAIRS", "BTCUSDT", "is not two different symbols"),
        ("QUANT_PAIRS", "BTCUSDT/BTCUSDT", "is not two different symbols"),
        ("QUANT_PAIRS", "BTCUSDT/SOLUSDT", "needs 'SOLUSDT', which is not in symbols"),
        ("QUANT_TIMEFRAMES", "1m,5m", "pair_timeframe '1s' is not in timeframes"),
        ("QUANT_TIMEFRAMES", "7m", "'7m'"),
        ("QUANT_DAGSTER_PORT", "70000", "'dagster_port'"),
    ],
)
def test_malformed_values_are_one_readable_line(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as refused:
        load()
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_unknown_key_in_the_file_names_file_and_remedy(toml: Path) -> None:
    toml.write_text('symbol = "BTCUSDT"\n')
    with pytest.raises(
        SettingsError, match=r"unknown setting 'symbol' in .*quant\.toml.*'symbols'"
    ):
        load()


def test_broken_toml_names_the_file(toml: Path) -> None:
    toml.write_text("symbols = [")
    with pytest.raises(SettingsError, match=r"quant\.toml is not valid TOML"):
        load()


def test_a_timeframe_that_does_not_exist_is_refused_by_name() -> None:
    assert timeframe_seconds("5m") == 300
    with pytest.raises(ValueError, match="timeframe '2m' does not exist; choose from 1s, 1m"):
        timeframe_seconds("2m")


def test_every_setting_is_described() -> None:
    undescribed = [
        name
        for name, field in settings_module.Settings.model_fields.items()
        if not field.description
    ]
    assert undescribed == []


@pytest.mark.usefixtures("toml")
def test_alert_addresses_are_parted_by_spaces_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QUANT_ALERT_URLS", "slack://t0ken/a,b json://127.0.0.1/t0ken")
    settings = load()
    assert [url.get_secret_value() for url in settings.alert_urls] == [
        "slack://t0ken/a,b",
        "json://127.0.0.1/t0ken",
    ]
    assert "t0ken" not in f"{settings!r} {settings.model_dump_json()}"
    settings_module.get.cache_clear()
    try:
        lake_commands.config()
    finally:
        settings_module.get.cache_clear()
    printed = capsys.readouterr().out
    assert "# alert_urls is set and secret" in printed
    assert "t0ken" not in printed


def test_a_malformed_alert_address_is_refused_without_showing_it(toml: Path) -> None:
    toml.write_text('alert_urls = [{t0ken = "t0ken"}]\n')
    with pytest.raises(SettingsError, match="expected a list of addresses") as refused:
        load()
    assert "t0ken" not in str(refused.value)
