"""The file that holds what a backfill refused: nothing is dropped without a line here."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import polars as pl


class RejectLog:
    """Appends refused rows to a CSV of source, row, reason, text; made with the first of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self._file: IO[str] | None = None
        self._writer: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, source: str, refused: pl.DataFrame) -> None:
        """Write down rows (`row`, `reason`, `text`)."""
        if refused.is_empty():
            return
        if refused.schema["text"] != pl.String:
            refused = refused.with_columns(pl.col("text").struct.json_encode())
        writer = self._open()
        writer.writerows((source, *row) for row in refused.select("row", "reason", "text").rows())
        self._flush()
        self.rows += refused.height

    def add_file(self, source: str, reason: str) -> None:
        """Write down that a whole file was refused."""
        self._open().writerow((source, "all", reason, ""))
        self._flush()

    def _open(self) -> Any:
        if self._file is None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self.path.open("a", encoding="utf-8", newline="")
            except OSError as error:
                raise ValueError(
                    f"refused rows cannot be written to {self.path} ({error.strerror}); "
                    "name another file with --rejects"
                ) from error
            self._writer = csv.writer(self._file)
            if self._file.tell() == 0:
                self._writer.writerow(("source", "row", "reason", "text"))
        return self._writer

    def _flush(self) -> None:
        if self._file is not None:
            self._file.flush()


def reasons(refused: pl.DataFrame) -> Counter[str]:
    """How often each kind of reason occurs, the values in them left out."""
    words = refused["reason"].str.replace(r"^(\S+) .*? (is|came|columns) ", "$1 … $2 ")
    words = words.str.replace(r" \([^)]*\)", "")
    return Counter(dict(words.value_counts().iter_rows()))
