"""A file's rows in frames: one reader for text (zip, gz, csv) and one for Parquet."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from quant_pipeline.backfill.layouts import Kind, Layout, detect
from quant_pipeline.backfill.sources import BLOCK_BYTES, Damage, UnreadableFileError, blocks

_PARQUET_ROWS: Final = 200_000


@dataclass(frozen=True)
class Reading:
    """How one file is to be read.

    Attributes:
        symbol: of every row, unless the file has a column for it; None: it must have one.
        mapping: ours → theirs, over what the header says.
        is_archive: named as the exchange's archive names its files.
        skip: rows at the beginning that an earlier run committed.
    """

    path: Path
    kind: Kind
    symbol: str | None
    mapping: Mapping[str, str]
    is_archive: bool
    skip: int = 0
    block_bytes: int = BLOCK_BYTES


@dataclass(frozen=True)
class Chunk:
    """Some rows: what can be judged, and what has not even the right number of columns.

    Attributes:
        raw: our columns, `symbol`, `row` (from 1, the header not counted) and `text`.
        broken: `row`, `reason`, `text`.
        rows_read: of the file, this chunk included.
        text_bytes: size of this chunk's text, for progress.
    """

    raw: pl.DataFrame
    broken: pl.DataFrame
    rows_read: int
    text_bytes: int


def chunks(reading: Reading, damage: Damage) -> Iterator[Chunk]:
    """Read a file in chunks of some 200,000 rows.

    Raises:
        UnreadableFileError: the file, or its columns, cannot be made out.
    """
    if reading.path.suffix.lower() == ".parquet":
        return _parquet_chunks(reading)
    return _text_chunks(reading, damage)


def _text_chunks(reading: Reading, damage: Damage) -> Iterator[Chunk]:
    layout: Layout | None = None
    rows_read = 0
    for number, block in enumerate(blocks(reading.path, damage, block_bytes=reading.block_bytes)):
        if number == 0:
            block = _utf8(reading.path, block)
        lines = [line for line in block.decode(errors="replace").splitlines() if line.strip()]
        if not lines:
            continue
        if layout is None:
            _check_separator(reading.path, lines[0])
            layout = detect(
                reading.path,
                lines[0].split(","),
                kind=reading.kind,
                mapping=reading.mapping,
                is_archive=reading.is_archive,
            )
            del lines[: layout.has_header]
        first, rows_read = rows_read + 1, rows_read + len(lines)
        if rows_read <= reading.skip:
            continue
        if first <= reading.skip:
            del lines[: reading.skip + 1 - first]
            first = reading.skip + 1
        yield _split(lines, first, len(block), reading, layout)


def _utf8(path: Path, block: bytes) -> bytes:
    """The beginning of a file without its byte order mark."""
    beginning = block[:200]
    if beginning.count(0) > len(beginning) // 4:
        raise UnreadableFileError(
            f"{path} is UTF-16, or no text at all; re-encode it, as in "
            "iconv -f UTF-16 -t UTF-8 old.csv > new.csv"
        )
    return block.removeprefix(codecs.BOM_UTF8)


def _check_separator(path: Path, line: str) -> None:
    for separator, name in ((";", "';'"), ("\t", "a tab"), ("|", "'|'")):
        if line.count(separator) > max(1, line.count(",")):
            raise UnreadableFileError(
                f"{path} has columns separated by {name}; write it with commas between columns "
                "and a point before decimals"
            )


def _split(
    lines: list[str], first: int, text_bytes: int, reading: Reading, layout: Layout
) -> Chunk:
    frame = pl.DataFrame(
        {"text": lines, "row": range(first, first + len(lines))},
        schema={"text": pl.String, "row": pl.Int64},
    ).with_columns(pl.col("text").str.split(",").alias("fields"))
    fits = pl.col("fields").list.len() == layout.width
    broken = frame.filter(~fits).select(
        "row",
        pl.format("{} columns instead of {}", pl.col("fields").list.len(), layout.width).alias(
            "reason"
        ),
        "text",
    )
    raw = frame.filter(fits).select(
        *(
            pl.col("fields").list.get(at).str.strip_chars(' \t"').alias(name)
            for name, at in layout.positions.items()
        ),
        "row",
        "text",
    )
    return Chunk(_with_symbol(raw, reading), broken, first + len(lines) - 1, text_bytes)


def _parquet_chunks(reading: Reading) -> Iterator[Chunk]:
    try:
        file = pq.ParquetFile(reading.path)
    except (pa.ArrowInvalid, OSError) as error:
        raise UnreadableFileError(f"{reading.path} is not a whole Parquet file: {error}") from error
    with file:
        names = list(file.schema_arrow.names)
        layout = detect(
            reading.path,
            names,
            kind=reading.kind,
            mapping=reading.mapping,
            is_archive=False,
            always_header=True,
        )
        wanted = {name: names[at] for name, at in layout.positions.items()}
        for ours, at in layout.positions.items():
            _check_type(reading.path, ours, file.schema_arrow.field(at))
        size = reading.path.stat().st_size
        total = max(file.metadata.num_rows, 1)
        rows_read = 0
        for batch in file.iter_batches(_PARQUET_ROWS, columns=list(set(wanted.values()))):
            first, rows_read = rows_read + 1, rows_read + batch.num_rows
            if rows_read <= reading.skip:
                continue
            frame = pl.DataFrame(pl.from_arrow(pa.Table.from_batches([batch])))
            frame = frame.with_columns(pl.col(pl.Categorical).cast(pl.String))
            raw = frame.select(
                *(pl.col(theirs).alias(ours) for ours, theirs in wanted.items()),
                pl.int_range(first, rows_read + 1, dtype=pl.Int64).alias("row"),
                pl.struct(pl.all()).alias("text"),
            ).filter(pl.col("row") > reading.skip)
            empty = pl.DataFrame(schema={"row": pl.Int64, "reason": pl.String, "text": pl.String})
            share = size * batch.num_rows // total
            yield Chunk(_with_symbol(raw, reading), empty, rows_read, share)


def _check_type(path: Path, ours: str, field: pa.Field) -> None:
    """Refuse a column whose values cannot be what they are to be, before any is read."""
    kind = field.type.value_type if types.is_dictionary(field.type) else field.type
    fits = types.is_null(kind) or types.is_string(kind) or types.is_large_string(kind)
    fits |= types.is_string_view(kind)
    if ours != "symbol":
        fits |= types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    if ours == "time":
        fits |= types.is_timestamp(kind)
    if ours in {"is_buyer_maker", "side", "best_match"}:
        fits |= types.is_boolean(kind)
    if fits:
        return
    remedy = "write it as numbers or text, or choose another column with --map"
    if ours == "time" and types.is_date(kind):
        remedy = "it has no time of day; choose a column that does with --map"
    elif ours == "time" and types.is_time(kind):
        remedy = "it has no date; choose a column that does with --map"
    raise UnreadableFileError(
        f"{path}: column {field.name!r} is {kind} and cannot be {ours}: {remedy}"
    )


def _with_symbol(raw: pl.DataFrame, reading: Reading) -> pl.DataFrame:
    if "symbol" in raw.columns:
        return raw
    if reading.symbol is None:
        raise UnreadableFileError(
            f"{reading.path} does not say which symbol it is of; give it with --symbol"
        )
    return raw.with_columns(pl.lit(reading.symbol).alias("symbol"))
