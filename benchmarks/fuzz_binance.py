"""Coverage-guided fuzzing of the frame reader with atheris, until a crash or `-max_total_time`.

    uv run --with atheris python benchmarks/fuzz_binance.py -max_total_time=60

No input may raise: each frame is a trade, a control message or a counted rejection. The default
test run covers the same with hypothesis (tests/streaming/venues/test_binance.py).
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["streaming"]):
    from streaming.intake import Channel, Intake
    from streaming.rejects import Rejects
    from streaming.venues import Control
    from streaming.venues.binance import Binance

SEED = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT",'
    b'"t":3735683259,"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}'
)
VENUE = Binance()


def survive(frame: bytes) -> None:
    """Feed the frame as it is, and laid over a real one."""
    over = bytearray(SEED)
    if len(frame) > 1:
        at = frame[0] % len(over)
        over[at : at + len(frame) - 1] = frame[1:]
    for candidate in (frame, bytes(over)):
        rejects = Rejects(None)
        controls: list[Control] = []
        intake = Intake(VENUE, ("BTCUSDT",), rejects, 0)
        channel = Channel(on_control=controls.append)
        intake.feeder(channel)(candidate, 1)
        assert channel.trades + len(controls) + rejects.counts.total() == 1


atheris.Setup(sys.argv, survive)
atheris.Fuzz()
