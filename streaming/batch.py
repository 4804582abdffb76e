"""What one lake commit carries: trades, gap rows, session rows, under one (writer, sequence)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streaming.gaps import GapChanges
from streaming.intake import Records
from streaming.venues import MICROSECONDS_FROM

TICK_SCHEMA: Final = pa.schema(
    [
        pa.field("venue", pa.dictionary(pa.int32(), pa.string())),
        pa.field("symbol", pa.dictionary(pa.int32(), pa.string())),
        pa.field("trade_id", pa.int64()),
        pa.field("ts", pa.timestamp("us")),
        pa.field("received_at", pa.timestamp("us")),
        pa.field("price", pa.float64()),
        pa.field("quantity", pa.float64()),
        pa.field("is_buyer_maker", pa.bool_()),
    ]
)


class SessionRow(NamedTuple):
    """A row of `raw.capture_sessions`, without venue and writer. Times in microseconds."""

    session_id: str
    url: str
    symbols: tuple[str, ...]
    connected_us: int
    disconnected_us: int | None
    reason: str | None
    trades: int


@dataclass(frozen=True)
class Batch:
    """One commit. `(writer, sequence)` names it for ever: landed twice, it counts once."""

    writer: str
    sequence: int
    sealed_us: int
    ticks: pa.Table
    gaps: GapChanges = field(default_factory=GapChanges)
    sessions: tuple[SessionRow, ...] = ()

    @property
    def rows(self) -> int:
        return int(self.ticks.num_rows)

    def __bool__(self) -> bool:
        return bool(self.rows or self.gaps or self.sessions)


_Array = npt.NDArray[Any]


class Frozen(NamedTuple):
    """Trades as columns."""

    symbol: _Array
    trade_id: _Array
    ts_us: _Array
    received: _Array
    price: _Array
    quantity: _Array
    is_buyer_maker: _Array

    def take(self, rows: _Array) -> Frozen:
        return Frozen(*(column[rows] for column in self))


def freeze(records: Records) -> Frozen:
    """Records as columns; times all in microseconds."""
    fields = records.view()
    time = fields["time"]
    return Frozen(
        np.ascontiguousarray(fields["symbol"]),
        np.ascontiguousarray(fields["trade_id"]),
        np.where(time >= MICROSECONDS_FROM, time, time * 1000),
        np.ascontiguousarray(fields["received"]),
        np.ascontiguousarray(fields["price"]),
        np.ascontiguousarray(fields["quantity"]),
        np.ascontiguousarray(fields["is_buyer_maker"]),
    )


def split_held(
    fresh: Frozen, carried: Frozen | None, hold_from: Mapping[int, int]
) -> tuple[Frozen, Frozen | None]:
    """Part the trades that may land from those that wait for a suspected id below them.

    Args:
        carried: what waited last time.
        hold_from: per symbol index, the first id that waits.

    Returns:
        Trades to land, sorted by symbol, time and id; and trades to carry over (None: none).
    """
    if carried is not None:
        fresh = Frozen(*map(np.concatenate, zip(carried, fresh, strict=True)))
    waits = np.zeros(len(fresh.trade_id), bool)
    for index, first in hold_from.items():
        waits |= (fresh.symbol == index) & (fresh.trade_id >= first)
    held = fresh.take(waits) if waits.any() else None
    ready = fresh.take(~waits) if held is not None else fresh
    return ready.take(np.lexsort((ready.trade_id, ready.ts_us, ready.symbol))), held


def to_table(trades: Frozen, venue: str, symbols: Sequence[str]) -> pa.Table:
    """The trades as a table of `TICK_SCHEMA`."""
    rows = len(trades.trade_id)
    columns = [
        pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), pa.array([venue])),
        pa.DictionaryArray.from_arrays(trades.symbol, pa.array(symbols, pa.string())),
        pa.array(trades.trade_id),
        pa.array(trades.ts_us, pa.timestamp("us")),
        pa.array(trades.received, pa.timestamp("us")),
        pa.array(trades.price),
        pa.array(trades.quantity),
        pa.array(trades.is_buyer_maker.astype(bool)),
    ]
    return pa.Table.from_arrays(columns, schema=TICK_SCHEMA)
