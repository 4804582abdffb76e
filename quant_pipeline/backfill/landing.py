"""Checked rows into the lake: each trade once, with the progress in the same commit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import duckdb
import polars as pl

from quant_pipeline import lake
from quant_pipeline.backfill.layouts import Kind
from quant_pipeline.backfill.rows import refuse, repeated

_TABLES: Final[dict[Kind, tuple[str, str]]] = {
    "trades": ("raw.ticks", "trade_id"),
    "agg_trades": ("raw.agg_trades", "agg_id"),
}
_COLUMNS: Final[dict[Kind, str]] = {
    "trades": "venue, symbol, trade_id, ts, received_at, price, quantity, is_buyer_maker",
    "agg_trades": (
        "venue, symbol, agg_id, first_id, last_id, ts, received_at, price, quantity, is_buyer_maker"
    ),
}


@dataclass(frozen=True)
class Landed:
    """What one commit did. `refused`: `row`, `reason`, `text`."""

    new: int
    duplicate: int
    refused: pl.DataFrame


class Progress(NamedTuple):
    """How far earlier runs came with a source: rows committed, whether all, and refused."""

    rows_read: int
    finished: bool
    rejected: int


@dataclass(frozen=True)
class Source:
    """Whose rows these are: the key of `raw.backfills`."""

    key: str
    name: str
    venue: str
    symbol: str
    kind: Kind


class Lander:
    """Writes chunks through one lake connection.

    Args:
        connection: with the lake attached, writable.
        clock: the time rows are received, UTC without zone.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, *, clock: Callable[[], datetime]
    ) -> None:
        self._connection = connection
        self._clock = clock

    def progress(self, source: Source) -> Progress:
        """What earlier runs did; of chunks that were read again, the last time counts."""
        row = self._connection.execute(
            "select coalesce(max(rows_read), 0), coalesce(bool_or(finished), false),"
            " coalesce(sum(rejected), 0) from ("
            "   select rows_read, bool_or(finished) as finished,"
            "     max_by(rows_rejected, committed_at) filter (not finished) as rejected"
            "   from raw.backfills where source = ? group by rows_read)",
            [source.key],
        ).fetchone()
        assert row is not None
        return Progress(int(row[0]), bool(row[1]), int(row[2]))

    def price_near(self, venue: str, symbol: str, start: datetime, end: datetime) -> float | None:
        """Median price of the symbol's ticks from a day before to a day after; None: no ticks."""
        row = self._connection.execute(
            "select median(price) from raw.ticks"
            " where venue = ? and symbol = ? and ts between ? and ?",
            [venue, symbol, start - timedelta(days=1), end + timedelta(days=1)],
        ).fetchone()
        assert row is not None
        return None if row[0] is None else float(row[0])

    def archived_days(self) -> pl.DataFrame:
        """Days whose ticks retention took out of the lake, as a frame of `day`."""
        return self._connection.execute("select distinct day from raw.archived_days").pl()

    def land(
        self,
        source: Source,
        good: pl.DataFrame,
        *,
        rows_read: int = 0,
        refused_before: int = 0,
        recorded: bool = True,
        on_refused: Callable[[pl.DataFrame], None] = lambda _rows: None,
    ) -> Landed:
        """Insert the rows that the lake does not hold yet, in one commit.

        Args:
            source: whose rows these are.
            good: rows as `rows.check` returns them.
            rows_read: of the source so far, these included.
            refused_before: rows that were refused on the way here, for the record.
            recorded: write the progress down in `raw.backfills`.
            on_refused: given the rows refused here, before the commit: a crash in between may
                report them twice, never not at all.
        """
        table, id_column = _TABLES[source.kind]
        good, conflicting, duplicate = repeated(good, id_column)
        refused = [conflicting]
        if source.kind == "trades":
            good, late = self._split_archived(good)
            refused.append(late)
        now = self._clock()
        with lake.transaction(self._connection):
            held = self._held(source, good, table, id_column)
            fresh = good.join(
                held.select("symbol", id_column), on=["symbol", id_column], how="anti"
            )
            differing = _differing(good, held, id_column)
            refused.append(differing)
            if fresh.height:
                self._insert(source, fresh, table, now)
            duplicate += good.height - fresh.height - differing.height
            all_refused = pl.concat(refused)
            on_refused(all_refused)
            if recorded:
                rejected = refused_before + all_refused.height
                self._record(source, (rows_read, fresh.height, duplicate, rejected), False)
        return Landed(fresh.height, duplicate, all_refused)

    def finish(self, source: Source, rows_read: int) -> None:
        """Write down that the source was read to its end."""
        self._record(source, (rows_read, 0, 0, 0), True)

    def _record(self, source: Source, counts: tuple[int, int, int, int], finished: bool) -> None:
        named = (source.key, source.name, source.venue, source.symbol, source.kind)
        self._connection.execute(
            "insert into raw.backfills values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [*named, *counts, finished, self._clock()],
        )

    def _held(self, source: Source, good: pl.DataFrame, table: str, id_column: str) -> pl.DataFrame:
        """What the lake holds of these ids, whatever their times.

        A symbol's ids grow with time, so their range alone leaves only the files that matter.
        """
        if good.is_empty():
            return good
        found = []
        for (symbol,), ids in good.select("symbol", id_column).group_by("symbol"):
            self._connection.register("backfill_ids", ids.to_arrow())
            try:
                rows = self._connection.execute(
                    f"select distinct symbol, {id_column}, ts, price, quantity, is_buyer_maker"
                    f" from {table} semi join backfill_ids using (symbol, {id_column})"
                    f" where venue = ? and symbol = ? and {id_column} between ? and ?",
                    [source.venue, symbol, ids[id_column].min(), ids[id_column].max()],
                )
                found.append(rows.pl())
            finally:
                self._connection.unregister("backfill_ids")
        return pl.concat(found)

    def _insert(self, source: Source, fresh: pl.DataFrame, table: str, now: datetime) -> None:
        columns = _COLUMNS[source.kind]
        rows = fresh.with_columns(
            pl.lit(source.venue).alias("venue"),
            pl.lit(now).cast(pl.Datetime("us")).alias("received_at"),
        )
        self._connection.register("backfill_rows", rows.drop("text").to_arrow())
        try:
            self._connection.execute(
                f"insert into {table} ({columns}) select {columns} from backfill_rows"
            )
        finally:
            self._connection.unregister("backfill_rows")

    def _split_archived(self, good: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Refuse ticks of archived days: their bars would be rebuilt from the late ticks alone."""
        days = self.archived_days()
        if days.is_empty():
            return good, refuse(good.clear(), pl.lit(""))
        late = good.filter(pl.col("ts").dt.date().is_in(days["day"].implode()))
        reason = pl.format(
            "time {} is in a day that retention archived; `quant restore` brings the day back",
            pl.col("ts"),
        )
        return good.join(late.select("row"), on="row", how="anti"), refuse(late, reason)


def _differing(good: pl.DataFrame, held: pl.DataFrame, id_column: str) -> pl.DataFrame:
    """Refuse rows whose id the lake holds with another price, quantity, side or millisecond."""
    if held.is_empty():
        return refuse(good.clear(), pl.lit(""))
    milliseconds = pl.col("ts").dt.truncate("1ms")
    key = ["symbol", id_column]
    content = ["price", "quantity", "is_buyer_maker"]
    known = good.with_columns(milliseconds).join(held.select(key).unique(), on=key, how="semi")
    same = held.with_columns(milliseconds, pl.lit(True).alias("same"))
    differing = known.join(same.select(*key, "ts", *content), on=[*key, "ts", *content], how="anti")
    seen = differing.join(
        held.group_by(key).agg(
            pl.col("price").first().alias("held_price"),
            pl.col("quantity").first().alias("held_quantity"),
            pl.col("ts").first().alias("held_ts"),
        ),
        on=key,
    )
    reason = pl.format(
        "id {} is in the lake with other content (price {}, quantity {}, time {}), which stays",
        *(pl.col(id_column), pl.col("held_price"), pl.col("held_quantity"), pl.col("held_ts")),
    )
    return refuse(seen, reason)
