"""A recorded session as a market: lines of `<receive time in ns> <raw frame>`, plain or gzipped.

Trades and best quotes are replayed in the order of their receive times, several files merged;
every other frame is skipped. Files are read as they are played, so their size does not matter.
"""

from __future__ import annotations

import gzip
import heapq
from collections.abc import Iterator, Sequence
from itertools import islice
from math import gcd
from operator import attrgetter
from pathlib import Path

import msgspec

from streaming.exchange.market import Event, Instrument, Quote, Trade, parse_e8

SHIPPED = Path(__file__).parent / "recordings" / "binance_spot_20240808"
"""BTCUSDT and ETHUSDT, 2024-08-08 23:54:15 to 2024-08-09 00:05:05 UTC: 34,419 trades."""

_SCANNED_LINES = 5_000
_LOOP_PAUSE_US = 1_000_000


class _Envelope(msgspec.Struct, gc=False):
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")


class _Kind(msgspec.Struct, gc=False):
    e: str | None = None


class _TradeData(msgspec.Struct, gc=False):
    s: str
    t: int
    p: str
    q: str
    T: int
    E: int
    m: bool


class _QuoteData(msgspec.Struct, gc=False):
    s: str
    u: int
    b: str
    B: str
    a: str
    A: str


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_kind = msgspec.json.Decoder(_Kind).decode
_decode_trade = msgspec.json.Decoder(_TradeData).decode
_decode_quote = msgspec.json.Decoder(_QuoteData).decode


def recording_files(path: Path) -> list[Path]:
    """The recording's files: `path` itself, or what a folder holds but for licences and notes.

    Raises:
        FileNotFoundError: there is no such file or folder, or the folder holds no recording.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(
            f"recording {str(path)!r} does not exist; name a file or folder of "
            "'<receive ns> <raw frame>' lines"
        )
    files = sorted(
        file
        for file in path.iterdir()
        if file.is_file() and file.suffix not in {".txt", ".md"} and not file.name.startswith(".")
    )
    if not files:
        raise FileNotFoundError(f"recording folder {str(path)!r} holds no files")
    return files


def read_events(path: Path) -> Iterator[Event]:
    """The trades and quotes of one file, in its order.

    Raises:
        ValueError: a line does not begin with a receive time; names the file and line.
    """
    with gzip.open(path) if _is_gzip(path) else path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            stripped = line.strip()
            if not stripped:
                continue
            received, _, frame = stripped.partition(b" ")
            if not received.isdigit() or not frame:
                raise ValueError(
                    f"{path}, line {number}: {line[:40]!r} is not '<receive time in ns> <frame>'"
                )
            event = parse_frame(frame, int(received) // 1_000)
            if event is not None:
                yield event


def parse_frame(frame: bytes, at_us: int) -> Event | None:
    """A trade or a best quote, in a raw or a combined stream's frame; None for anything else."""
    try:
        envelope = _decode_envelope(frame)
        payload = bytes(envelope.data) if envelope.stream else frame
        kind = _decode_kind(payload).e
        if kind == "trade":
            t = _decode_trade(payload)
            return Trade(
                t.s,
                t.t,
                _microseconds(t.T),
                _microseconds(t.E),
                parse_e8(t.p),
                parse_e8(t.q),
                t.m,
                at_us,
                payload,
            )
        if kind is None or kind == "bookTicker":
            q = _decode_quote(payload)
            return Quote(
                q.s,
                q.u,
                parse_e8(q.b),
                parse_e8(q.B),
                parse_e8(q.a),
                parse_e8(q.A),
                at_us,
                payload,
            )
    except (msgspec.MsgspecError, ValueError):
        return None
    return None


def _microseconds(venue_time: int) -> int:
    """The venue stamps ms, or µs when asked to: 1e14 µs is 1973, 1e14 ms is the year 5138."""
    return venue_time if venue_time >= 100_000_000_000_000 else venue_time * 1_000


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


class RecordingSource:
    """A recording as a market.

    A trade frame recorded twice (where the recorder reconnected, say) is played once.

    Args:
        path: file or folder.
        loop: play it again and again, with ids and times shifted on so that trade ids stay
            contiguous and time does not go back.
    """

    def __init__(self, path: Path | str, *, loop: bool = False) -> None:
        self._files = recording_files(Path(path))
        self._loop = loop
        self._instruments = _scan(self._files)
        if not self._instruments:
            raise ValueError(f"recording {str(path)!r} holds no trade or bookTicker frame")
        self._events = self._read()
        self._next: Event | None = next(self._events, None)

    @property
    def instruments(self) -> Sequence[Instrument]:
        return list(self._instruments.values())

    follows_the_clock = False

    def open(self, now_us: int) -> int:
        """Start at the recording's own first receive time, whatever the wall clock says."""
        return now_us if self._next is None else self._next.at_us

    def next_at_us(self) -> int | None:
        return None if self._next is None else self._next.at_us

    def take(self, until_us: int | None, limit: int) -> list[Event]:
        taken: list[Event] = []
        while self._next is not None and len(taken) < limit:
            if until_us is not None and self._next.at_us > until_us:
                break
            taken.append(self._next)
            self._next = next(self._events, None)
        return taken

    def _read(self) -> Iterator[Event]:
        shift = _Shift()
        newest: dict[str, int] = {}
        while True:
            for recorded in heapq.merge(*map(read_events, self._files), key=attrgetter("at_us")):
                event = shift.apply(recorded)
                if isinstance(event, Trade):
                    if event.trade_id <= newest.get(event.symbol, -1):
                        continue
                    newest[event.symbol] = event.trade_id
                if event.symbol not in self._instruments:
                    self._instruments[event.symbol] = _instrument(event.symbol, [event])
                yield event
            if not self._loop:
                return
            shift.advance()


class _Shift:
    """What is added to ids and times in the second and later rounds of a loop."""

    def __init__(self) -> None:
        self._round = 0
        self._first_us: int | None = None
        self._last_us = 0
        self._trade_ids: dict[str, tuple[int, int]] = {}
        self._update_ids: dict[str, tuple[int, int]] = {}

    def apply(self, event: Event) -> Event:
        seen = self._trade_ids if isinstance(event, Trade) else self._update_ids
        number = event.trade_id if isinstance(event, Trade) else event.update_id
        if self._round == 0:
            if self._first_us is None:
                self._first_us = event.at_us
            self._last_us = event.at_us
            first, last = seen.get(event.symbol, (number, number))
            seen[event.symbol] = (min(first, number), max(last, number))
            return event
        first, last = seen[event.symbol]
        number += self._round * (last - first + 1)
        time_us = self._round * self._period_us()
        if isinstance(event, Trade):
            return event._replace(
                trade_id=number,
                time_us=event.time_us + time_us,
                event_us=event.event_us + time_us,
                at_us=event.at_us + time_us,
                raw=None,
            )
        return event._replace(update_id=number, at_us=event.at_us + time_us, raw=None)

    def advance(self) -> None:
        self._round += 1

    def _period_us(self) -> int:
        assert self._first_us is not None
        seconds, _ = divmod(self._last_us - self._first_us + _LOOP_PAUSE_US, 1_000_000)
        return (seconds + 1) * 1_000_000


def _scan(files: Sequence[Path]) -> dict[str, Instrument]:
    """The symbols at the head of each file, and the grids that their prices lie on there."""
    heads: dict[str, list[Event]] = {}
    for file in files:
        for event in islice(read_events(file), _SCANNED_LINES):
            heads.setdefault(event.symbol, []).append(event)
    return {symbol: _instrument(symbol, heads[symbol]) for symbol in sorted(heads)}


def _instrument(symbol: str, events: Sequence[Event]) -> Instrument:
    tick = step = 0
    for event in events:
        if isinstance(event, Trade):
            tick, step = gcd(tick, event.price_e8), gcd(step, event.quantity_e8)
        else:
            tick = gcd(tick, event.bid_e8, event.ask_e8)
            step = gcd(step, event.bid_quantity_e8, event.ask_quantity_e8)
    return Instrument.of(symbol, tick_size_e8=_power(tick), step_size_e8=_power(step))


def _power(common: int) -> int:
    """The largest power of ten that divides `common`: grids are powers of ten."""
    power = 1
    while common and common % (power * 10) == 0:
        power *= 10
    return power
