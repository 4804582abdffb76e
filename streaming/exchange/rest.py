"""The venue's REST market data, computed from the trades that the exchange has published."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from streaming.exchange.history import TradeHistory
from streaming.exchange.klines import INTERVALS_S, klines
from streaming.exchange.limits import ATTEMPT_WINDOW_S, MAX_ATTEMPTS, MAX_WEIGHT
from streaming.exchange.market import E8, Instrument, format_e8

_SYMBOL = re.compile(r"[A-Z0-9]{1,20}")
_MAX_LIMIT = 1_000
_DEFAULT_LIMIT = 500

Parameters = Mapping[str, str]


class RestError(Exception):
    """A request the venue refuses: HTTP status, the venue's code and its message."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"code": code, "msg": message}


@dataclass
class RestMarket:
    """What the REST endpoints look at."""

    instruments: Callable[[], Mapping[str, Instrument]]
    histories: Mapping[str, TradeHistory]
    halted: set[str]
    time_us: Callable[[], int]
    """The venue's clock."""


@dataclass(frozen=True)
class Endpoint:
    """An address under `/api/v3/`, its request weight and what answers it."""

    weight: int
    answer: Callable[[RestMarket, Parameters, int], Any]
    """Called with the market, the query and the unit of the times in µs; may raise RestError."""
    is_market_data: bool = True
    """Whether slow and empty pages may be injected."""


def _ping(market: RestMarket, query: Parameters, unit_us: int) -> Any:
    return {}


def _time(market: RestMarket, query: Parameters, unit_us: int) -> Any:
    return {"serverTime": market.time_us() // unit_us}


def _exchange_info(market: RestMarket, query: Parameters, unit_us: int) -> Any:
    instruments = market.instruments()
    wanted = list(instruments)
    if "symbol" in query:
        wanted = [_known_symbol(market, query)]
    elif "symbols" in query:
        wanted = re.findall(r'"([^"]*)"', query["symbols"])
        for symbol in wanted:
            _known_symbol(market, {"symbol": symbol})
    return {
        "timezone": "UTC",
        "serverTime": market.time_us() // unit_us,
        "rateLimits": [
            {
                "rateLimitType": "REQUEST_WEIGHT",
                "interval": "MINUTE",
                "intervalNum": 1,
                "limit": MAX_WEIGHT,
            },
            {
                "rateLimitType": "CONNECTIONS",
                "interval": "MINUTE",
                "intervalNum": int(ATTEMPT_WINDOW_S // 60),
                "limit": MAX_ATTEMPTS,
            },
        ],
        "exchangeFilters": [],
        "symbols": [_describe(instruments[symbol], symbol in market.halted) for symbol in wanted],
    }


def _describe(instrument: Instrument, halted: bool) -> dict[str, Any]:
    return {
        "symbol": instrument.symbol,
        "status": "HALT" if halted else "TRADING",
        "baseAsset": instrument.base_asset,
        "baseAssetPrecision": 8,
        "quoteAsset": instrument.quote_asset,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "isSpotTradingAllowed": True,
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": format_e8(instrument.tick_size_e8)},
            {"filterType": "LOT_SIZE", "stepSize": format_e8(instrument.step_size_e8)},
        ],
        "permissions": ["SPOT"],
    }


def _newest_trades(market: RestMarket, query: Parameters, unit_us: int) -> Any:
    history = _history(market, query)
    return _trade_rows(history, history.newest_rows(_limit(query)), unit_us)


def _historical_trades(market: RestMarket, query: Parameters, unit_us: int) -> Any:
    history = _history(market, query)
    from_id = _integer(query, "fromId")
    limit = _limit(query)
    rows = history.newest_rows(limit) if from_id is None else history.rows_from(from_id, limit)
    return _trade_rows(history, rows, unit_us)


def _trade_rows(history: TradeHistory, rows: range, unit_us: int) -> list[dict[str, Any]]:
    trades = history.columns(rows)
    columns = zip(
        trades.trade_id.tolist(),
        trades.time_us.tolist(),
        trades.price_e8.tolist(),
        trades.quantity_e8.tolist(),
        trades.is_buyer_maker.tolist(),
        strict=True,
    )
    return [
        {
            "id": trade_id,
            "price": format_e8(price),
            "qty": format_e8(quantity),
            "quoteQty": format_e8(price * quantity // E8),
            "time": time_us // unit_us,
            "isBuyerMaker": is_buyer_maker,
            "isBestMatch": True,
        }
        for trade_id, time_us, price, quantity, is_buyer_maker in columns
    ]


def _aggregate_trades(market: RestMarket, query: Parameters, unit_us: int) -> Any:
    history = _history(market, query)
    limit = _limit(query)
    from_id = _integer(query, "fromId")
    start_us, end_us = _time_us(query, "startTime"), _time_us(query, "endTime")
    history.complete_aggregates(market.time_us())
    count = history.aggregates
    if from_id is not None:
        if start_us is not None or end_us is not None:
            _refuse(-1128, "Combination of optional parameters invalid.")
        first = max(from_id, 1) - 1
        indices = range(first, min(first + limit, count))
    elif start_us is None and end_us is None:
        indices = range(max(0, count - limit), count)
    else:
        # endTime is inclusive in the unit it was sent in.
        stop_us = 2**62 if end_us is None else end_us + _unit_of(query, "endTime")
        indices = history.aggregates_between(start_us or 0, stop_us, limit)
    aggregates = [history.aggregate(index) for index in indices]
    return [
        {
            "a": each.aggregate_id,
            "p": format_e8(each.price_e8),
            "q": format_e8(each.quantity_e8),
            "f": each.first_id,
            "l": each.last_id,
            "T": each.time_us // unit_us,
            "m": each.is_buyer_maker,
            "M": True,
        }
        for each in aggregates
    ]


def _klines(market: RestMarket, query: Parameters, unit_us: int) -> Any:
    history = _history(market, query)
    interval = query.get("interval")
    if not interval:
        _missing("interval")
    if interval not in INTERVALS_S:
        _refuse(-1120, "Invalid interval.")
    return klines(
        history,
        INTERVALS_S[interval],
        start_us=_time_us(query, "startTime"),
        end_us=_time_us(query, "endTime"),
        limit=_limit(query),
        unit_us=unit_us,
    )


ENDPOINTS: Mapping[str, Endpoint] = {
    "ping": Endpoint(1, _ping, is_market_data=False),
    "time": Endpoint(1, _time, is_market_data=False),
    "exchangeInfo": Endpoint(20, _exchange_info, is_market_data=False),
    "trades": Endpoint(25, _newest_trades),
    "historicalTrades": Endpoint(25, _historical_trades),
    "aggTrades": Endpoint(4, _aggregate_trades),
    "klines": Endpoint(2, _klines),
}
"""What is served under `/api/v3/`; the weights are the venue's."""


# --- query parameters ---
def _history(market: RestMarket, query: Parameters) -> TradeHistory:
    symbol = _known_symbol(market, query)
    return market.histories.get(symbol) or TradeHistory(symbol)


def _known_symbol(market: RestMarket, query: Parameters) -> str:
    symbol = query.get("symbol", "")
    if not symbol:
        _missing("symbol")
    if not _SYMBOL.fullmatch(symbol):
        _refuse(
            -1100,
            "Illegal characters found in parameter 'symbol'; legal range is '^[A-Z0-9-_.]{1,20}$'.",
        )
    if symbol not in market.instruments():
        _refuse(-1121, "Invalid symbol.")
    return symbol


def _limit(query: Parameters) -> int:
    limit = _integer(query, "limit")
    if limit is None:
        return _DEFAULT_LIMIT
    if not 1 <= limit <= _MAX_LIMIT:
        _refuse(-1130, "Data sent for parameter 'limit' is not valid.")
    return limit


def _integer(query: Parameters, name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not re.fullmatch(r"\d{1,19}", text):
        _refuse(
            -1100,
            f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.",
        )
    return int(text)


def _time_us(query: Parameters, name: str) -> int | None:
    """A time sent in ms or µs (the venue takes both) in µs."""
    value = _integer(query, name)
    return None if value is None else value * _unit_of(query, name)


def _unit_of(query: Parameters, name: str) -> int:
    value = _integer(query, name)
    return 1 if value is not None and value >= 100_000_000_000_000 else 1_000


def _missing(name: str) -> NoReturn:
    _refuse(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def _refuse(code: int, message: str) -> NoReturn:
    raise RestError(400, code, message)
