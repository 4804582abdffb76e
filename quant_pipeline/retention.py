"""Ticks past their time leave the lake for Parquet files; their bars stay. Off unless set.

A day is retired whole, in one transaction: exported, read back, removed from `raw.ticks` and put
down in `raw.archived_days`. dbt leaves archived days alone, so no later run rebuilds their bars
from ticks that are gone, and `restore` brings a day back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb

from quant_pipeline import lake
from quant_pipeline.compaction import DBT_SCHEMAS
from quant_pipeline.settings import Settings, is_address

_COLUMNS = "venue, symbol, trade_id, ts, received_at, price, quantity, is_buyer_maker"
# What a day's rows are compared by, before and after they are written.
_FINGERPRINT = (
    "count(*), coalesce(sum(trade_id::hugeint), 0), coalesce(bit_xor(hash(venue, symbol, trade_id,"
    " ts, received_at, price, quantity, is_buyer_maker)), 0)"
)


class RetentionError(RuntimeError):
    """A day cannot be retired or restored; the message says why, and nothing was changed."""


@dataclass(frozen=True)
class ArchivedDay:
    """A day (UTC) that was exported and removed, or would be."""

    day: date
    ticks: int
    path: str


def due(connection: duckdb.DuckDBPyConnection, settings: Settings, now: datetime) -> list[date]:
    """Days (UTC) of `raw.ticks` that are older than `tick_retention_days`, oldest first."""
    if settings.tick_retention_days is None:
        return []
    cutoff = now.date() - timedelta(days=settings.tick_retention_days)
    rows = connection.execute(
        "select distinct ts::date from raw.ticks where ts < ?::date order by 1", [cutoff]
    ).fetchall()
    return [row[0] for row in rows]


def retire(
    connection: duckdb.DuckDBPyConnection, settings: Settings, day: date, *, now: datetime
) -> ArchivedDay:
    """Export a day's ticks and remove them. The caller keeps dbt and backfills away meanwhile.

    Args:
        now: UTC without zone, written down.

    Raises:
        RetentionError: some of the ticks are not in the bars yet, or what was written does not
            read back the same.
    """
    archive = settings.archive_folder.rstrip("/")
    _check_apart(archive, settings)
    _check_consumed(connection, day)
    with lake.transaction(connection):
        return _retire_day(connection, archive, day, now)


def restore(connection: duckdb.DuckDBPyConnection, day: date) -> int:
    """Bring an archived day's ticks back into the lake; returns how many.

    The next dbt run makes the day's bars again from all its ticks, late ones included: those that
    waited in the lake are written again, for dbt has passed their snapshots and left them alone.

    Raises:
        RetentionError: the day is not archived, or a file of it cannot be read.
    """
    paths = [
        row[0]
        for row in connection.execute(
            "select path from raw.archived_days where day = ? order by archived_at", [day]
        ).fetchall()
    ]
    if not paths:
        raise RetentionError(
            f'day {day} is not archived; `quant sql "from raw.archived_days"` lists those that are'
        )
    span = [day, day + timedelta(days=1)]
    try:
        with lake.transaction(connection):
            connection.execute(
                f"create or replace temp table waiting as select {_COLUMNS} from raw.ticks"
                " where ts >= ? and ts < ?",
                span,
            )
            connection.execute("delete from raw.ticks where ts >= ? and ts < ?", span)
            connection.execute(f"insert into raw.ticks ({_COLUMNS}) from waiting")
            rows = connection.execute(
                f"insert into raw.ticks ({_COLUMNS}) select distinct {_COLUMNS}"
                " from read_parquet(?) as archived anti join waiting"
                " using (venue, symbol, trade_id)",
                [paths],
            ).fetchone()
            connection.execute("drop table waiting")
            connection.execute("delete from raw.archived_days where day = ?", [day])
            connection.execute(
                "insert into raw.restored_days values (?, now() at time zone 'UTC')", [day]
            )
    except duckdb.IOException as error:
        raise RetentionError(f"the archive of {day} cannot be read: {error}") from error
    return int(rows[0]) if rows else 0


def _retire_day(
    connection: duckdb.DuckDBPyConnection, archive: str, day: date, now: datetime
) -> ArchivedDay:
    span = [day, day + timedelta(days=1)]
    before = connection.execute(
        f"select {_FINGERPRINT} from raw.ticks where ts >= ? and ts < ?", span
    ).fetchone()
    assert before is not None
    earlier = connection.execute(
        "select count(*) from raw.archived_days where day = ?", [day]
    ).fetchone()
    assert earlier is not None
    path = f"{archive}/ticks-{day}" + (f"-{earlier[0] + 1}" if earlier[0] else "") + ".parquet"
    if not is_address(archive):
        Path(archive).mkdir(parents=True, exist_ok=True)
    literal = path.replace("'", "''")
    connection.execute(
        f"copy (select {_COLUMNS}, snapshot_id as landed_snapshot from raw.ticks"
        f" where ts >= date '{span[0]}' and ts < date '{span[1]}' order by symbol, ts, trade_id)"
        f" to '{literal}' (format parquet, compression zstd)"
    )
    after = connection.execute(f"select {_FINGERPRINT} from read_parquet(?)", [path]).fetchone()
    if after != before:
        raise RetentionError(
            f"{path} does not read back as it was written ({after} instead of {before}); "
            f"the ticks of {day} stay in the lake"
        )
    connection.execute("delete from raw.ticks where ts >= ? and ts < ?", span)
    connection.execute(
        "insert into raw.archived_days values (?, ?, ?, ?)", [day, now, path, before[0]]
    )
    return ArchivedDay(day, int(before[0]), path)


def _check_consumed(connection: duckdb.DuckDBPyConnection, day: date) -> None:
    """Refuse to remove ticks that a model has not made bars of, unless their day is archived.

    Late ticks of an archived day are in no bar by intention; they join the archive.
    """
    models = [
        f"{schema}.{table}"
        for schema, table in connection.execute(
            "select schema_name, table_name from duckdb_columns() where database_name = 'lake'"
            " and schema_name in (select unnest(?)) and column_name = 'src_snapshot'"
            " and table_name <> 'ohlc_revisions' and (schema_name, table_name) in"
            " (select (schema_name, table_name) from duckdb_tables()) order by all",
            [list(DBT_SCHEMAS)],
        ).fetchall()
    ]
    if "bars.ohlc_1s" not in models:
        raise RetentionError("there are no bars yet: run dbt before ticks are retired")
    row = connection.execute(
        "select max(snapshot_id) from raw.ticks where ts >= ? and ts < ?"
        " and ts::date not in (select day from raw.archived_days)",
        [day, day + timedelta(days=1)],
    ).fetchone()
    newest = row[0] if row else None
    if newest is None:
        return
    for model in models:
        row = connection.execute(f"select coalesce(max(src_snapshot), -1) from {model}").fetchone()
        if row is None or row[0] < newest:
            raise RetentionError(
                f"{model} has not consumed all ticks of {day} yet (snapshot {newest}): "
                "run dbt, then maintenance again"
            )


def _check_apart(archive: str, settings: Settings) -> None:
    """Orphan removal deletes every Parquet file below the lake's folder that no table names."""
    if is_address(archive) or is_address(settings.lake_path):
        overlap = f"{archive}/".startswith(settings.lake_path.rstrip("/") + "/")
    else:  # where links and `..` really lead
        kept, files = Path(archive).resolve(), Path(settings.lake_path).resolve()
        overlap = kept.is_relative_to(files) or files.is_relative_to(kept)
    if overlap:
        raise RetentionError(
            f"archive_path {archive!r} and the lake's folder {settings.lake_path!r} are one inside "
            "the other, and maintenance removes files there that no table names; choose another"
        )
