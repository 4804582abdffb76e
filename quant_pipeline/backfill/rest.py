"""Backfill over REST: only the ids that the lake lacks, inside the venue's request budget."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar

import duckdb
import polars as pl

from quant_pipeline.backfill.landing import Lander, Source
from quant_pipeline.backfill.missing import Ids, archived_between, missing_ids, resolve_gaps
from quant_pipeline.backfill.rejects import RejectLog
from streaming.rest import RestClient, RestError, persist
from streaming.venues import DecodeError, RestRequest, RestTrade, Venue, first_unlisted
from streaming.venues.binance import to_microseconds
from streaming.venues.binance_history import decode_aggregates, first_aggregate, newest_trades

_T = TypeVar("_T")

_COMMIT_TRADES: Final = 20_000
_EMPTY_PAGES: Final = 4
_FIRST_WAIT_S: Final = 0.25
_HOLE_PROOF_AFTER_S: Final = 1.0


class BackfillError(RuntimeError):
    """The range cannot be fetched; what was landed before stays, and a new run goes on there."""


@dataclass
class RangeReport:
    """What became of one symbol's range.

    Attributes:
        wanted: ids of the trades in the range; None: the venue has none.
        held: of them, in the lake before.
        new: inserted.
        duplicate: landed by somebody else meanwhile.
        rejected: the lake holds the id with other content.
        venue_holes: ids that the venue itself does not have.
        unanswered: ids for which the venue gave no answer; run again.
        gaps_closed: open gaps of `raw.capture_gaps` that are open no more.
    """

    symbol: str
    wanted: Ids | None = None
    held: int = 0
    new: int = 0
    duplicate: int = 0
    rejected: int = 0
    venue_holes: int = 0
    unanswered: int = 0
    gaps_closed: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether every trade of the range is in the lake."""
        return self.rejected == 0 and self.unanswered == 0


class RestBackfill:
    """Fetches ranges of trades; one at a time.

    Args:
        client: open, with a budget that leaves the live worker its share.
        venue: how trades are asked for and read.
        connection: with the lake attached, writable; used from one thread at a time.
        lander: writes to that connection.
        log: where refused rows go.
        clock: UTC without zone.
        on_progress: called with the trades fetched, and all that are to be fetched.
    """

    def __init__(
        self,
        client: RestClient,
        venue: Venue,
        connection: duckdb.DuckDBPyConnection,
        lander: Lander,
        log: RejectLog,
        *,
        clock: Callable[[], datetime],
        on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> None:
        self._client = client
        self._venue = venue
        self._connection = connection
        self._lander = lander
        self._log = log
        self._clock = clock
        self._on_progress = on_progress

    async def check_symbols(self, symbols: Sequence[str]) -> None:
        """Read the venue's symbols and limits; raises BackfillError for a symbol it lacks."""
        body = await self._persist(lambda: self._client.get(self._venue.info()))
        info = self._venue.decode_info(body)
        if info.weight_per_minute is not None:
            self._client.budget.configure(info.weight_per_minute)
        if found := first_unlisted(symbols, info.symbols):
            symbol, hint = found
            raise BackfillError(f"{self._venue.name} does not trade {symbol!r}{hint}")

    async def fetch(self, symbol: str, start: datetime, end: datetime) -> RangeReport:
        """Land every trade of [start, end) that the lake lacks.

        Args:
            start, end: UTC without zone, whole milliseconds.

        Raises:
            BackfillError: the venue does not answer, or a day of the range is archived.
        """
        archived = archived_between(self._connection, start, end)
        if archived:
            raise BackfillError(
                f"the ticks of {archived[0]} are archived (and {len(archived) - 1} days more): "
                f"`quant restore {archived[0]}` first, or choose a range without them"
            )
        report = RangeReport(symbol)
        report.wanted = await self._ids_between(symbol, start, end)
        if report.wanted is None:
            return report
        todo = self._missing(symbol, report.wanted, start, end)
        total = sum(span.width for span in todo)
        report.held = report.wanted.width - total
        await self._fetch_spans(report, todo, total)
        absent = self._missing(symbol, report.wanted, start, end) if todo else []
        holes = await self._confirm_holes(report, absent)
        still_missing = [span for span in absent if span not in holes]
        report.venue_holes = sum(span.width for span in holes)
        report.unanswered = sum(span.width for span in still_missing)
        report.gaps_closed = resolve_gaps(
            self._connection,
            self._venue.name,
            symbol,
            report.wanted,
            holes,
            still_missing,
            self._clock(),
        )
        return report

    def _missing(self, symbol: str, wanted: Ids, start: datetime, end: datetime) -> list[Ids]:
        return missing_ids(self._connection, self._venue.name, symbol, wanted, start, end)

    async def _ids_between(self, symbol: str, start: datetime, end: datetime) -> Ids | None:
        """Ids of the trades in [start, end): trades of one aggregate share its time."""
        first = await self._aggregate(symbol, start)
        if first is None or first[1] >= _milliseconds(end) * 1000:
            return None
        beyond = await self._aggregate(symbol, end)
        if beyond is not None:
            return Ids(first[0].first, beyond[0].first - 1)
        # The last order's aggregate appears only once it is complete: ask for the trades.
        newest = self._venue.decode_trades(await self._get(newest_trades(symbol)))
        inside = [each.trade_id for each in newest if each.ts_us < _milliseconds(end) * 1000]
        return Ids(first[0].first, max(inside, default=first[0].last))

    async def _aggregate(self, symbol: str, start: datetime) -> tuple[Ids, int] | None:
        body = await self._get(first_aggregate(symbol, _milliseconds(start)))
        found = decode_aggregates(body)
        return (
            (Ids(found[0].first_id, found[0].last_id), to_microseconds(found[0].time))
            if found
            else None
        )

    async def _fetch_spans(self, report: RangeReport, todo: Sequence[Ids], total: int) -> None:
        waiting: list[RestTrade] = []
        done = 0
        for span in todo:
            next_id = span.first
            while next_id <= span.last:
                page = await self._page(report.symbol, next_id)
                if not page:
                    break  # told as unanswered, unless a later page tells
                waiting += [trade for trade in page if trade.trade_id <= span.last]
                reached = min(page[-1].trade_id, span.last)
                done += reached - next_id + 1
                next_id = page[-1].trade_id + 1
                if len(waiting) >= _COMMIT_TRADES:
                    await self._land(report, waiting)
                    waiting = []
                self._on_progress(done, total)
        await self._land(report, waiting)

    async def _confirm_holes(self, report: RangeReport, absent: Sequence[Ids]) -> list[Ids]:
        """Spans that a second page, a while later, skips again: the venue does not have them."""
        if not absent:
            return []
        await asyncio.sleep(_HOLE_PROOF_AFTER_S)
        holes = []
        for span in absent:
            page = await self._page(report.symbol, span.first)
            if page and page[0].trade_id > span.last:
                holes.append(span)
        return holes

    async def _land(self, report: RangeReport, trades: Sequence[RestTrade]) -> None:
        if not trades:
            return
        frame = _frame(report.symbol, trades)
        source = Source("rest", f"rest {report.symbol}", self._venue.name, report.symbol, "trades")
        landed = await asyncio.to_thread(
            self._lander.land,
            source,
            frame,
            recorded=False,
            on_refused=lambda rows: self._log.add(source.name, rows),
        )
        report.new += landed.new
        report.duplicate += landed.duplicate
        report.rejected += landed.refused.height

    async def _page(self, symbol: str, from_id: int) -> list[RestTrade]:
        async def fetch() -> list[RestTrade]:
            body = await self._client.get(self._venue.trades_from(symbol, from_id))
            return self._venue.decode_trades(body)

        # An empty page proves nothing: the venue sometimes sends one under load.
        for attempt in range(1, _EMPTY_PAGES + 1):
            if page := await self._persist(fetch):
                return page
            if attempt < _EMPTY_PAGES:
                await asyncio.sleep(_FIRST_WAIT_S * attempt)
        return []

    async def _get(self, request: RestRequest) -> bytes:
        return await self._persist(lambda: self._client.get(request))

    async def _persist(self, fetch: Callable[[], Awaitable[_T]]) -> _T:
        try:
            return await persist(fetch)
        except (RestError, DecodeError) as error:
            raise BackfillError(
                f"the venue does not answer ({error}); what was landed so far stays: "
                "run the same command again to go on"
            ) from error


def _frame(symbol: str, trades: Sequence[RestTrade]) -> pl.DataFrame:
    """Trades as `rows.check` returns rows; REST decoding has checked them already."""
    columns = {
        "symbol": [symbol] * len(trades),
        "trade_id": [trade.trade_id for trade in trades],
        "ts": [trade.ts_us for trade in trades],
        "price": [trade.price for trade in trades],
        "quantity": [trade.quantity for trade in trades],
        "is_buyer_maker": [trade.is_buyer_maker for trade in trades],
        "row": [trade.trade_id for trade in trades],
        "text": [str(trade) for trade in trades],
    }
    return pl.DataFrame(columns).with_columns(pl.from_epoch("ts", time_unit="us"))


def _milliseconds(moment: datetime) -> int:
    return round(moment.replace(tzinfo=UTC).timestamp() * 1000)
