"""Backfill from files: the exchange's archive, or any CSV or Parquet with its columns named."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import polars as pl
import pyarrow as pa

from quant_pipeline.backfill.chunks import Chunk, Reading, chunks
from quant_pipeline.backfill.landing import Lander, Progress, Source
from quant_pipeline.backfill.layouts import ArchiveName, Kind
from quant_pipeline.backfill.rejects import RejectLog, reasons
from quant_pipeline.backfill.rows import (
    TELLING_ROWS,
    Period,
    check,
    exchanged_beside,
    exchanged_columns,
)
from quant_pipeline.backfill.sources import (
    BLOCK_BYTES,
    Checksum,
    Damage,
    UnreadableFileError,
    checksum,
)
from quant_pipeline.settings import check_symbol

Status = Literal["landed", "already landed", "damaged", "refused"]


@dataclass(frozen=True)
class Options:
    """How the files of one run are read.

    Attributes:
        venue: written into every row.
        symbol: of every row; None: from the file's name or its symbol column.
        kind: None: from the file's name, else trades.
        mapping: ours → theirs.
        require_checksum: refuse files whose `.CHECKSUM` is missing or does not match.
        again: read files that earlier runs landed once more.
    """

    venue: str
    symbol: str | None = None
    kind: Kind | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    require_checksum: bool = False
    again: bool = False
    block_bytes: int = BLOCK_BYTES


@dataclass
class FileReport:
    """What became of one file.

    Attributes:
        rows: read in this run.
        new: inserted.
        duplicate: in the lake, or earlier in the file, with the same content.
        rejected: in the rejects file, with the reason; those of `skipped` in that run's.
        skipped: committed by an earlier run of the same file and not read again.
        problem: why the file is damaged, refused, or not to be trusted as a whole.
        notes: what is worth knowing and no error.
    """

    name: str
    status: Status = "landed"
    rows: int = 0
    new: int = 0
    duplicate: int = 0
    rejected: int = 0
    skipped: int = 0
    problem: str | None = None
    notes: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def is_clean(self) -> bool:
        """Whether every row of the file is in the lake and nothing speaks against it."""
        return self.problem is None and self.rejected == 0


def backfill_files(
    paths: Iterable[Path],
    options: Options,
    lander: Lander,
    log: RejectLog,
    *,
    on_progress: Callable[[FileReport, int], None] = lambda _report, _bytes: None,
) -> list[FileReport]:
    """Land every file's good rows; a bad file never stops the others.

    Args:
        paths: .zip, .csv, .csv.gz or .parquet files.
        options: how they are read.
        lander: where the rows go.
        log: where refused rows go.
        on_progress: called after each commit with the file's report and the bytes of text done.
    """
    reports = []
    for path in paths:
        report = FileReport(path.name)
        try:
            _backfill_file(path, options, lander, log, report, on_progress)
        except UnreadableFileError as error:
            report.status, report.problem = "refused", str(error)
            log.add_file(path.name, str(error))
        except (pl.exceptions.PolarsError, pa.ArrowException, OSError) as error:
            report.status = "damaged" if report.rows else "refused"
            report.problem = (
                f"{path} cannot be read ({' '.join(str(error).split())[:200]}); download it again, "
                "or write it anew as CSV"
            )
            log.add_file(path.name, report.problem)
        reports.append(report)
    return reports


def _backfill_file(
    path: Path,
    options: Options,
    lander: Lander,
    log: RejectLog,
    report: FileReport,
    on_progress: Callable[[FileReport, int], None],
) -> None:
    digest = checksum(path)
    _judge_checksum(path, digest, options, report)
    archive = ArchiveName.parse(path)
    symbol, kind = _identity(path, archive, options)
    source = Source(
        _key(digest, symbol, kind, options), path.name, options.venue, symbol or "", kind
    )
    done, finished, rejected = Progress(0, False, 0) if options.again else lander.progress(source)
    report.rejected = rejected
    if rejected:
        report.notes.append(
            f"{rejected:,} rows were refused when they were read before; "
            "--again reads the file again and says why"
        )
    if finished:
        report.status, report.skipped = "already landed", done
        return
    report.skipped = done
    damage = Damage()
    reading = Reading(
        path, kind, symbol, options.mapping, archive is not None, done, options.block_bytes
    )
    period = Period.parse(archive.period) if archive else None
    eras: Counter[str] = Counter()
    rows_read = done
    for number, chunk in enumerate(chunks(reading, damage)):
        rows_read = chunk.rows_read
        _land_chunk(
            chunk, source, period, lander, log, report, eras, is_first=number == 0 and done == 0
        )
        on_progress(report, chunk.text_bytes)
    if damage.reason:
        report.status, report.problem = "damaged", f"{path}: {damage.reason}"
        log.add_file(path.name, damage.reason)
        return
    if rows_read == 0:
        raise UnreadableFileError(f"{path} holds no rows")
    if len(eras) > 1:
        found = ", ".join(f"{rows:,} rows in {era}" for era, rows in sorted(eras.items()))
        report.notes.append(f"times of different eras ({found}): each row read by its own")
    lander.finish(source, rows_read)


def _land_chunk(
    chunk: Chunk,
    source: Source,
    period: Period | None,
    lander: Lander,
    log: RejectLog,
    report: FileReport,
    eras: Counter[str],
    *,
    is_first: bool,
) -> None:
    checked = check(
        chunk.raw,
        source.kind,
        now=datetime.now(UTC),
        period=period,
        symbol=source.symbol or None,
    )
    if is_first:
        _suspect_columns(source, checked.good, checked.rejected, lander)
    refused = pl.concat([chunk.broken, _as_text(checked.rejected)])
    log.add(source.name, refused)
    landed = lander.land(
        source,
        checked.good,
        rows_read=chunk.rows_read,
        refused_before=refused.height,
        on_refused=lambda rows: log.add(source.name, rows),
    )
    refused = pl.concat([refused, _as_text(landed.refused)])
    eras.update(checked.eras)
    report.reasons.update(reasons(refused))
    report.rows += chunk.raw.height + chunk.broken.height
    report.new += landed.new
    report.duplicate += landed.duplicate
    report.rejected += refused.height


def _as_text(refused: pl.DataFrame) -> pl.DataFrame:
    if refused.schema["text"] == pl.String:
        return refused
    return refused.with_columns(pl.col("text").struct.json_encode())


def _suspect_columns(
    source: Source, good: pl.DataFrame, rejected: pl.DataFrame, lander: Lander
) -> None:
    """Refuse a file whose columns are evidently in another order, rather than guess it."""
    if good.is_empty() and rejected.height > 1:
        (reason, rows), *_ = reasons(rejected).most_common(1)
        if reason.startswith("symbol ") and source.symbol:
            raise UnreadableFileError(
                f"{source.name}: not one of its first {rejected.height:,} rows is of "
                f"{source.symbol}; leave --symbol out to land each under the symbol it names"
            )
        raise UnreadableFileError(
            f"{source.name}: not one of its first {rejected.height:,} rows is a trade ({reason}, "
            f"{rows:,} times): are its columns in another order? Name them with --map, as in "
            "--map trade_id=0,price=1,quantity=2,time=4,is_buyer_maker=5"
        )
    if exchanged_columns(good):
        raise UnreadableFileError(
            f"{source.name}: price and quantity look exchanged (the price jumps from row to row, "
            "the quantity hardly moves); name them with --map, as in --map price=2,quantity=1"
        )
    if good.height >= TELLING_ROWS:
        return
    for (symbol,), named in good.group_by("symbol"):
        times = named["ts"].sort()
        price = lander.price_near(source.venue, str(symbol), times[0], times[-1])
        if price is not None and exchanged_beside(named, price):
            raise UnreadableFileError(
                f"{source.name}: price and quantity look exchanged ({symbol} traded at about "
                f"{price:g} that day, as the quantities say); name them with --map, as in "
                "--map price=2,quantity=1"
            )


def _judge_checksum(path: Path, digest: Checksum, options: Options, report: FileReport) -> None:
    if digest.matches:
        return
    if digest.matches is None:
        if options.require_checksum:
            raise UnreadableFileError(
                f"{path.name} has no .CHECKSUM beside it; download it, "
                "or leave out --require-checksum"
            )
        report.notes.append("unverified: no .CHECKSUM beside it")
        return
    problem = (
        f"{path.name} is not the file its .CHECKSUM speaks of: sha256 {digest.actual[:16]}… "
        f"instead of {(digest.expected or '')[:16]}…; download both again"
    )
    if options.require_checksum:
        raise UnreadableFileError(problem)
    report.problem = f"{problem} (its good rows were kept; --require-checksum would refuse it)"


def _identity(path: Path, archive: ArchiveName | None, options: Options) -> tuple[str | None, Kind]:
    symbol = options.symbol
    if symbol is not None:
        check_symbol(symbol)
    if archive is None:
        return symbol, options.kind or "trades"
    if symbol is not None and symbol != archive.symbol:
        raise UnreadableFileError(
            f"{path.name} is of {archive.symbol}, not of {symbol}; leave --symbol out, "
            "or rename the file if its name is wrong"
        )
    return archive.symbol, options.kind or archive.kind


def _key(digest: Checksum, symbol: str | None, kind: Kind, options: Options) -> str:
    """The same file read in another way is another source."""
    how = repr((digest.actual, options.venue, symbol, kind, sorted(options.mapping.items())))
    return hashlib.sha256(how.encode()).hexdigest()
