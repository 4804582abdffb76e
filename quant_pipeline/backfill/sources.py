"""The bytes of a backfill file as blocks of whole lines, as far as the file can be trusted.

A file is checked before any row of it is used: against its `.CHECKSUM` when there is one, and zip
members against the CRC-32 inside the archive. What is damaged at the end (a download that was cut)
still yields the lines before the damage.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Final

BLOCK_BYTES: Final = 16 << 20
"""Text handed on at once: about 200,000 trades, 100 MB of memory while they are checked."""

_READ = 1 << 20
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_LOCAL_MAGIC = b"PK\x03\x04"
_STORED, _DEFLATED = 0, 8


class UnreadableFileError(ValueError):
    """Nothing of the file can be used; the message names it and says what to do."""


@dataclass
class Damage:
    """What was found wrong with a file while it was read."""

    reason: str | None = None


@dataclass(frozen=True)
class Checksum:
    """A file's SHA-256 and what its `.CHECKSUM` says it should be (None: there is none)."""

    actual: str
    expected: str | None

    @property
    def matches(self) -> bool | None:
        """Whether they agree; None without a `.CHECKSUM`."""
        return None if self.expected is None else self.actual == self.expected


def checksum(path: Path) -> Checksum:
    """Digest the file and read the `.CHECKSUM` beside it (`<sha256>  <name>`), if any.

    Raises:
        UnreadableFileError: the file does not exist, or the `.CHECKSUM` holds no SHA-256.
    """
    if not path.is_file():
        raise UnreadableFileError(f"{path} is not a file")
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    beside = path.with_name(path.name + ".CHECKSUM")
    if not beside.is_file():
        return Checksum(actual, None)
    words = beside.read_text(errors="replace").split()
    expected = words[0].lower() if words else ""
    if len(expected) != 64 or set(expected) - set("0123456789abcdef"):
        raise UnreadableFileError(
            f"{beside} holds no SHA-256 (it starts with {expected[:20]!r}); download it again, "
            "or remove it to read the file unverified"
        )
    return Checksum(actual, expected)


def blocks(path: Path, damage: Damage, *, block_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Yield the text of a .zip, .gz or plain file in blocks that end at line ends.

    Args:
        path: the file.
        damage: filled in if the file turns out to be damaged after the blocks yielded so far; an
            incomplete last line is then left out.
        block_bytes: size of a block; the last is smaller.

    Raises:
        UnreadableFileError: not a single line can be trusted.
    """
    rest = b""
    pending: list[bytes] = []
    size = 0
    for piece in _pieces(path, damage, min(_READ, block_bytes)):
        pending.append(piece)
        size += len(piece)
        if size < block_bytes:
            continue
        whole, newline, rest = b"".join(pending).rpartition(b"\n")
        if newline:
            yield whole + newline
        pending, size = [rest], len(rest)
    last = b"".join(pending)
    if damage.reason:
        last = last[: last.rfind(b"\n") + 1]
    if last:
        yield last


def text_bytes(path: Path) -> int:
    """Size of the file's text once unpacked, for the progress bar (for .gz: of the file itself)."""
    if path.suffix.lower() == ".zip":
        try:
            with zipfile.ZipFile(path) as archive:
                return sum(info.file_size for info in archive.infolist())
        except (zipfile.BadZipFile, NotImplementedError, OSError):
            pass  # told when the file is read
    return path.stat().st_size


def _pieces(path: Path, damage: Damage, size: int) -> Iterator[bytes]:
    if path.suffix.lower() == ".zip":
        yield from _zip_pieces(path, damage, size)
    elif path.suffix.lower() == ".gz":
        yield from _gzip_pieces(path, damage, size)
    else:
        with path.open("rb") as file:
            yield from iter(lambda: file.read(size), b"")


def _gzip_pieces(path: Path, damage: Damage, size: int) -> Iterator[bytes]:
    try:
        with gzip.open(path) as file:
            yield from iter(lambda: file.read(size), b"")
    except (EOFError, OSError, zlib.error) as error:
        damage.reason = f"the file is cut or damaged ({error}): the rows after that are missing"


def _zip_pieces(path: Path, damage: Damage, size: int) -> Iterator[bytes]:
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        yield from _cut_zip_pieces(path, damage, size)
        return
    except NotImplementedError as error:  # made by a later version of the format
        raise UnreadableFileError(
            f"{path} cannot be unpacked ({error}); unpack it first"
        ) from error
    with archive:
        members = [info for info in archive.infolist() if _is_csv(info.filename)]
        if len(members) != 1:
            names = ", ".join(archive.namelist()[:5]) or "nothing"
            raise UnreadableFileError(
                f"{path} should hold one .csv and holds {names}; unpack it and give the .csv"
            )
        _verify_member(path, archive, members[0])
        with archive.open(members[0]) as file:
            yield from iter(lambda: file.read(size), b"")


def _is_csv(member: str) -> bool:
    """Whether a member is a .csv, and not what macOS puts beside it (`__MACOSX/._a.csv`)."""
    path = PurePosixPath(member)
    hidden = "__MACOSX" in path.parts or path.name.startswith("._")
    return path.suffix.lower() == ".csv" and not hidden


def _verify_member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Read the member once against its CRC-32: a wrong bit may be in any row, so none is used."""
    try:
        with archive.open(member) as file:
            while file.read(_READ):
                pass
    except RuntimeError as error:  # encrypted, or packed by a method unknown here
        raise UnreadableFileError(
            f"{path} cannot be unpacked ({error}); unpack it first"
        ) from error
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError) as error:
        raise UnreadableFileError(
            f"{path} is corrupt inside ({error}): no row of it can be told right from wrong; "
            "download it again"
        ) from error


def _cut_zip_pieces(path: Path, damage: Damage, size: int) -> Iterator[bytes]:
    """The text of a zip that was cut: its directory is gone, its data up to there is not."""
    with path.open("rb") as file:
        header = file.read(_LOCAL_HEADER.size)
        if len(header) < _LOCAL_HEADER.size or not header.startswith(_LOCAL_MAGIC):
            raise UnreadableFileError(f"{path} is not a zip file; download it again")
        fields = _LOCAL_HEADER.unpack(header)
        method, name_bytes, extra_bytes = fields[3], fields[9], fields[10]
        file.seek(name_bytes + extra_bytes, 1)
        damage.reason = "the zip file is cut: the rows after its end are missing; download it again"
        if method == _DEFLATED:
            yield from _inflate(file, size)
        elif method == _STORED:
            yield from iter(lambda: file.read(size), b"")
        else:
            raise UnreadableFileError(f"{path} is cut and packed by method {method}, not deflate")


def _inflate(file: IO[bytes], size: int) -> Iterator[bytes]:
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    while not inflater.eof and (packed := file.read(size)):
        try:
            yield inflater.decompress(packed)
        except zlib.error:
            return
