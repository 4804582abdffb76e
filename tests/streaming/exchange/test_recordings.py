"""The recording that ships with the package is whole: every trade once, in order, and quotes."""

import gzip
import json
from pathlib import Path

import pytest

import streaming.exchange

RECORDING = Path(streaming.exchange.__file__).parent / "recordings" / "binance_spot_20240808"


def frames(symbol: str) -> list[tuple[int, dict[str, object]]]:
    out = []
    for path in sorted(RECORDING.glob(f"{symbol}_*.gz")):
        for line in gzip.decompress(path.read_bytes()).splitlines():
            received_ns, frame = line.split(b" ", 1)
            out.append((int(received_ns), json.loads(frame)))
    return out


@pytest.mark.parametrize(
    ("symbol", "first_id", "last_id", "trades", "quotes"),
    [
        ("btcusdt", 3735683259, 3735703162, 19_904, 73_174),
        ("ethusdt", 1520538925, 1520553439, 14_515, 58_758),
    ],
)
def test_recording_holds_every_trade_once_and_the_quotes(
    symbol: str, first_id: int, last_id: int, trades: int, quotes: int
) -> None:
    recorded = frames(symbol)
    ids = [f["data"]["t"] for _, f in recorded if f["stream"] == f"{symbol}@trade"]
    assert ids == list(range(first_id, last_id + 1))
    assert len(ids) == trades
    assert sum(f["stream"] == f"{symbol}@bookTicker" for _, f in recorded) == quotes
    assert len(recorded) == trades + quotes
    received = [ns for ns, _ in recorded]
    assert received == sorted(received)


def test_recording_carries_its_licence_and_fits_a_repository() -> None:
    assert "MIT License" in (RECORDING / "LICENSE.txt").read_text()
    assert sum(path.stat().st_size for path in RECORDING.iterdir()) < 4_000_000
