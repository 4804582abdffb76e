"""The lake's catalog: an embedded PostgreSQL, or a server of the user's own.

`ensure` returns the DSN of a running catalog and is safe to call from any number of processes: the
embedded server is started by whoever needs it first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import fasteners
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from quant_pipeline import embedded_postgres
from quant_pipeline import settings as settings_module
from quant_pipeline.embedded_postgres import CatalogError as CatalogError
from quant_pipeline.embedded_postgres import Cluster
from quant_pipeline.embedded_postgres import is_up as is_up
from quant_pipeline.settings import Settings

DBT_LOCK: Final = "dbt"
"""Name of the advisory lock that every dbt run holds."""


def ensure(settings: Settings) -> str:
    """Return the DSN of a running catalog, starting the embedded one if need be.

    Raises:
        CatalogError: the configured server does not answer, the embedded one cannot start, or the
            lake has files but no catalog.
    """
    if settings.catalog_dsn is not None:
        return _configured(settings.catalog_dsn)
    cluster = locate(settings)
    if is_up(cluster.dsn()):
        return cluster.dsn()
    with _exclusive(settings):
        cluster = locate(settings)  # another process may have made it just now
        if not cluster.is_made:
            _refuse_files_without_catalog(settings)
        embedded_postgres.start(cluster)
        _create_database(cluster)
    return cluster.dsn()


def stop(settings: Settings, *, only_if_idle: bool = False) -> bool:
    """Stop the embedded catalog; True if it was running and is now stopped.

    Args:
        only_if_idle: leave it running while any other process is connected to it.
    """
    _refuse_configured(settings, "stopped")
    cluster = locate(settings)
    if not is_up(cluster.dsn("postgres")) or (only_if_idle and connections(cluster.dsn())):
        return False
    with _exclusive(settings):
        embedded_postgres.stop(cluster)
    return True


def destroy(settings: Settings) -> None:
    """Stop the embedded catalog and delete its cluster, for a start from nothing."""
    _refuse_configured(settings, "deleted")
    stop(settings)
    cluster = locate(settings)
    with _exclusive(settings):
        embedded_postgres.delete(cluster)


def locate(settings: Settings) -> Cluster:
    """Where the embedded cluster is or would be (as root: may make the system user)."""
    return embedded_postgres.locate(settings.home)


def connections(dsn: str) -> int:
    """How many other clients are connected to the catalog's server."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "select count(*) from pg_stat_activity"
            " where backend_type = 'client backend' and pid <> pg_backend_pid()"
        ).fetchone()
    assert row is not None
    return int(row[0])


def without_password(dsn: str) -> str:
    """`dsn` as it may be printed."""
    parts = conninfo_to_dict(dsn)
    parts.pop("password", None)
    return make_conninfo("", **parts)


def server_pid(settings: Settings) -> int | None:
    """Process id of the embedded server, or None if its data folder names none."""
    return embedded_postgres.server_pid(locate(settings))


@contextmanager
def advisory_lock(dsn: str, name: str, *, wait: bool = True) -> Iterator[bool]:
    """Hold a lock, known by name to all processes of this catalog; freed if the process dies.

    Yields:
        Whether the lock is held: false only if somebody else has it and `wait` is false.
    """
    function = "pg_advisory_lock" if wait else "pg_try_advisory_lock"
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(f"select {function}(hashtext(%s))", (name,)).fetchone()
        yield wait or row == (True,)


def is_held(dsn: str, name: str) -> bool:
    """Whether any process holds the advisory lock of this name."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "select count(*) from pg_locks where locktype = 'advisory' and granted"
            " and objsubid = 1 and objid = (hashtext(%s)::bigint & 4294967295)::oid"
            " and database = (select oid from pg_database where datname = current_database())",
            (name,),
        ).fetchone()
    return row is not None and row[0] > 0


# --- a server of the user's own -------------------------------------------------------------


def _configured(dsn: str) -> str:
    """Check that the server answers; move a password from the DSN to the environment.

    DuckDB prints the DSN in `duckdb_databases()`, so no password may stay in it.
    """
    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError as error:
        raise CatalogError(f"setting 'catalog_dsn' is not a libpq DSN or URL: {error}") from error
    password = parts.pop("password", None)
    if password:
        os.environ["PGPASSWORD"] = str(password)
    clean = make_conninfo("", **parts)
    try:
        psycopg.connect(clean, connect_timeout=10).close()
    except psycopg.OperationalError as error:
        raise CatalogError(
            f"the catalog at {clean!r} does not answer: {str(error).strip()}; "
            "check setting 'catalog_dsn' and PGPASSWORD, or unset it to use the embedded one"
        ) from error
    return clean


def _refuse_configured(settings: Settings, verb: str) -> None:
    if settings.catalog_dsn is not None:
        raise CatalogError(
            "setting 'catalog_dsn' names a server of your own: it is not started, stopped or "
            f"deleted from here, so nothing was {verb}"
        )


def _refuse_files_without_catalog(settings: Settings) -> None:
    """A new catalog knows none of the lake's files: they would seem lost, and be cleaned away."""
    if settings_module.is_address(settings.lake_path):
        return
    files = Path(settings.lake_path)
    if next(files.rglob("*.parquet"), None) is not None:
        raise CatalogError(
            f"{files} holds a lake's files, but their catalog is not {settings.home / 'catalog'}: "
            "bring it from where the files were; to begin a new lake, move the files away"
        )


@contextmanager
def _exclusive(settings: Settings) -> Iterator[None]:
    """One process at a time starts or stops the server."""
    settings.home.mkdir(parents=True, exist_ok=True)
    with fasteners.InterProcessLock(str(settings.home / ".catalog.lock")):
        yield


def _create_database(cluster: Cluster) -> None:
    with psycopg.connect(cluster.dsn("postgres"), autocommit=True) as connection:
        if not connection.execute(
            "select 1 from pg_database where datname = %s", (embedded_postgres.DATABASE,)
        ).fetchone():
            connection.execute(f"create database {embedded_postgres.DATABASE}")
