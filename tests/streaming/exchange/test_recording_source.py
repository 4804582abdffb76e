"""Recordings of any shape: plain and gzipped, several files, wrapped or raw, looped."""

import gzip
import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.exchange.market import E8, Quote, Trade, format_e8, parse_e8
from streaming.exchange.recording import SHIPPED, RecordingSource, parse_frame, read_events

TRADE = (
    '{"e":"trade","E":1700000000001,"s":"%s","t":%d,"p":"1.50000000","q":"2.00000000",'
    '"T":1700000000000,"m":true,"M":true}'
)


def line(received_ns: int, symbol: str, trade_id: int) -> str:
    return f"{received_ns} {TRADE % (symbol, trade_id)}\n"


def test_files_are_merged_in_the_order_of_receive_times(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(line(1_000_000, "AUSDT", 1) + line(3_000_000, "AUSDT", 2))
    (tmp_path / "b.gz").write_bytes(
        gzip.compress((line(2_000_000, "BUSDT", 7) + line(4_000_000, "BUSDT", 8)).encode())
    )
    (tmp_path / "LICENSE.txt").write_text("not a recording")
    events = RecordingSource(tmp_path).take(None, 100)
    assert [(event.symbol, event.at_us) for event in events] == [
        ("AUSDT", 1_000),
        ("BUSDT", 2_000),
        ("AUSDT", 3_000),
        ("BUSDT", 4_000),
    ]


def test_frames_that_are_neither_trades_nor_quotes_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "mixed"
    path.write_text(
        '1 {"lastUpdateId":5,"bids":[],"asks":[]}\n'
        '2 {"stream":"ausdt@depth@100ms","data":{"e":"depthUpdate","E":1,"s":"AUSDT","b":[]}}\n'
        '3 {"e":"aggTrade","E":1,"s":"AUSDT","a":1,"p":"1","q":"1","f":1,"l":1,"T":1,"m":true}\n'
        '4 {"result":null,"id":1}\n'
        "5 not json\n"
        "\n"
        + line(6_000, "AUSDT", 1)
        + '7000 {"u":1,"s":"AUSDT","b":"1","B":"2","a":"3","A":"4"}\n'
    )
    kinds = [type(event) for event in read_events(path)]
    assert kinds == [Trade, Quote]


def test_a_trade_recorded_twice_is_played_once(tmp_path: Path) -> None:
    path = tmp_path / "again"
    path.write_text(line(1, "AUSDT", 1) + line(2, "AUSDT", 2) + line(3, "AUSDT", 1))
    assert len(RecordingSource(path).take(None, 10)) == 2


def test_a_malformed_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken"
    path.write_text(line(1, "AUSDT", 1) + "yesterday {}\n")
    with pytest.raises(ValueError, match=r"broken, line 2: b'yesterday"):
        list(read_events(path))


def test_a_missing_or_empty_recording_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        RecordingSource(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="holds no files"):
        RecordingSource(tmp_path)
    (tmp_path / "quiet").write_text('1 {"result":null}\n')
    with pytest.raises(ValueError, match="holds no trade"):
        RecordingSource(tmp_path / "quiet")


def test_events_are_taken_when_they_are_due(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("".join(line(number * 1_000_000, "AUSDT", number) for number in range(1, 6)))
    source = RecordingSource(path)
    assert source.open(0) == source.next_at_us() == 1_000
    assert [event.at_us for event in source.take(3_000, 2)] == [1_000, 2_000]
    assert [event.at_us for event in source.take(3_500, 10)] == [3_000]
    assert source.next_at_us() == 4_000


def test_a_loop_goes_on_with_contiguous_ids_and_rising_times() -> None:
    source = RecordingSource(SHIPPED / "ethusdt_20240808.gz", loop=True)
    rounds = 3
    per_round = 6_106 + 24_077
    events = source.take(None, rounds * per_round)
    ids = [event.trade_id for event in events if isinstance(event, Trade)]
    assert ids == list(range(ids[0], ids[0] + rounds * 6_106))
    updates = [event.update_id for event in events if isinstance(event, Quote)]
    assert all(before < after for before, after in itertools.pairwise(updates))
    assert all(a.at_us <= b.at_us for a, b in itertools.pairwise(events))
    trades = [event for event in events if isinstance(event, Trade)]
    assert all(a.time_us <= b.time_us for a, b in itertools.pairwise(trades))
    assert trades[0].raw is not None
    assert trades[6_106].raw is None
    assert trades[6_106].price_e8 == trades[0].price_e8


@given(st.integers(0, 10**18))
def test_decimals_survive_the_round_trip(value: int) -> None:
    assert parse_e8(format_e8(value)) == value


@pytest.mark.parametrize(
    ("text", "value"), [("1", E8), ("0.5", E8 // 2), ("2.10000000000", 210_000_000)]
)
def test_decimals_of_any_length(text: str, value: int) -> None:
    assert parse_e8(text) == value


@pytest.mark.parametrize("text", ["", "-1", "1e5", "0.000000001", "1,5", "NaN"])
def test_other_text_is_no_decimal(text: str) -> None:
    with pytest.raises(ValueError, match="is not a decimal"):
        parse_e8(text)


@given(st.binary())
def test_no_frame_breaks_the_reader(frame: bytes) -> None:
    parse_frame(frame, 0)
