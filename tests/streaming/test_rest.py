"""A request that fails says how the venue answered, if it did."""

from __future__ import annotations

from typing import Literal

import pytest

from streaming.budget import WeightBudget
from streaming.clock import SystemClock
from streaming.exchange.faults import Fault, FaultKind
from streaming.exchange.server import LocalExchange
from streaming.exchange.synthetic import SyntheticSource
from streaming.rest import RestClient, RestError
from streaming.venues.binance import Binance

SYMBOL = "BTCUSDT"


def client(base: str) -> RestClient:
    return RestClient(base, Binance(), WeightBudget(), SystemClock())


@pytest.mark.parametrize("status", [400, 418, 429, 500])
async def test_a_refusal_carries_its_status(status: Literal[400, 418, 429, 500]) -> None:
    async with LocalExchange(SyntheticSource([SYMBOL])) as exchange:
        exchange.inject(Fault(kind=FaultKind.REST_ERROR, status=status))
        async with client(exchange.rest_url) as rest:
            with pytest.raises(RestError, match=f"HTTP {status}") as caught:
                await rest.get(Binance().latest_trade(SYMBOL))
    assert caught.value.status == status


async def test_without_an_answer_there_is_no_status() -> None:
    async with client("http://127.0.0.1:9") as rest:
        with pytest.raises(RestError) as caught:
            await rest.get(Binance().info())
    assert caught.value.status is None
