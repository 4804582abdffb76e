"""Spooled batches come back whole, in order, or not at all."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_landing import SEALED_US, batch

from streaming.batch import SessionRow
from streaming.gaps import GapChanges, GapKey, GapRow
from streaming.spool import DamagedSpoolError, Spool, SpoolFullError, decode, encode

FULL = batch(
    3,
    gaps=GapChanges(
        (GapKey("BTCUSDT", 1, 2),), (GapRow("BTCUSDT", 1, 2, 3, "stream", "repaired", 4, 2),)
    ),
    sessions=(SessionRow("s1", "wss://x", ("BTCUSDT", "ETHUSDT"), 1, None, None, 0),),
)


def test_a_batch_survives_the_disk() -> None:
    back = decode(encode(FULL))
    assert back == FULL
    assert back.ticks.schema == FULL.ticks.schema


@given(st.integers(0, len(encode(FULL)) - 1), st.integers(1, 255))
def test_any_damage_is_noticed(at: int, change: int) -> None:
    content = bytearray(encode(FULL))
    content[at] ^= change
    with pytest.raises(DamagedSpoolError):
        decode(bytes(content))


def with_checksum(ticks: pa.Table, header: dict[bytes, bytes] | None) -> bytes:
    """A whole file, as a version with another header or other columns would have written it."""
    table = ticks.replace_schema_metadata(header)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    body = sink.getvalue().to_pybytes()
    return body + hashlib.sha256(body).digest()


def header_of(content: bytes) -> dict[bytes, bytes]:
    metadata: dict[bytes, bytes] = pa.ipc.open_stream(content).schema.metadata
    return metadata


@pytest.mark.parametrize(
    "content",
    [
        hashlib.sha256(b"").digest(),
        b"no Arrow" + hashlib.sha256(b"no Arrow").digest(),
        with_checksum(FULL.ticks, None),
        with_checksum(FULL.ticks, {b"quant.lot": b"{}"}),
        with_checksum(FULL.ticks, {b"quant.batch": b'{"writer": "w1", "sequence": 3}'}),
        with_checksum(FULL.ticks, {b"quant.batch": b"not JSON"}),
        with_checksum(FULL.ticks.drop_columns(["received_at"]), header_of(encode(FULL))),
    ],
    ids=["empty", "no Arrow", "no header", "other key", "other fields", "no JSON", "other columns"],
)
def test_what_another_version_wrote_is_damaged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "0.arrow"
    path.write_bytes(content)
    spool = Spool(tmp_path, 10**9)
    with pytest.raises(DamagedSpoolError):
        spool.read(path)
    assert path.with_suffix(".damaged").exists()
    assert len(spool) == 0


def test_a_file_of_this_version_is_not_another_version() -> None:
    assert decode(with_checksum(FULL.ticks, header_of(encode(FULL)))) == FULL


def test_batches_come_back_in_order_after_a_restart(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 10**9)
    for sequence in (1, 0, 2):
        spool.put(batch(sequence))
    again = Spool(tmp_path / "spool", 10**9)
    assert len(again) == 3
    assert again.bytes == spool.bytes
    assert [again.read(path).sequence for path in again.files()] == [0, 1, 2]
    for path in list(again.files()):
        again.remove(path)
    assert again.bytes == 0
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_full_spool_refuses_and_leaves_nothing_behind(tmp_path: Path) -> None:
    size = len(encode(batch(0)))
    spool = Spool(tmp_path / "spool", 2 * size + 10)
    spool.put(batch(0))
    spool.put(batch(1))
    with pytest.raises(SpoolFullError, match="spool_max_mb") as caught:
        spool.put(batch(2))
    assert caught.value.errno == errno.EDQUOT
    assert len(list((tmp_path / "spool").iterdir())) == 2


def test_a_disk_that_refuses_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file where the folder should be")
    with pytest.raises(SpoolFullError, match="cannot be written"):
        Spool(tmp_path / "spool", 10**9).put(batch(0))


def test_a_disk_without_room_is_a_clear_error(tmp_path: Path) -> None:
    # Where the file would be written there is a device that is always full.
    name = f"{SEALED_US:020d}-w1-{0:010d}.partial"
    (tmp_path / name).symlink_to("/dev/full")
    with pytest.raises(SpoolFullError, match="No space left on device") as caught:
        Spool(tmp_path, 10**9).put(batch(0))
    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_moved_aside(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 10**9)
    path = spool.put(batch(0))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedSpoolError):
        spool.read(path)
    assert path.with_suffix(".damaged").exists()
    assert len(spool) == 0
