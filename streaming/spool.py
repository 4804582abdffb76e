"""Batches that the lake cannot take yet, as files: Arrow IPC, checksummed, in order.

A file is the Arrow stream followed by its SHA-256. It is written beside its name, flushed to the
disk and renamed, so a name is always a whole file; the checksum tells a file that the disk damaged
later. The batch keeps its (writer, sequence): a batch that had landed before a crash is recognised.

A batch whose landing ended the worker has a file beside it that says so, a line each time. After
three it is moved aside: one batch that a bug chokes on must not keep all others from the lake.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyarrow as pa

from streaming.batch import TICK_SCHEMA, Batch, SessionRow
from streaming.gaps import GapChanges

_DIGEST_BYTES = 32
_SUFFIX = ".arrow"
_MAX_FAILURES = 3
_KEY = b"quant.batch"


class SpoolFullError(OSError):
    """The disk, or the part of it that the setting allows, is full."""


class DamagedSpoolError(ValueError):
    """A spooled file cannot be read as a batch, or never lands; it was moved aside."""


class _Header(msgspec.Struct):
    writer: str
    sequence: int
    sealed_us: int
    gaps: GapChanges
    sessions: tuple[SessionRow, ...]


class Spool:
    """A folder of batches, oldest first.

    Args:
        folder: made when first needed.
        max_bytes: refuse to grow beyond this.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._sizes = {path.name: path.stat().st_size for path in folder.glob(f"*{_SUFFIX}")}

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def bytes(self) -> int:
        """Bytes of all spooled files."""
        return sum(self._sizes.values())

    def put(self, batch: Batch) -> Path:
        """Write a batch to disk; returns its file.

        Raises:
            SpoolFullError: it does not fit; nothing is left behind.
        """
        content = encode(batch)
        if self.bytes + len(content) > self._max_bytes:
            raise SpoolFullError(
                errno.EDQUOT,
                f"spool {self._folder} holds {self.bytes:,} bytes and may hold "
                f"{self._max_bytes:,}: raise setting 'spool_max_mb' or bring the lake back",
            )
        # Sorted by name is sorted by age, across restarts of the worker.
        name = f"{batch.sealed_us:020d}-{batch.writer}-{batch.sequence:010d}{_SUFFIX}"
        path = self._folder / name
        partial = path.with_suffix(".partial")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise SpoolFullError(
                error.errno, f"spool {self._folder} cannot be written: {error.strerror}"
            ) from error
        self._sizes[name] = len(content)
        return path

    def files(self) -> Iterator[Path]:
        """Spooled files, oldest first."""
        for name in sorted(self._sizes):
            yield self._folder / name

    def read(self, path: Path) -> Batch:
        """Read a file back.

        Raises:
            DamagedSpoolError: it is no batch of this version (it now ends in `.damaged`), or gone,
                or its landing has ended the worker three times (it now ends in `.refused`).
        """
        failures = _lines(_failures_of(path))
        if len(failures) >= _MAX_FAILURES:
            path.rename(path.with_suffix(".refused"))
            self.remove(path)
            raise DamagedSpoolError(f"{len(failures)} times its landing failed: {failures[-1]}")
        try:
            return decode(path.read_bytes())
        except FileNotFoundError as error:
            self._sizes.pop(path.name, None)
            raise DamagedSpoolError(f"{path.name} is gone") from error
        except DamagedSpoolError:
            path.rename(path.with_suffix(".damaged"))
            self._sizes.pop(path.name, None)
            raise

    def remove(self, path: Path) -> None:
        """Forget a file whose batch has landed."""
        path.unlink(missing_ok=True)
        _failures_of(path).unlink(missing_ok=True)
        self._sizes.pop(path.name, None)

    def blame(self, path: Path, error: BaseException) -> None:
        """Note that the landing of this file's batch ended the worker."""
        with _failures_of(path).open("a", encoding="utf-8") as file:
            file.write(" ".join(repr(error).split()) + "\n")


def _failures_of(path: Path) -> Path:
    return path.with_suffix(".failures")


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


def encode(batch: Batch) -> bytes:
    """A batch as bytes that prove themselves."""
    header = _Header(batch.writer, batch.sequence, batch.sealed_us, batch.gaps, batch.sessions)
    table = batch.ticks.replace_schema_metadata({_KEY: msgspec.json.encode(header)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    body: bytes = sink.getvalue().to_pybytes()
    return body + hashlib.sha256(body).digest()


def decode(content: bytes) -> Batch:
    """The batch that `encode` made bytes of; raises DamagedSpoolError on any other bytes."""
    body, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise DamagedSpoolError(f"{len(content)} bytes do not match their checksum")
    try:
        table = pa.ipc.open_stream(body).read_all()
        header = msgspec.json.decode((table.schema.metadata or {})[_KEY], type=_Header)
    except (pa.ArrowException, KeyError, msgspec.MsgspecError) as error:
        raise DamagedSpoolError(f"another version wrote it: {error!r}") from error
    ticks = table.replace_schema_metadata(None)
    if ticks.schema != TICK_SCHEMA:
        raise DamagedSpoolError(f"another version wrote it: columns {ticks.schema.names}")
    return Batch(
        header.writer, header.sequence, header.sealed_us, ticks, header.gaps, header.sessions
    )
