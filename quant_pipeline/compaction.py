"""The lake's files: how many there are, and merging them without disturbing anybody.

Merging keeps every row's `snapshot_id`, by which the bars know what they have consumed; rewriting
files with deleted rows does not, so that is for the tables dbt keeps (their watermark is a column)
and never for raw tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import duckdb
import psycopg

from quant_pipeline import catalog, lake

DBT_SCHEMAS: Final = ("bars", "liquidity")
"""Schemas that dbt writes with delete and insert: touched only while no dbt runs."""

_METADATA: Final = f"__ducklake_metadata_{lake.LAKE}.ducklake"
_REWRITE_OFTEN: Final = 0.05
"""Share of deleted rows from which a file is rewritten between the daily runs."""
_NEVER: Final = 2.0  # more than all of a file's rows


@dataclass(frozen=True)
class TableFiles:
    """A table's current files."""

    schema: str
    table: str
    files: int
    bytes: int
    delete_files: int

    @property
    def name(self) -> str:
        """`schema.table`."""
        return f"{self.schema}.{self.table}"


@dataclass(frozen=True)
class Mergeable:
    """Files of a table that the next merge would replace."""

    schema: str
    table: str
    files: int
    bytes: int
    partitions: int
    """Among which the files are: a merge leaves at least one file of each."""


class DbtBusyError(RuntimeError):
    """dbt holds its lock longer than maintenance waits."""


def table_files(connection: duckdb.DuckDBPyConnection) -> list[TableFiles]:
    """Every table with its current files, by name."""
    rows = connection.execute(
        f"""
        select schema_name, table_name, count(data_file_id), coalesce(sum(file_size_bytes), 0),
            count(delete_file_id)
        from {_METADATA}.ducklake_schema as s
        join {_METADATA}.ducklake_table as t using (schema_id)
        left join (
            select f.table_id, f.data_file_id, d.delete_file_id,
                f.file_size_bytes + coalesce(d.file_size_bytes, 0) as file_size_bytes
            from {_METADATA}.ducklake_data_file as f
            left join {_METADATA}.ducklake_delete_file as d
                on d.data_file_id = f.data_file_id and d.end_snapshot is null
            where f.end_snapshot is null
        ) using (table_id)
        where s.end_snapshot is null and t.end_snapshot is null
        group by all order by all
        """
    ).fetchall()
    return [TableFiles(*row) for row in rows]


def mergeable(
    connection: duckdb.DuckDBPyConnection, *, below_bytes: int | None, rewritten: bool = False
) -> list[Mergeable]:
    """What a merge has to do: two or more files of one partition, without deleted rows.

    Args:
        below_bytes: count only files smaller than this; None: than the lake's target size.
        rewritten: count dbt's files with deleted rows as well, as if they had been rewritten.
    """
    from_share = _rewritten_from(everything=below_bytes is None) if rewritten else _NEVER
    schemas = ", ".join(f"'{schema}'" for schema in DBT_SCHEMAS)
    limit = below_bytes if below_bytes is not None else _target_bytes(connection)
    rows = connection.execute(
        f"""
        select schema_name, table_name, sum(files)::bigint, sum(bytes)::bigint,
            count(*) as partitions
        from (
            select schema_name, table_name, part, count(*) as files, sum(f.file_size_bytes) as bytes
            from {_METADATA}.ducklake_data_file as f
            join {_METADATA}.ducklake_table as t using (table_id)
            join {_METADATA}.ducklake_schema as s using (schema_id)
            left join {_METADATA}.ducklake_delete_file as d
                on d.data_file_id = f.data_file_id and d.end_snapshot is null
            left join (
                select data_file_id, string_agg(partition_value, '/' order by partition_key_index)
                    as part
                from {_METADATA}.ducklake_file_partition_value group by data_file_id
            ) as parts on parts.data_file_id = f.data_file_id
            where s.end_snapshot is null and t.end_snapshot is null
                and f.end_snapshot is null and f.file_size_bytes < ?
                and (d.data_file_id is null or (
                    schema_name in ({schemas}) and d.delete_count >= ? * f.record_count))
            group by all having count(*) > 1
        )
        group by all order by all
        """,
        [limit, from_share],
    ).fetchall()
    return [Mergeable(*row) for row in rows]


def merge(
    connection: duckdb.DuckDBPyConnection, schema: str, table: str, *, below_bytes: int | None
) -> None:
    """Merge a table's files, each with its neighbours of the same partition.

    Args:
        below_bytes: leave larger files alone; None: merge up to the lake's target size.
    """
    limit = "" if below_bytes is None else f", max_file_size => {below_bytes}"
    connection.execute(
        f"call ducklake_merge_adjacent_files('{lake.LAKE}', ?, schema => ?{limit})", [table, schema]
    )


def rewrite(
    connection: duckdb.DuckDBPyConnection, schema: str, table: str, *, everything: bool
) -> None:
    """Rewrite a dbt table's files without the rows that were deleted from them.

    Args:
        everything: files with a single deleted row too; else those with at least 5 %.

    Raises:
        ValueError: a raw or analytics table: their rows would lose their snapshot ids.
    """
    if schema not in DBT_SCHEMAS:
        raise ValueError(
            f"{schema}.{table} must not be rewritten: its rows would get new snapshot ids; "
            "merge it instead"
        )
    connection.execute(
        f"call ducklake_rewrite_data_files('{lake.LAKE}', ?, schema => ?,"
        f" delete_threshold => {_rewritten_from(everything=everything)})",
        [table, schema],
    )


def _rewritten_from(*, everything: bool) -> float:
    """Share of deleted rows from which a file is rewritten."""
    return 0 if everything else _REWRITE_OFTEN


@contextmanager
def no_dbt(dsn: str, *, wait_s: float) -> Iterator[None]:
    """Hold the lock that every dbt run takes, so that none of them meets a merge.

    Raises:
        DbtBusyError: a dbt run held it for all of `wait_s`.
    """
    with psycopg.connect(dsn, autocommit=True, application_name="quant maintain") as connection:
        connection.execute(f"set lock_timeout = {round(wait_s * 1000)}")
        try:
            connection.execute("select pg_advisory_lock(hashtext(%s))", (catalog.DBT_LOCK,))
        except psycopg.errors.LockNotAvailable:
            raise DbtBusyError(f"a dbt run has held the lake for {wait_s:.0f} s") from None
        yield


def _target_bytes(connection: duckdb.DuckDBPyConnection) -> int:
    row = connection.execute(
        f"select value from {_METADATA}.ducklake_metadata"
        " where key = 'target_file_size' and scope is null"
    ).fetchone()
    return int(row[0]) if row else 512 << 20
