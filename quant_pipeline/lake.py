"""Open the lake: DuckLake tables in Parquet files, their catalog in PostgreSQL.

One process, one lake connection in use at a time; any number of processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import duckdb
import psycopg

from quant_pipeline import catalog, extensions, schema
from quant_pipeline import settings as settings_module
from quant_pipeline.settings import Settings

LAKE: Final = "lake"
"""The name under which the lake is attached."""

_METADATA_SCHEMA = "ducklake"

# Flat and many: exponential waits starved a writer for ten seconds. Inlined rows cost 70 us each,
# a Parquet file of 10,000 rows 10-20 ms, so nothing is inlined.
SESSION_OPTIONS: Final = {
    "TimeZone": "UTC",
    "ducklake_max_retry_count": 500,
    "ducklake_retry_wait_ms": 5,
    "ducklake_retry_backoff": 1.0,
    "ducklake_default_data_inlining_row_limit": 0,
}


class LakeError(RuntimeError):
    """The lake cannot be opened; the message says why and what to do."""


def connect(
    read_only: bool = False, *, settings: Settings | None = None
) -> duckdb.DuckDBPyConnection:
    """Open the lake, attached as `lake` and in use, with times in UTC.

    Starts the embedded catalog if it is not running and creates the tables that are missing.

    Args:
        read_only: refuse every write to the lake.
        settings: the process's settings if omitted.

    Raises:
        catalog.CatalogError: the catalog cannot be reached or started.
        LakeError: the catalog answers but the lake cannot be attached.

    Example:
        >>> con = connect(read_only=True)  # doctest: +SKIP
        >>> con.sql("from bars.ohlc_1m order by bucket desc limit 5")  # doctest: +SKIP
    """
    settings = settings or settings_module.get()
    return _attach(settings, ensure(settings), read_only=read_only)


def ensure(settings: Settings) -> str:
    """Return the DSN of a running catalog whose lake has this version's tables."""
    dsn = catalog.ensure(settings)
    if not _is_current(dsn):
        _create(settings, dsn)
    return dsn


def prepare(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Give a DuckDB connection what it needs to attach the lake: extensions, options, secrets."""
    is_s3 = settings.lake_path.startswith("s3://")
    names = ("ducklake", "postgres", *(("httpfs",) if is_s3 else ()))
    extensions.load(connection, *names, cache=settings.home / "extensions")
    for name, value in SESSION_OPTIONS.items():
        connection.execute(f"SET {name} = '{value}'")
    if is_s3:
        # Off by default in DuckDB 1.5: without it object-store traffic can be read in between.
        connection.execute("SET enable_server_cert_verification = true")
        connection.execute(f"CREATE OR REPLACE SECRET store ({_s3_secret()})")


def attach_statement(settings: Settings, dsn: str, *, read_only: bool = False) -> str:
    """The SQL that attaches the lake from the catalog at `dsn`."""
    options = [
        f"DATA_PATH {_quote(settings.lake_path)}",
        f"METADATA_SCHEMA '{_METADATA_SCHEMA}'",
        # The catalog remembers the folder's first address; the settings know today's.
        "OVERRIDE_DATA_PATH true",
    ]
    if read_only:
        options.append("READ_ONLY")
    return f"ATTACH {_quote(f'ducklake:postgres:{dsn}')} AS {LAKE} ({', '.join(options)})"


def current_snapshot(connection: duckdb.DuckDBPyConnection) -> int:
    """Id of the lake's newest snapshot, as this connection's transaction sees it."""
    row = connection.execute(f"SELECT id FROM ducklake_current_snapshot('{LAKE}')").fetchone()
    assert row is not None
    return int(row[0])


def newest_commit(dsn: str, schema_name: str, table: str) -> int | None:
    """Snapshot of the newest data file of a table, asked of the catalog alone; None without one.

    Costs a millisecond, so that a process can poll for new rows without opening the lake.
    """
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            f"select max(f.begin_snapshot) from {_METADATA_SCHEMA}.ducklake_data_file f"
            f" join {_METADATA_SCHEMA}.ducklake_table t using (table_id)"
            f" join {_METADATA_SCHEMA}.ducklake_schema s using (schema_id)"
            " where s.schema_name = %s and t.table_name = %s"
            " and t.end_snapshot is null and s.end_snapshot is null",
            (schema_name, table),
        ).fetchone()
    return None if row is None else row[0]


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All that is written within is one commit, or nothing if an error leaves it."""
    connection.begin()
    try:
        yield
    except BaseException:
        with suppress(duckdb.Error):  # a dead instance cannot; the error that killed it counts
            connection.rollback()
        raise
    connection.commit()


def _attach(settings: Settings, dsn: str, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:", config=extensions.CONFIG)
    try:
        prepare(connection, settings)
        connection.execute(attach_statement(settings, dsn, read_only=read_only))
        connection.execute(f"USE {LAKE}")
    except (duckdb.Error, extensions.ExtensionError, OSError) as error:
        connection.close()
        raise LakeError(
            f"the lake cannot be attached: {error} (catalog {dsn!r}, files {settings.lake_path!r})"
        ) from error
    return connection


def _is_current(dsn: str) -> bool:
    """Whether this version's tables exist, asked of the catalog in one round trip."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "select to_regclass('public.quant_schema_version') is not null"
        ).fetchone()
        if row != (True,):
            return False
        row = connection.execute("select max(version) from quant_schema_version").fetchone()
    return row is not None and row[0] is not None and int(row[0]) >= schema.VERSION


def _create(settings: Settings, dsn: str) -> None:
    """Create or upgrade the tables, one process at a time."""
    if not settings_module.is_address(settings.lake_path):
        os.makedirs(settings.lake_path, exist_ok=True)  # noqa: PTH103 - may be an address
    with catalog.advisory_lock(dsn, "schema"):
        if _is_current(dsn):
            return
        connection = _attach(settings, dsn, read_only=False)
        try:
            with transaction(connection):  # each commit costs the catalog some forty milliseconds
                for statement in schema.STATEMENTS:
                    connection.execute(statement)
            for statement in schema.TABLE_OPTIONS:
                connection.execute(statement)
        finally:
            connection.close()
        with psycopg.connect(dsn) as postgres:
            postgres.execute("create table if not exists quant_schema_version (version int)")
            postgres.execute("insert into quant_schema_version values (%s)", (schema.VERSION,))


def _s3_secret() -> str:
    """An S3 secret from the usual AWS_* variables; the values never appear in a log."""
    names = {
        "KEY_ID": "AWS_ACCESS_KEY_ID",
        "SECRET": "AWS_SECRET_ACCESS_KEY",
        "SESSION_TOKEN": "AWS_SESSION_TOKEN",
        "REGION": "AWS_REGION",
        "ENDPOINT": "AWS_ENDPOINT_URL",
    }
    parts = ["TYPE s3", "PROVIDER config"]
    for option, variable in names.items():
        value = os.environ.get(variable)
        if not value:
            continue
        if option == "ENDPOINT":
            scheme, _, value = value.rpartition("://")
            parts += ["URL_STYLE 'path'", f"USE_SSL {'false' if scheme == 'http' else 'true'}"]
        parts.append(f"{option} {_quote(value)}")
    return ", ".join(parts)


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
