"""Extensions are loaded from wheels, each checked once in a process, and no other is."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from quant_pipeline import extensions, lake
from quant_pipeline.settings import Settings


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the wheel's file that `load` takes instead."""
    copy = tmp_path / "ducklake.duckdb_extension"
    shutil.copyfile(extensions._wheel_file("ducklake"), copy)
    monkeypatch.setattr(extensions, "_wheel_file", lambda _name: copy)
    return copy


def tamper(file: Path) -> None:
    """Change one byte in the middle."""
    with file.open("r+b") as content:
        content.seek(file.stat().st_size // 2)
        (byte,) = content.read(1)
        content.seek(-1, 1)
        content.write(bytes([byte ^ 1]))


def load(cache: Path) -> None:
    with duckdb.connect(":memory:", config=extensions.CONFIG) as connection:
        extensions.load(connection, "ducklake", cache=cache)


def test_a_file_that_nobody_signed_is_refused(wheel: Path, tmp_path: Path) -> None:
    tamper(wheel)
    with pytest.raises(duckdb.Error, match="signature"):
        load(tmp_path)


def test_a_file_is_checked_once_and_again_when_it_has_changed(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(tmp_path)
    with (
        duckdb.connect(":memory:", config=extensions.CONFIG) as connection,
        monkeypatch.context() as m,
    ):
        m.setattr(duckdb, "connect", None)  # a check would need a DuckDB of its own
        extensions.load(connection, "ducklake", cache=tmp_path)
    tamper(wheel)
    with pytest.raises(duckdb.Error, match="signature"):
        load(tmp_path)


def test_a_lake_takes_no_unsigned_extension_afterwards(settings: Settings, tmp_path: Path) -> None:
    unsigned = tmp_path / "httpfs.duckdb_extension"
    shutil.copyfile(extensions._wheel_file("httpfs"), unsigned)
    tamper(unsigned)
    with lake.connect(settings=settings) as connection:
        with pytest.raises(duckdb.Error, match="signature"):
            connection.execute(f"LOAD '{unsigned}'")
        with pytest.raises(duckdb.Error, match="while database is running"):
            connection.execute("SET allow_unsigned_extensions = true")
