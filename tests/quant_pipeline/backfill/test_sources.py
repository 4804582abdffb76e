"""Bytes become whole lines, as far as the file can be trusted, wherever it was cut."""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quant_pipeline.backfill.layouts import ArchiveName, detect, parse_mapping
from quant_pipeline.backfill.sources import (
    Damage,
    UnreadableFileError,
    blocks,
    checksum,
    text_bytes,
)

LINES = [f"{3735683259 + at},{61837 + at % 97}.5,0.0{at % 89}\n".encode() for at in range(3000)]
TEXT = b"".join(LINES)


def zipped(text: bytes = TEXT, names: tuple[str, ...] = ("a.csv",)) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, text)
    return buffer.getvalue()


quiet = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)


@given(keep=st.floats(0.01, 0.999), block_bytes=st.integers(100, 20_000))
@settings(max_examples=60, suppress_health_check=quiet)
@pytest.mark.parametrize("kind", ["zip", "gz"])
def test_file_cut_anywhere_gives_a_beginning_of_whole_lines(
    tmp_path: Path, kind: str, keep: float, block_bytes: int
) -> None:
    whole = zipped() if kind == "zip" else gzip.compress(TEXT)
    path = tmp_path / f"cut.csv.{kind}"
    path.write_bytes(whole[: int(len(whole) * keep)])
    damage = Damage()
    try:
        text = b"".join(blocks(path, damage, block_bytes=block_bytes))
    except UnreadableFileError:
        assert int(len(whole) * keep) < 40, "only a file without a header is no zip file"
        return
    assert damage.reason is not None
    assert TEXT.startswith(text)
    assert not text or text.endswith(b"\n")


@given(block_bytes=st.integers(1, 100_000))
@settings(max_examples=30, suppress_health_check=quiet)
def test_blocks_end_at_line_ends_and_add_up(tmp_path: Path, block_bytes: int) -> None:
    path = tmp_path / "whole.csv"
    path.write_bytes(TEXT[:-1])  # the last line has no line end
    damage = Damage()
    found = list(blocks(path, damage, block_bytes=block_bytes))
    assert damage.reason is None
    assert b"".join(found) == TEXT[:-1]
    assert all(block.endswith(b"\n") for block in found[:-1])


def test_zip_must_hold_one_csv(tmp_path: Path) -> None:
    path = tmp_path / "two.zip"
    path.write_bytes(zipped(names=("a.csv", "b.csv")))
    with pytest.raises(UnreadableFileError, match=r"holds a\.csv, b\.csv"):
        list(blocks(path, Damage()))


def test_checksum_is_read_from_beside_the_file(tmp_path: Path) -> None:
    path, beside = tmp_path / "a.zip", tmp_path / "a.zip.CHECKSUM"
    path.write_bytes(b"abc")
    assert checksum(path).matches is None
    beside.write_text(hashlib.sha256(b"abc").hexdigest().upper() + "  a.zip\n")
    assert checksum(path).matches is True
    beside.write_text("0" * 64)
    assert checksum(path).matches is False
    beside.write_text("<html>")
    with pytest.raises(UnreadableFileError, match="holds no SHA-256"):
        checksum(path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("BTCUSDT-trades-2024-08-08.zip", ArchiveName("BTCUSDT", "trades", "2024-08-08")),
        ("1INCHUSDT-aggTrades-2024-08.zip", ArchiveName("1INCHUSDT", "agg_trades", "2024-08")),
        ("ETHUSDT-trades-2024-08-08.csv.gz", ArchiveName("ETHUSDT", "trades", "2024-08-08")),
        ("mine.csv", None),
    ],
)
def test_archive_names(name: str, expected: ArchiveName | None) -> None:
    assert ArchiveName.parse(Path(name)) == expected


def test_header_with_two_candidates_asks_which() -> None:
    names = ("id", "price", "qty", "size", "time", "side")
    with pytest.raises(UnreadableFileError, match="two columns for quantity: 'qty' and 'size'"):
        detect(Path("x.csv"), names, kind="trades", mapping={}, is_archive=False)
    layout = detect(
        Path("x.csv"), names, kind="trades", mapping={"quantity": "size"}, is_archive=False
    )
    assert layout.positions["quantity"] == 3


@pytest.mark.parametrize(
    "text", ["price", "price=", "cost=px", "price=1,quantity=1", "price=1,price=2"]
)
def test_mapping_that_maps_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="--map"):
        parse_mapping(text)


def test_suffixes_in_capitals_are_the_same_files(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-trades-2024-08-08.ZIP"
    path.write_bytes(zipped())
    assert b"".join(blocks(path, Damage())) == TEXT
    assert text_bytes(path) == len(TEXT)
    assert ArchiveName.parse(path) == ArchiveName("BTCUSDT", "trades", "2024-08-08")
    packed = tmp_path / "x.CSV.GZ"
    packed.write_bytes(gzip.compress(TEXT))
    assert b"".join(blocks(packed, Damage())) == TEXT


def test_what_macos_adds_to_a_zip_is_no_member(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(zipped(names=("a.csv", "__MACOSX/._a.csv", "._a.csv")))
    assert b"".join(blocks(path, Damage())) == TEXT
