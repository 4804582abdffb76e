"""REST answers equal an independent computation from the same trades."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from typing import Any

import httpx
import polars as pl
import pytest
import pytest_asyncio

from streaming.exchange.faults import Fault, FaultKind, Faults
from streaming.exchange.recording import SHIPPED, read_events
from streaming.exchange.server import ALL_TRADES, LocalExchange
from streaming.exchange.synthetic import SyntheticSource

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIDNIGHT_MS = 1_723_161_600_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def session() -> AsyncIterator[httpx.AsyncClient]:
    """REST of the recorded session, all of it made."""
    async with (
        LocalExchange(SHIPPED, published=ALL_TRADES) as exchange,
        httpx.AsyncClient(base_url=f"{exchange.rest_url}/api/v3") as client,
    ):
        yield client


def recorded(symbol: str) -> pl.DataFrame:
    """Trades straight from the recording's files."""
    trades = [
        event
        for path in sorted(SHIPPED.glob(f"{symbol.lower()}_*.gz"))
        for event in read_events(path)
        if hasattr(event, "trade_id")
    ]
    return pl.DataFrame(
        {
            "id": [t.trade_id for t in trades],
            "ms": [t.time_us // 1000 for t in trades],
            "price": [t.price_e8 for t in trades],
            "quantity": [t.quantity_e8 for t in trades],
            "sold": [t.is_buyer_maker for t in trades],
        }
    )


def e8(value: int) -> str:
    return f"{Decimal(value) / 10**8:.8f}"


@pytest.mark.parametrize(("interval", "ms"), [("1s", 1_000), ("1m", 60_000), ("5m", 300_000)])
@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT"])
async def test_klines_equal_a_recomputation_with_polars(
    session: httpx.AsyncClient, symbol: str, interval: str, ms: int
) -> None:
    bought = pl.when("sold").then(0).otherwise(pl.col("quantity"))
    # Grids of 1e-2 and 1e-5: in whole units a bar's sums fit 64 bits.
    quote = (pl.col("price") // 10**6) * (pl.col("quantity") // 10**3)
    expected = (
        recorded(symbol)
        .sort("id")
        .group_by(pl.col("ms") // ms * ms, maintain_order=True)
        .agg(
            pl.col("price").first().alias("open"),
            pl.col("price").max().alias("high"),
            pl.col("price").min().alias("low"),
            pl.col("price").last().alias("close"),
            pl.col("quantity").sum().alias("volume"),
            (quote.sum() * 10).alias("quote"),
            pl.len().alias("trades"),
            bought.sum().alias("bought"),
            (pl.when("sold").then(0).otherwise(quote).sum() * 10).alias("bought_quote"),
        )
        .sort("ms")
    )
    rows: list[list[Any]] = []
    start = 0
    while True:
        answer = await session.get(
            "/klines",
            params={"symbol": symbol, "interval": interval, "startTime": start, "limit": 1000},
        )
        page = answer.raise_for_status().json()
        if not page:
            break
        rows += page
        start = page[-1][6] + 1
    assert [row[0] for row in rows] == list(range(rows[0][0], rows[-1][0] + ms, ms))
    assert all(row[6] == row[0] + ms - 1 and row[11] == "0" for row in rows)
    traded = [row for row in rows if row[8]]
    assert traded == [
        [
            row["ms"],
            *(e8(row[name]) for name in ("open", "high", "low", "close", "volume")),
            row["ms"] + ms - 1,
            e8(row["quote"]),
            row["trades"],
            e8(row["bought"]),
            e8(row["bought_quote"]),
            "0",
        ]
        for row in expected.iter_rows(named=True)
    ]
    for before, row in itertools.pairwise(rows):
        if not row[8]:  # nobody traded: the close before, and no volume
            assert row[1:6] == [before[4]] * 4 + ["0.00000000"]


async def test_klines_without_a_start_are_the_newest(session: httpx.AsyncClient) -> None:
    answer = await session.get("/klines", params={"symbol": "BTCUSDT", "interval": "1m"})
    assert len(answer.json()) == 12
    answer = await session.get(
        "/klines", params={"symbol": "BTCUSDT", "interval": "1m", "limit": 3}
    )
    newest = answer.json()
    assert [row[0] for row in newest] == [MIDNIGHT_MS + 60_000 * minute for minute in (3, 4, 5)]
    day = await session.get("/klines", params={"symbol": "BTCUSDT", "interval": "1d"})
    assert [row[0] for row in day.json()] == [MIDNIGHT_MS - 86_400_000, MIDNIGHT_MS]
    assert sum(row[8] for row in day.json()) == 19_904


async def test_kline_times_follow_the_time_unit_asked_for(session: httpx.AsyncClient) -> None:
    query = {"symbol": "BTCUSDT", "interval": "1h"}
    ms = (await session.get("/klines", params=query)).json()
    header = {"X-MBX-TIME-UNIT": "MICROSECOND"}
    us = (await session.get("/klines", params=query, headers=header)).json()
    assert [row[0] * 1000 for row in ms] == [row[0] for row in us]
    assert us[0][6] == us[0][0] + 3_600_000_000 - 1


async def aggregates(client: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    answer = await client.get("/aggTrades", params={"symbol": "ETHUSDT", "limit": 1000, **query})
    return answer.raise_for_status().json()  # type: ignore[no-any-return]


async def test_aggregate_trades_by_id_cover_every_trade_once(session: httpx.AsyncClient) -> None:
    rows: list[dict[str, Any]] = []
    while page := await aggregates(session, fromId=rows[-1]["a"] + 1 if rows else 0):
        rows += page
    trades = recorded("ETHUSDT")
    runs = [
        list(group)
        for _, group in itertools.groupby(
            trades.iter_rows(named=True), key=lambda t: (t["ms"], t["price"], t["sold"])
        )
    ]
    assert len(rows) == len(runs) < len(trades)
    assert rows == [
        {
            "a": number,
            "p": e8(run[0]["price"]),
            "q": e8(sum(trade["quantity"] for trade in run)),
            "f": run[0]["id"],
            "l": run[-1]["id"],
            "T": run[0]["ms"],
            "m": run[0]["sold"],
            "M": True,
        }
        for number, run in enumerate(runs, 1)
    ]


async def test_aggregate_trades_by_time_are_those_within_it(session: httpx.AsyncClient) -> None:
    start, end = MIDNIGHT_MS - 5_000, MIDNIGHT_MS + 5_000
    rows = await aggregates(session, startTime=start, endTime=end)
    inside = recorded("ETHUSDT").filter(pl.col("ms").is_between(start, end))
    assert (rows[0]["f"], rows[-1]["l"]) == (inside["id"][0], inside["id"][-1])
    assert len(await aggregates(session, startTime=start)) == 1000
    newest = await aggregates(session)
    assert newest[-1]["l"] == 1520553439
    assert await aggregates(session, startTime=end + 10**9) == []


async def test_historical_trades_page_by_id(session: httpx.AsyncClient) -> None:
    query = {"symbol": "BTCUSDT", "fromId": 3735683300, "limit": 3}
    rows = (await session.get("/historicalTrades", params=query)).json()
    expected = recorded("BTCUSDT").filter(pl.col("id") >= 3735683300).head(3)
    assert rows == [
        {
            "id": trade["id"],
            "price": e8(trade["price"]),
            "qty": e8(trade["quantity"]),
            "quoteQty": e8(trade["price"] * trade["quantity"] // 10**8),
            "time": trade["ms"],
            "isBuyerMaker": trade["sold"],
            "isBestMatch": True,
        }
        for trade in expected.iter_rows(named=True)
    ]
    newest = (await session.get("/trades", params={"symbol": "BTCUSDT", "limit": 2})).json()
    assert [row["id"] for row in newest] == [3735703161, 3735703162]
    beyond = {"symbol": "BTCUSDT", "fromId": 3735703163}
    assert (await session.get("/historicalTrades", params=beyond)).json() == []


async def test_exchange_info_tells_symbols_grids_and_limits(session: httpx.AsyncClient) -> None:
    info = (await session.get("/exchangeInfo")).json()
    limits = {each["rateLimitType"]: each for each in info["rateLimits"]}
    assert limits["REQUEST_WEIGHT"]["limit"] == 6000
    assert limits["REQUEST_WEIGHT"]["interval"] == "MINUTE"
    bitcoin, ether = info["symbols"]
    assert (bitcoin["symbol"], bitcoin["baseAsset"], bitcoin["quoteAsset"]) == (
        "BTCUSDT",
        "BTC",
        "USDT",
    )
    assert bitcoin["status"] == "TRADING"
    grids = {each["filterType"]: each for each in ether["filters"]}
    assert grids["PRICE_FILTER"]["tickSize"] == "0.01000000"
    assert grids["LOT_SIZE"]["stepSize"] == "0.00010000"
    only = (await session.get("/exchangeInfo", params={"symbols": '["ETHUSDT"]'})).json()
    assert [each["symbol"] for each in only["symbols"]] == ["ETHUSDT"]


async def test_time_is_the_markets(session: httpx.AsyncClient) -> None:
    time_ms = (await session.get("/time")).json()["serverTime"]
    assert time_ms >= recorded("BTCUSDT")["ms"].max()
    assert time_ms < MIDNIGHT_MS + 400_000
    assert (await session.get("/ping")).json() == {}


@pytest.mark.parametrize(
    ("address", "code", "text"),
    [
        ("/historicalTrades", -1102, "'symbol' was not sent"),
        ("/historicalTrades?symbol=NOPE", -1121, "Invalid symbol."),
        ("/historicalTrades?symbol=btc-usdt", -1100, "Illegal characters"),
        ("/historicalTrades?symbol=BTCUSDT&limit=1001", -1130, "'limit' is not valid"),
        ("/historicalTrades?symbol=BTCUSDT&fromId=-1", -1100, "'fromId'"),
        ("/klines?symbol=BTCUSDT", -1102, "'interval' was not sent"),
        ("/klines?symbol=BTCUSDT&interval=7m", -1120, "Invalid interval."),
        ("/aggTrades?symbol=BTCUSDT&fromId=1&startTime=1", -1128, "Combination"),
        ("/exchangeInfo?symbol=NOPE", -1121, "Invalid symbol."),
        ('/exchangeInfo?symbols=["BTCUSDT","NOPE"]', -1121, "Invalid symbol."),
    ],
)
async def test_a_wrong_query_gets_the_venues_error(
    session: httpx.AsyncClient, address: str, code: int, text: str
) -> None:
    answer = await session.get(address)
    assert answer.status_code == 400
    assert answer.json()["code"] == code
    assert text in answer.json()["msg"]


async def test_klines_where_the_venues_clock_stepped_back(
    record: Callable[[LocalExchange, str], Awaitable[Any]],
) -> None:
    source = SyntheticSource(1, rate=500, seed=2, trades=2_000, start_us=1_700_000_000_000_000)
    fault = Fault(kind=FaultKind.CLOCK_STEP, at_s=2.0, duration_s=1.0, step_ms=-2_500)
    async with (
        LocalExchange(source, speed=0, faults=Faults(event=(fault,))) as exchange,
        httpx.AsyncClient(base_url=exchange.rest_url) as client,
    ):
        await record(exchange, "/ws/btcusdt@trade")
        trades = exchange.trades("BTCUSDT")
        answer = await client.get(
            "/api/v3/klines", params={"symbol": "BTCUSDT", "interval": "1s", "limit": 1000}
        )
    frame = pl.DataFrame(
        {"s": trades.time_us // 1_000_000, "p": trades.price_e8, "q": trades.quantity_e8}
    )
    bars = frame.group_by("s", maintain_order=True).agg(
        pl.col("p").first().alias("o"), pl.col("p").last().alias("c"), pl.len(), pl.col("q").sum()
    )
    expected = {row["s"]: row for row in bars.iter_rows(named=True)}
    traded = {row[0] // 1000: row for row in answer.json() if row[8]}
    assert set(traded) == set(expected)
    for second, row in traded.items():
        bar = expected[second]
        wanted = (e8(bar["o"]), e8(bar["c"]), bar["len"], e8(bar["q"]))
        assert (row[1], row[4], row[8], row[5]) == wanted
