"""Events into payloads, for one set of subscriptions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from streaming.exchange.market import E8, Event, Trade
from streaming.exchange.payloads import QUOTE, TRADE, Aggregate, aggregate_payload, envelope
from streaming.exchange.subscriptions import Writing


class Writer:
    """Writes what `writing` asks for; connections with equal subscriptions share one.

    This is the exchange's hot path: a template per symbol, one formatting a trade.
    """

    def __init__(self, writing: Writing) -> None:
        self.writing = writing
        self._unit = 1 if writing.microseconds else 1_000
        self._trades: dict[str, bytes] = {}
        self._quotes: dict[str, bytes] = {}
        self._aggregates: dict[str, str] = {}
        for stream in writing.streams:
            name, _, kind = stream.partition("@")
            symbol = name.upper()
            if kind == "trade":
                self._trades[symbol] = self._template(stream, TRADE, symbol)
            elif kind == "bookTicker":
                self._quotes[symbol] = self._template(stream, QUOTE, symbol)
            elif kind == "aggTrade":
                self._aggregates[symbol] = stream

    @property
    def aggregate_symbols(self) -> Iterable[str]:
        """The symbols whose aggregates are asked for."""
        return self._aggregates.keys()

    def payloads(self, events: Sequence[Event]) -> list[bytes]:
        """The payloads of those `events` that are asked for, in their order."""
        unit, combined = self._unit, self.writing.combined
        recorded_unit = not self.writing.microseconds
        trades, quotes = self._trades, self._quotes
        written: list[bytes] = []
        write = written.append
        for event in events:
            if isinstance(event, Trade):
                symbol, number, time_us, event_us, price, quantity, sold, _, raw = event
                template = trades.get(symbol)
                if template is None:
                    continue
                if raw is not None and recorded_unit:
                    write(envelope(f"{symbol.lower()}@trade", raw) if combined else raw)
                    continue
                write(
                    template
                    % (
                        event_us // unit,
                        number,
                        price // E8,
                        price % E8,
                        quantity // E8,
                        quantity % E8,
                        time_us // unit,
                        b"true" if sold else b"false",
                    )
                )
            else:
                symbol, number, bid, bid_quantity, ask, ask_quantity, _, raw = event
                template = quotes.get(symbol)
                if template is None:
                    continue
                if raw is not None:
                    write(envelope(f"{symbol.lower()}@bookTicker", raw) if combined else raw)
                    continue
                write(
                    template
                    % (
                        number,
                        *divmod(bid, E8),
                        *divmod(bid_quantity, E8),
                        *divmod(ask, E8),
                        *divmod(ask_quantity, E8),
                    )
                )
        return written

    def aggregate_payloads(self, aggregates: Iterable[Aggregate], event_us: int) -> list[bytes]:
        """The payloads of those `aggregates` that are asked for."""
        written = []
        for each in aggregates:
            stream = self._aggregates.get(each.symbol)
            if stream is not None:
                payload = aggregate_payload(each, event_us, microseconds=self.writing.microseconds)
                written.append(envelope(stream, payload) if self.writing.combined else payload)
        return written

    def _template(self, stream: str, template: bytes, symbol: str) -> bytes:
        # A '%' in a name would be taken for a placeholder.
        text = template % symbol.replace("%", "%%").encode()
        return envelope(stream.replace("%", "%%"), text) if self.writing.combined else text
