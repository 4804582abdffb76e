"""Binance's bytes become trades, and no bytes whatever break the reader."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.exchange import recording
from streaming.intake import Channel, Intake
from streaming.rejects import Rejects
from streaming.venues import (
    DECODE_ERRORS,
    Control,
    DecodeError,
    Ignored,
    RateSignal,
    Reply,
    RestTrade,
    Shutdown,
    VenueInfo,
    by_name,
)
from streaming.venues.binance import Binance

VENUE = Binance()
TRADE = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT",'
    b'"t":3735683259,"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}'
)


def recorded_frames() -> Iterator[bytes]:
    for path in sorted(recording.SHIPPED.glob("*.gz")):
        with gzip.open(path) as lines:
            for line in lines:
                yield line.split(b" ", 1)[1].strip()


def test_a_trade_is_read() -> None:
    trade = VENUE.decode_trade(TRADE).data
    assert (trade.symbol, trade.trade_id, trade.time) == ("BTCUSDT", 3735683259, 1723161255342)
    assert (trade.price, trade.quantity, trade.is_buyer_maker) == (61837.63, 0.02, True)


def test_every_recorded_price_and_quantity_survives_as_a_double() -> None:
    seen = 0
    for frame in recorded_frames():
        if b'"e":"trade"' not in frame:
            continue
        raw = json.loads(frame)["data"]
        trade = VENUE.decode_trade(frame).data
        assert f"{trade.price:.8f}" == raw["p"]
        assert f"{trade.quantity:.8f}" == raw["q"]
        seen += 1
    assert seen == 34_419


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"61837.63000000"', b'"NaN"'),
        (b'"61837.63000000"', b'"-1"'),
        (b'"61837.63000000"', b'"0"'),
        (b'"61837.63000000"', b'"inf"'),
        (b'"61837.63000000"', b'"1e14"'),
        (b'"61837.63000000"', b'"1e999"'),
        (b'"61837.63000000"', b"null"),
        (b'"61837.63000000"', b'""'),
        (b'"0.02000000"', b"[]"),
        (b"3735683259", b"-1"),
        (b"3735683259", b"99999999999999999999"),
        (b"3735683259", b'"x"'),
        (b"1723161255342", b"1"),
        (b"1723161255342", b"99999999999999999999"),
        (b'"m":true', b'"m":"maybe"'),
        (b'"s":"BTCUSDT",', b""),
        (b'"s":"BTCUSDT"', b'"s":7'),
    ],
)
def test_a_trade_with_an_impossible_field_is_rejected(old: bytes, new: bytes) -> None:
    frame = TRADE.replace(old, new)
    assert frame != TRADE
    with pytest.raises(DECODE_ERRORS):
        VENUE.decode_trade(frame)
    with pytest.raises(DecodeError) as caught:
        VENUE.decode_control(frame)
    assert caught.value.kind == "malformed trade"


@pytest.mark.parametrize(
    ("frame", "meaning"),
    [
        (b'{"result":null,"id":3}', Reply(3, None)),
        (b'{"result":["btcusdt@trade"],"id":3}', Reply(3, None)),
        (b'{"error":{"code":2,"msg":"Bad request"},"id":3}', Reply(3, "Bad request (code 2)")),
        (b'{"code":3,"msg":"Invalid JSON"}', Reply(None, "Invalid JSON (code 3)")),
        (b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}', Shutdown()),
        (b'{"e":"serverShutdown","E":1}', Shutdown()),
        (b'{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade"}}', Ignored("aggTrade")),
        (b'{"stream":"btcusdt@bookTicker","data":{"u":1,"s":"BTCUSDT"}}', Ignored("bookTicker")),
        (TRADE.replace(b'"e":"trade"', b'"e":"blockTrade"'), Ignored("blockTrade")),
    ],
)  # fmt: skip
def test_what_is_not_a_trade_is_told_apart(frame: bytes, meaning: Control) -> None:
    with pytest.raises(DECODE_ERRORS):
        VENUE.decode_trade(frame)
    assert VENUE.decode_control(frame) == meaning


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (b"", "invalid JSON"),
        (b"{", "invalid JSON"),
        (TRADE[:90], "invalid JSON"),
        (b"[" * 100_000, "unexpected shape"),
        (b'{"data":' * 100_000, "invalid JSON"),
        (b'{"stream":"x","data":{"e":"surprise"}}', "unknown event"),
        (b'{"stream":"x","data":{}}', "unknown message"),
        (b"{}", "unknown message"),
        (b"[]", "unexpected shape"),
        (b'{"e":7}', "unexpected shape"),
        (TRADE.replace(b"BTCUSDT", b"\xff\xfe"), "invalid JSON"),
    ],
)
def test_what_is_nothing_is_rejected_by_kind(frame: bytes, kind: str) -> None:
    with pytest.raises(DecodeError) as caught:
        VENUE.decode_control(frame)
    assert caught.value.kind in (kind, "malformed trade")


@given(st.binary(max_size=300))
def test_any_bytes_at_all_are_survived(frame: bytes) -> None:
    _survives(frame)


@given(st.integers(0, len(TRADE) - 1), st.binary(max_size=6), st.integers(0, 6))
def test_any_damage_to_a_trade_is_survived(at: int, inserted: bytes, removed: int) -> None:
    _survives(TRADE[:at] + inserted + TRADE[at + removed :])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
fields = st.sampled_from(["e", "E", "s", "t", "p", "q", "T", "m", "stream", "data", "id", "result"])


@given(st.dictionaries(fields, json_values, max_size=6), st.booleans())
def test_any_types_in_the_known_fields_are_survived(
    values: dict[str, object], is_wrapped: bool
) -> None:
    base = json.loads(TRADE)
    changed = {"stream": "x", "data": base["data"] | values} if is_wrapped else base | values
    _survives(json.dumps(changed).encode())


def _survives(frame: bytes) -> None:
    """The intake takes the frame, counts it as one thing and never raises."""
    rejects = Rejects(None)
    controls: list[Control] = []
    intake = Intake(VENUE, ("BTCUSDT",), rejects, 0)
    channel = Channel(on_control=controls.append)
    intake.feeder(channel)(frame, 1)
    assert channel.trades + len(controls) + rejects.counts.total() == 1
    assert len(intake) == channel.trades


# --- REST -------------------------------------------------------------------------------------


def test_historical_trades_are_asked_for_and_read() -> None:
    request = VENUE.trades_from("BTCUSDT", 28457)
    assert request.path == "/api/v3/historicalTrades"
    assert request.query == {"symbol": "BTCUSDT", "fromId": "28457", "limit": "1000"}
    assert request.weight == 25
    body = (
        b'[{"id":28457,"price":"4.00000100","qty":"12.00000000","quoteQty":"48.000012",'
        b'"time":1499865549590,"isBuyerMaker":true,"isBestMatch":true}]'
    )
    assert VENUE.decode_trades(body) == [RestTrade(28457, 1499865549590000, 4.000001, 12.0, True)]


def test_a_page_out_of_order_is_refused() -> None:
    row = {"price": "1", "qty": "1", "time": 1499865549590, "isBuyerMaker": True}
    body = msgspec.json.encode([row | {"id": 2}, row | {"id": 1}])
    with pytest.raises(DecodeError, match="ascend"):
        VENUE.decode_trades(body)


@given(st.binary(max_size=100))
def test_any_page_is_read_or_refused(body: bytes) -> None:
    for decode in (VENUE.decode_trades, VENUE.decode_info):
        try:
            decode(body)
        except DecodeError:
            continue


def test_limits_and_symbols_come_from_exchange_info() -> None:
    body = msgspec.json.encode(
        {
            "rateLimits": [
                {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 5},
                {
                    "rateLimitType": "REQUEST_WEIGHT",
                    "interval": "MINUTE",
                    "intervalNum": 1,
                    "limit": 6000,
                },
            ],
            "symbols": [{"symbol": "BTCUSDT", "status": "BREAK"}],
        }
    )
    assert VENUE.decode_info(body) == VenueInfo({"BTCUSDT": "BREAK"}, 6000)


@pytest.mark.parametrize(
    ("status", "headers", "signal"),
    [
        (200, {"x-mbx-used-weight-1m": "120"}, RateSignal(120, None, False)),
        (429, {"retry-after": "7"}, RateSignal(None, 7, True)),
        (418, {}, RateSignal(None, None, True)),
        (500, {"retry-after": "soon"}, RateSignal(None, None, False)),
    ],
)
def test_the_budget_is_read_from_the_answer(
    status: int, headers: dict[str, str], signal: RateSignal
) -> None:
    assert VENUE.rate_signal(status, headers) == signal


# --- subscriptions ------------------------------------------------------------------------------


def test_many_symbols_are_subscribed_in_few_messages() -> None:
    symbols = [f"S{number}USDT" for number in range(250)]
    messages = [json.loads(text) for text in VENUE.subscriptions(symbols, 5)]
    assert [message["id"] for message in messages] == [5, 6, 7]
    assert [stream for message in messages for stream in message["params"]] == [
        f"{symbol.lower()}@trade" for symbol in symbols
    ]


def test_an_unknown_venue_is_refused_by_name() -> None:
    assert by_name("binance").name == "binance"
    with pytest.raises(ValueError, match="'kraken' is unknown; choose from binance"):
        by_name("kraken")
