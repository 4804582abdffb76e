"""The dbt-duckdb plugin: dbt reads and writes the lake, one dbt at a time.

`dbt_project/profiles.yml` names this module. Before dbt's first statement it starts the catalog if
need be, takes the lake's dbt lock and attaches the lake. Two dbt runs that update one table at the
same time can fail and can leave duplicate bars, so a second one waits, and says for whom.

The lock is a PostgreSQL advisory lock on a connection of its own: it works between machines and is
freed by the server if this process dies. A process that runs dbt more than once must call
`release` between runs; `resident_dbt` does.
"""

from __future__ import annotations

import os
import socket
from typing import Any, Final

import duckdb
import psycopg
from dbt.adapters.duckdb.plugins import BasePlugin
from dbt.adapters.events.logging import AdapterLogger

from quant_pipeline import catalog, extensions, lake
from quant_pipeline import settings as settings_module
from quant_pipeline.settings import Settings

_APPLICATION: Final = "quant dbt"

# Settings that models read, as DuckDB variables: see macros/setting.sql.
_MODEL_SETTINGS: Final = ("final_after_s",)

_logger = AdapterLogger("DuckDB")
_held: list[psycopg.Connection[Any]] = []
_settings: Settings | None = None


def use(settings: Settings | None) -> None:
    """Name the lake that dbt opens in this process; None: that of the process's settings."""
    global _settings
    _settings = settings


class Plugin(BasePlugin):
    """Give dbt's DuckDB connection the lake, under the lock."""

    def update_connection_config(self, creds: object, config: dict[str, Any]) -> None:
        """Called before DuckDB is opened: extensions come from wheels, never from the network."""
        config |= {**extensions.CONFIG, **config}  # what the profile says stands

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Called once for each DuckDB instance, before the profile's own ATTACH."""
        settings = _settings or settings_module.get()
        dsn = lake.ensure(settings)
        acquire(dsn)
        lake.prepare(conn, settings)
        conn.execute(lake.attach_statement(settings, dsn))

    def configure_cursor(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Called for each connection dbt makes; DuckDB's variables belong to one connection."""
        cursor.execute("SET TimeZone = 'UTC'")
        settings = _settings or settings_module.get()
        for name in _MODEL_SETTINGS:
            cursor.execute(f"SET VARIABLE {name} = {float(getattr(settings, name))}")


def acquire(dsn: str) -> None:
    """Take the lake's dbt lock, waiting for another holder, with a message, if there is one."""
    if _held:
        return
    connection = psycopg.connect(
        dsn,
        autocommit=True,
        application_name=f"{_APPLICATION} {socket.gethostname()}:{os.getpid()}",
    )
    try:
        row = connection.execute(
            "select pg_try_advisory_lock(hashtext(%s))", (catalog.DBT_LOCK,)
        ).fetchone()
        if row != (True,):
            _logger.info(f"another dbt run holds the lake ({_holder(connection)}); waiting for it")
            connection.execute("select pg_advisory_lock(hashtext(%s))", (catalog.DBT_LOCK,))
            _logger.info("the other dbt run has ended; going on")
    except BaseException:
        connection.close()
        raise
    _held.append(connection)


def release() -> None:
    """Give the lake's dbt lock back; harmless if it is not held."""
    while _held:
        _held.pop().close()


def _holder(connection: psycopg.Connection[Any]) -> str:
    """Who holds the lock: host and process id, and since when."""
    row = connection.execute(
        "select application_name, backend_start::timestamp(0) from pg_stat_activity"
        " join pg_locks using (pid)"
        " where locktype = 'advisory' and granted and objsubid = 1"
        " and objid = (hashtext(%s)::bigint & 4294967295)::oid",
        (catalog.DBT_LOCK,),
    ).fetchone()
    return "unknown holder" if row is None else f"{row[0]}, since {row[1]} UTC"
