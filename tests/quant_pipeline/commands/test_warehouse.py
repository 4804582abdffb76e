"""The commands that keep the lake: what they print and how they exit."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from quant_pipeline import catalog, lake
from quant_pipeline import settings as settings_module
from quant_pipeline.cli import app
from quant_pipeline.settings import Settings

Quant = Callable[..., tuple[int, str]]

_WAITING = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
LINE = "{id},61837.63,0.02,1236.7526,{time},True,True\n"

# Another process that lands the same trades, twenty a commit, as the live worker would.
WRITER = """
from quant_pipeline import catalog, lake
connection = lake.connect()
for first in range(0, 2000, 20):
    connection.execute(
        "insert into raw.ticks select 'binance', 'BTCUSDT', 1000 + ? + r,"
        " make_timestamp(1723075200000000 + (? + r) * 1000000), now()::timestamp, 61837.63, 0.02,"
        " true from range(20) as t (r)", [first, first])
    if first == 0:
        print("started", flush=True)
"""


@pytest.fixture
def quant(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Quant]:
    """Run a command on the test's lake: exit code and all it printed."""
    monkeypatch.setenv("QUANT_HOME", str(settings.home))
    monkeypatch.setenv("QUANT_CATALOG_DSN", str(settings.catalog_dsn))
    settings_module.get.cache_clear()

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "250"})
        return result.exit_code, result.output + str(result.exception or "")

    yield run
    settings_module.get.cache_clear()


def write_day(folder: Path, trades: int) -> Path:
    path = folder / "BTCUSDT-trades-2024-08-08.csv"
    lines = [LINE.format(id=1000 + at, time=1723075200000 + at * 1000) for at in range(trades)]
    path.write_text("".join(lines))
    return path


def test_backfill_counts_new_duplicate_and_malformed_and_names_the_rejects_file(
    quant: Quant, settings: Settings, tmp_path: Path
) -> None:
    path = write_day(tmp_path, 100)
    path.write_text(path.read_text() + LINE.format(id=1, time="noon"))
    code, output = quant("backfill", "--files", str(tmp_path))
    assert code == 1
    row = next(line for line in output.splitlines() if path.name in line and "landed" in line)
    assert [word for word in row.split() if word.isdigit()] == ["100", "0", "1", "0"]
    (rejects,) = settings.rejects_dir.glob("backfill-*.csv")
    assert "time noon is not ms, µs or ns" in rejects.read_text()
    assert rejects.name in output.replace("\n", "")
    code, output = quant("backfill", "--files", str(path))
    assert (code, "already landed" in output, "1 rows were refused" in output) == (1, True, True)


def test_backfill_beside_a_writer_of_the_same_trades_loses_and_invents_nothing(
    quant: Quant, settings: Settings, tmp_path: Path
) -> None:
    path = write_day(tmp_path, 2000)
    lake.connect(settings=settings).close()
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER], env=os.environ.copy(), stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "started\n"
    code, output = quant("backfill", "--files", str(path))
    writer.communicate(timeout=120)
    assert writer.returncode == 0
    assert code == 0, output
    code, output = quant("backfill", "--files", str(path), "--again")
    assert code == 0, output
    with lake.connect(settings=settings) as connection:
        found = connection.execute(
            "select count(distinct trade_id), min(trade_id), max(trade_id), count(*) < 4000"
            " from raw.ticks"
        ).fetchone()
    assert found == (2000, 1000, 2999, True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "give --files, or --from and --to"),
        (("--files", "x.zip", "--from", "2024-08-08"), "not both"),
        (("--files", "x.zip", "--to", "2024-08-08"), "not both"),
        (("--files", "x.zip", "--rejects", "."), "is a folder; name a file"),
        (("--files", "x.zip", "--rejects", "/dev/null/x.csv"), "name another file with --rejects"),
        (("--from", "2024-08-09", "--to", "2024-08-08"), "is not after --from"),
        (("--from", "2024-08-09", "--symbol", "btc-usdt"), "did you mean 'BTCUSDT'"),
        (("--files", "x.csv", "--map", "cost=px"), "is not one of trade_id"),
        (("--from", "2024-08-08", "--map", "price=px"), "--map is for files"),
        (("--from", "2024-08-08", "--again"), "--again is for files"),
    ],
)
def test_backfill_says_what_is_wrong_with_its_options(
    quant: Quant, arguments: tuple[str, ...], says: str
) -> None:
    code, output = quant("backfill", *arguments)
    assert code == 1
    assert says in output


def test_backfill_takes_several_files_as_a_shell_expands_them(
    quant: Quant, settings: Settings, tmp_path: Path
) -> None:
    first = write_day(tmp_path, 10)
    folder = tmp_path / "more"
    folder.mkdir()
    write_day(folder, 20).rename(folder / "BTCUSDT-trades-2024-08.CSV")
    code, output = quant("backfill", "--files", str(first), str(folder))
    assert code == 0, output
    with lake.connect(settings=settings) as connection:
        assert connection.execute("select count(*) from raw.ticks").fetchone() == (20,)


def test_backfill_says_that_it_waits_for_another(settings: Settings, tmp_path: Path) -> None:
    path = write_day(tmp_path, 5)
    with lake.connect(settings=settings):
        pass
    environment = {
        **os.environ,
        "QUANT_HOME": str(settings.home),
        "QUANT_CATALOG_DSN": str(settings.catalog_dsn),
    }
    command = [sys.executable, "-c", "from quant_pipeline.cli import main; main()"]
    with catalog.advisory_lock(catalog.ensure(settings), "backfill"):
        second = subprocess.Popen(
            [*command, "backfill", "--files", str(path)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert second.stderr is not None
        assert "waiting for another backfill" in second.stderr.readline()
    second.communicate(timeout=120)
    assert second.returncode == 0


def test_maintain_shows_files_and_bytes_before_and_after(quant: Quant, settings: Settings) -> None:
    with lake.connect(settings=settings) as connection:
        for trade_id in range(5):
            connection.execute(
                "insert into raw.ticks values ('binance', 'BTCUSDT', ?, now()::timestamp,"
                " now()::timestamp, 1, 1, true)",
                [trade_id],
            )

    def ticks(output: str) -> list[str]:
        row = next(line for line in output.splitlines() if "raw.ticks" in line)
        return [word.replace(",", "") for word in row.split() if word[0].isdigit()]

    code, output = quant("maintain", "--dry-run", "--daily")
    assert code == 0
    assert "would be after" in output
    foreseen = ticks(output)
    code, output = quant("maintain")
    assert code == 0
    done = ticks(output)
    assert foreseen[:2] == done[:2] == ["5", "1"]
    assert int(done[3]) < int(done[2]) == int(foreseen[2])


def test_restore_of_a_day_that_is_not_archived_is_an_error(quant: Quant) -> None:
    code, output = quant("restore", "2024-08-08")
    assert code == 1
    assert "day 2024-08-08 is not archived" in output


def test_restore_says_what_it_waits_for(quant: Quant, settings: Settings) -> None:
    dsn = catalog.ensure(settings)
    with ThreadPoolExecutor(1) as pool:
        with catalog.advisory_lock(dsn, "backfill"), psycopg.connect(dsn, autocommit=True) as ours:
            answer = pool.submit(quant, "restore", "2024-08-08")
            deadline = time.monotonic() + 60
            while ours.execute(_WAITING).fetchone() == (0,) and not answer.done():
                assert time.monotonic() < deadline
                time.sleep(0.05)
        code, output = answer.result(60)
    assert "waiting for another backfill, restore or retention to end" in output
    assert "day 2024-08-08 is not archived" in output
    assert code == 1


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf"])
def test_maintenance_cannot_be_repeated_after_what_is_no_time(seconds: str) -> None:
    result = CliRunner().invoke(app, ["maintain", "--every", seconds])
    assert result.exit_code == 2
    assert "--every" in result.output
