"""Connections are renewed before they are cut, and replaced when they are; nothing is lost."""

from __future__ import annotations

from typing import Any

import pytest
from capture_runs import against, lake_differences, running, until

from quant_pipeline import lake
from quant_pipeline.settings import Settings
from streaming.exchange.faults import Fault, FaultKind, Faults
from streaming.exchange.server import LocalExchange
from streaming.exchange.synthetic import SyntheticSource

SECONDS, RATE = 6, 200


def after_2_s(kind: FaultKind) -> Faults:
    return Faults(event=(Fault(kind=kind, at_s=2.0, duration_s=1.0),))


@pytest.mark.parametrize("transport", ["websockets", "picows"])
@pytest.mark.parametrize(
    ("faults", "overrides", "reason", "may_lose"),
    [
        (None, {"connection_max_age_s": 1.5}, "rollover", False),
        (after_2_s(FaultKind.SERVER_SHUTDOWN), {}, "server shutdown", False),
        (Faults(max_age_s=2.5), {}, "", True),
        (after_2_s(FaultKind.DISCONNECT_ABRUPT), {}, "1006", True),
        (after_2_s(FaultKind.HALF_OPEN), {"ping_interval_s": 1, "ping_timeout_s": 1}, "", True),
    ],
    ids=["planned", "shutdown-notice", "venue-cut", "abrupt", "half-open"],
)
async def test_a_connection_ends_and_no_trade_is_lost(
    settings: Settings,
    transport: str,
    faults: Faults | None,
    overrides: dict[str, Any],
    reason: str,
    may_lose: bool,
) -> None:
    source = SyntheticSource(3, rate=RATE, trades=RATE * SECONDS, quotes=False)
    async with LocalExchange(source, speed=1.0, start="all", faults=faults) as exchange:
        target = against(
            exchange,
            settings,
            **{"transport": transport, "stale_after_s": 1.0, "reconnect_max_s": 0.5} | overrides,
        )
        async with running(target) as worker:
            await exchange.wait_exhausted()
            made = sum(map(exchange.trade_count, exchange.symbols))
            await until(lambda: worker.committed_rows == made)
            await until(lambda: worker.sessions[0].last_reason is not None)
        assert exchange.violations == []
        assert lake_differences(exchange, target) == []
    with lake.connect(read_only=True, settings=target) as connection:
        ended = connection.execute(
            "select reason, trades from raw.capture_sessions order by connected_at"
        ).fetchall()
        gaps = connection.execute("select cause, status from raw.capture_gaps").fetchall()
    assert len(ended) >= 2
    assert ended[0][0].startswith(reason)
    assert ended[-1][0] == "worker stopped"
    assert all(status == "repaired" for _, status in gaps)
    assert may_lose or gaps == []
