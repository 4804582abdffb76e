"""Whether the capture can be trusted: ticks, sessions, gaps and revisions of a UTC date."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

import duckdb
import polars as pl

from quant_pipeline.research import reading


@dataclass(frozen=True)
class CaptureQuality:
    """The state of a date's capture at one lake snapshot.

    Attributes:
        venue: exchange.
        day: UTC date.
        ticks: per symbol `trades` (each id once), `rows` (as landed), `first_id, last_id, missing`
            (ids between them that are absent though the venue has them), `venue_holes` (absent ids
            that the venue has not either), `first_ts, last_ts`, `longest_silence_s`,
            `delay_median_ms, delay_p99_ms` from exchange to reception.
        sessions: capture sessions that touch the date: `connected_at, disconnected_at, is_open,
            reason, trades, symbols`. One that nobody ended is open if its writer is the newest; a
            writer before it was killed, and its session touches the dates up to its last commit.
        gaps: capture gaps detected on the date, with their fate.
        revisions: per symbol and timeframe, final bars that were changed; empty before dbt ran.
        reconciliations: the last comparison with the venue's klines, of any date, per symbol and
            timeframe: `symbol, timeframe, taken_at, window_start, window_end, bars, differences,
            fields, unrepaired`; no rows if none was ever made.
        snapshot: lake snapshot id.
        alerts: of every subject, on the date; see `reading.read_alerts`.
    """

    venue: str
    day: dt.date
    ticks: pl.DataFrame
    sessions: pl.DataFrame
    gaps: pl.DataFrame
    revisions: pl.DataFrame
    snapshot: int
    reconciliations: pl.DataFrame = field(default_factory=pl.DataFrame)
    alerts: pl.DataFrame = field(default_factory=pl.DataFrame)

    @property
    def missing(self) -> int:
        """Trade ids that are absent between the first and the last of each symbol, but for those
        that the venue itself has not.
        """
        return int(self.ticks["missing"].sum())

    @property
    def open_gaps(self) -> int:
        """Gaps that are not repaired and not known to be the venue's own."""
        return int((self.gaps["status"] == "open").sum())

    def metrics(self) -> dict[str, float | int | None]:
        """Headline numbers."""
        return {
            "symbols": self.ticks.height,
            "trades": int(self.ticks["trades"].sum()),
            "missing_ids": self.missing,
            "gaps": self.gaps.height,
            "open_gaps": self.open_gaps,
            "alerts": self.alerts.height,
            "sessions": self.sessions.height,
            "revised_bars": int(self.revisions["revised"].sum()) if self.revisions.height else 0,
            "lake_snapshot": self.snapshot,
        }


def load(
    connection: duckdb.DuckDBPyConnection, *, venue: str, symbols: Sequence[str], day: dt.date
) -> CaptureQuality:
    """Read the state of capture of a UTC date at one lake snapshot."""
    where = reading.utc_day(venue, day)
    with reading.one_snapshot(connection) as snapshot:
        return CaptureQuality(
            venue=venue,
            day=day,
            ticks=_ticks(connection, where, symbols),
            sessions=_sessions(connection, where),
            gaps=reading.read_gaps(connection, where, symbols=symbols),
            revisions=_revisions(connection, where, symbols),
            snapshot=snapshot,
            reconciliations=_reconciliations(connection, venue, symbols),
            alerts=reading.read_alerts(connection, where),
        )


def _ticks(
    connection: duckdb.DuckDBPyConnection, where: reading.Window, symbols: Sequence[str]
) -> pl.DataFrame:
    return connection.execute(
        """
        with landed as (
            select symbol, trade_id, ts, received_at
            from lake.raw.ticks
            where venue = $venue and symbol in (select unnest($symbols))
                and ts >= $start and ts < $end
        ),
        trades as (
            select symbol, trade_id, min(ts) as ts, min(received_at) as received_at
            from landed group by symbol, trade_id
        ),
        silences as (
            select *, ts - lag(ts) over (partition by symbol order by ts, trade_id) as silence
            from trades
        ),
        holes as (
            select distinct symbol, first_id, last_id, max(last_id) over (
                partition by symbol order by first_id, last_id
                rows between unbounded preceding and 1 preceding
            ) as covered
            from lake.raw.capture_gaps where venue = $venue and status = 'venue_hole'
        ),
        spans as (  -- holes less what earlier ones cover
            select symbol, greatest(first_id, coalesce(covered + 1, first_id)) as first_id, last_id
            from holes where last_id > coalesce(covered, first_id - 1)
        ),
        symbols as (
            select
                symbol,
                count(*) as trades,
                min(trade_id) as first_id,
                max(trade_id) as last_id,
                max(trade_id) - min(trade_id) + 1 - count(*) as absent,
                min(ts) as first_ts,
                max(ts) as last_ts,
                epoch(max(silence)) as longest_silence_s,
                median(epoch_ms(received_at) - epoch_ms(ts)) as delay_median_ms,
                quantile_cont(epoch_ms(received_at) - epoch_ms(ts), 0.99) as delay_p99_ms
            from silences group by symbol
        ),
        known as (
            select symbol, sum(greatest(
                least(spans.last_id, symbols.last_id)
                - greatest(spans.first_id, symbols.first_id) + 1, 0
            )) as ids
            from spans join symbols using (symbol) group by symbol
        )
        select
            symbol,
            trades,
            (select count(*) from landed where landed.symbol = symbols.symbol) as rows,
            first_id,
            last_id,
            cast(least(coalesce(known.ids, 0), absent) as bigint) as venue_holes,
            absent - venue_holes as missing,
            first_ts,
            last_ts,
            longest_silence_s,
            delay_median_ms,
            delay_p99_ms
        from symbols left join known using (symbol) order by symbol
        """,
        {
            "venue": where.venue,
            "symbols": list(symbols),
            "start": where.start,
            "end": where.end,
        },
    ).pl()


def _sessions(connection: duckdb.DuckDBPyConnection, where: reading.Window) -> pl.DataFrame:
    return connection.execute(
        """
        with sessions as (
            select
                *,
                disconnected_at is null
                    and writer = arg_max(writer, connected_at) over () as is_open
            from lake.raw.capture_sessions where venue = $venue
        ),
        killed as (
            select writer, max(committed_at) as last_seen from lake.raw.commits
            where writer in (
                select writer from sessions where disconnected_at is null and not is_open
            )
            group by writer
        )
        select connected_at, disconnected_at, is_open, reason, trades, len(symbols) as symbols
        from sessions left join killed using (writer)
        where connected_at < $end
            and (is_open or coalesce(disconnected_at, last_seen, connected_at) >= $start)
        order by connected_at
        """,
        {"venue": where.venue, "start": where.start, "end": where.end},
    ).pl()


def _revisions(
    connection: duckdb.DuckDBPyConnection, where: reading.Window, symbols: Sequence[str]
) -> pl.DataFrame:
    try:
        return connection.execute(
            "select symbol, timeframe, count(*) as revised, max(revised_at) as latest"
            " from lake.bars.ohlc_revisions"
            " where venue = ? and symbol in (select unnest(?)) and bucket >= ? and bucket < ?"
            " group by symbol, timeframe order by symbol, timeframe",
            [where.venue, list(symbols), where.start, where.end],
        ).pl()
    except duckdb.CatalogException:
        return pl.DataFrame(
            schema={
                "symbol": pl.String,
                "timeframe": pl.String,
                "revised": pl.Int64,
                "latest": pl.Datetime("us"),
            }
        )


def _reconciliations(
    connection: duckdb.DuckDBPyConnection, venue: str, symbols: Sequence[str]
) -> pl.DataFrame:
    return connection.execute(
        "select symbol, timeframe, taken_at, window_start, window_end, bars, differences, fields,"
        " unrepaired from lake.analytics.reconciliations"
        " where venue = ? and symbol in (select unnest(?))"
        " qualify row_number() over (partition by symbol, timeframe order by taken_at desc) = 1"
        " order by symbol, timeframe",
        [venue, list(symbols)],
    ).pl()
