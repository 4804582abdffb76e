"""Land batches in the lake, each exactly once.

A commit whose answer is lost (connection cut, server killed, storage frozen) may or may not have
happened. Every batch writes its `(writer, sequence)` to `raw.commits` in its own transaction, so
after a failure the lake itself is asked. A DuckDB instance that failed is not trusted again: it is
closed, and the next attempt opens another.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Final, TypeVar

import duckdb
import psycopg
import pyarrow as pa

from quant_pipeline import lake
from quant_pipeline.catalog import CatalogError
from quant_pipeline.settings import Settings
from streaming.batch import Batch
from streaming.fit import Fitted, fit

LANDING_ERRORS: Final = (duckdb.Error, psycopg.Error, CatalogError, lake.LakeError, OSError)
"""What a lake that is away, full or broken raises; anything else is a bug and must surface."""

_Answer = TypeVar("_Answer")
_US = pa.timestamp("us")
_GAP_COLUMNS = (
    ("symbol", pa.string()),
    ("first_id", pa.int64()),
    ("last_id", pa.int64()),
    ("detected_at", _US),
    ("cause", pa.string()),
    ("status", pa.string()),
    ("repaired_at", _US),
    ("trades_recovered", pa.int64()),
)
_SESSION_COLUMNS = (
    ("session_id", pa.string()),
    ("url", pa.string()),
    ("symbols", pa.list_(pa.string())),
    ("connected_at", _US),
    ("disconnected_at", _US),
    ("reason", pa.string()),
    ("trades", pa.int64()),
)


class Landing:
    """Commits batches; used from one thread at a time.

    Args:
        settings: names the lake.
        venue: written into every row.
        connect: opens the lake, `quant_pipeline.lake.connect` unless a test replaces it.
    """

    def __init__(
        self,
        settings: Settings,
        venue: str,
        connect: Callable[[], duckdb.DuckDBPyConnection] | None = None,
    ) -> None:
        self._venue = venue
        self._resume_max_us = int(settings.resume_max_s * 1e6)
        self._connect = connect or (lambda: lake.connect(settings=settings))
        self._connection: duckdb.DuckDBPyConnection | None = None

    def connection(self) -> duckdb.DuckDBPyConnection:
        """The open lake; opened now if it is not."""
        if self._connection is None:
            connection = self._connect()
            # The worker shares its machine: one thread sorts and writes a second of trades in
            # milliseconds, and the cap keeps a hiccup of the lake from eating the memory.
            connection.execute("SET threads = 1")
            connection.execute("SET memory_limit = '512MB'")
            self._connection = connection
        return self._connection

    def close(self) -> None:
        """Close the lake; the next use opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(duckdb.Error):
                connection.close()

    def ask(self, question: Callable[[duckdb.DuckDBPyConnection], _Answer]) -> _Answer:
        """Answer a question about the lake; raises LANDING_ERRORS."""
        try:
            return question(self.connection())
        except BaseException:
            self.close()
            raise

    def fit(self, batch: Batch, cause: str) -> Fitted:
        """Compare a batch with the lake, see `streaming.fit.fit`; raises LANDING_ERRORS."""
        return self.ask(
            lambda connection: fit(
                connection, self._venue, batch, cause=cause, resume_max_us=self._resume_max_us
            )
        )

    def commit(self, batch: Batch, *, may_be_landed: bool) -> bool:
        """Land the batch.

        Args:
            may_be_landed: ask the lake first whether it already is (after a failure or restart).

        Returns:
            False if it was there already.

        Raises:
            LANDING_ERRORS: the outcome is unknown; call again with `may_be_landed=True`.
        """
        try:
            connection = self.connection()
            if may_be_landed and self._is_landed(connection, batch):
                return False
            connection.execute("BEGIN")
            self._write(connection, batch)
            connection.execute("COMMIT")
        except BaseException:
            self.close()
            raise
        return True

    # Values stand in the SQL as literals. All are ours: writer ids are hexadecimal, the rest
    # numbers.

    def _is_landed(self, connection: duckdb.DuckDBPyConnection, batch: Batch) -> bool:
        found = connection.execute(
            f"SELECT 1 FROM raw.commits WHERE writer = '{batch.writer}'"
            f" AND sequence = {batch.sequence:d}"
        ).fetchone()
        return found is not None

    def _write(self, connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
        if batch.rows:
            connection.register("batch_ticks", batch.ticks)
            connection.execute("INSERT INTO raw.ticks SELECT * FROM batch_ticks")
            connection.unregister("batch_ticks")
        self._write_gaps(connection, batch)
        self._write_sessions(connection, batch)
        connection.execute(
            f"INSERT INTO raw.commits VALUES ('{batch.writer}', {batch.sequence:d},"
            f" make_timestamp({batch.sealed_us:d}), {batch.rows:d})"
        )

    def _write_gaps(self, connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
        if batch.gaps.replaced:
            connection.register("batch_replaced", _table(batch.gaps.replaced, _GAP_COLUMNS[:3]))
            # One statement for all symbols: each DELETE looks at every file of the table.
            connection.execute(
                f"DELETE FROM raw.capture_gaps WHERE venue = '{self._venue}' AND status = 'open'"
                " AND (symbol, first_id, last_id) IN (SELECT * FROM batch_replaced)"
            )
            connection.unregister("batch_replaced")
        if batch.gaps.rows:
            connection.register("batch_gaps", _table(batch.gaps.rows, _GAP_COLUMNS))
            connection.execute(
                f"INSERT INTO raw.capture_gaps SELECT '{self._venue}', * FROM batch_gaps"
            )
            connection.unregister("batch_gaps")

    def _write_sessions(self, connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
        if not batch.sessions:
            return
        connection.register("batch_sessions", _table(batch.sessions, _SESSION_COLUMNS))
        if any(row.disconnected_us is not None for row in batch.sessions):
            connection.execute(
                "DELETE FROM raw.capture_sessions WHERE session_id IN"
                " (SELECT session_id FROM batch_sessions WHERE disconnected_at IS NOT NULL)"
            )
        connection.execute(
            f"INSERT INTO raw.capture_sessions SELECT session_id, '{batch.writer}',"
            f" '{self._venue}', url, symbols, connected_at, disconnected_at, reason, trades"
            " FROM batch_sessions"
        )
        connection.unregister("batch_sessions")


def _table(rows: tuple[Any, ...], columns: tuple[tuple[str, pa.DataType], ...]) -> pa.Table:
    arrays = [
        pa.array(values, kind)
        for values, (_, kind) in zip(zip(*rows, strict=True), columns, strict=True)
    ]
    return pa.Table.from_arrays(arrays, names=[name for name, _ in columns])
