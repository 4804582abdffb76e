"""The simulated market: seeded, contiguous, on its grids, and cointegrated where it says so."""

import numpy as np
import pytest

from streaming.exchange.market import Quote, Trade
from streaming.exchange.synthetic import SyntheticSource

START_US = 1_700_000_000_000_000


def made(source: SyntheticSource) -> list[Trade | Quote]:
    source.open(START_US)
    events: list[Trade | Quote] = []
    while batch := source.take(None, 10_000):
        events += batch
    return events


def test_the_seed_decides_the_trades_and_the_opening_time_moves_them() -> None:
    def trades(seed: int, start_us: int) -> list[tuple[object, ...]]:
        source = SyntheticSource(5, rate=200, seed=seed, trades=2_000, start_us=start_us)
        events = made(source)
        return [(*e[:2], e.time_us - start_us, *e[4:7]) for e in events if isinstance(e, Trade)]

    assert trades(1, START_US) == trades(1, START_US + 10**9)
    assert trades(1, START_US) != trades(2, START_US)


def test_quotes_do_not_change_the_trades() -> None:
    with_quotes = made(SyntheticSource(3, seed=4, trades=500, quotes=True))
    without = made(SyntheticSource(3, seed=4, trades=500, quotes=False))
    assert [event for event in with_quotes if isinstance(event, Trade)] == without


def test_ids_are_contiguous_times_rise_and_numbers_lie_on_their_grids() -> None:
    source = SyntheticSource(30, rate=5_000, seed=7, trades=20_000)
    events = made(source)
    trades = [event for event in events if isinstance(event, Trade)]
    assert len(trades) == 20_000
    assert [event.at_us for event in events] == sorted(event.at_us for event in events)
    for instrument in source.instruments:
        own = [trade for trade in trades if trade.symbol == instrument.symbol]
        ids = [trade.trade_id for trade in own]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        assert all(trade.price_e8 % instrument.tick_size_e8 == 0 < trade.price_e8 for trade in own)
        assert all(
            trade.quantity_e8 % instrument.step_size_e8 == 0 < trade.quantity_e8 for trade in own
        )
    sold = np.mean([trade.is_buyer_maker for trade in trades])
    assert 0.45 < sold < 0.55


@pytest.mark.parametrize("rate", [5.0, 1_000.0, 50_000.0])
def test_the_rate_is_kept(rate: float) -> None:
    trades = made(SyntheticSource(10, rate=rate, seed=1, trades=20_000, quotes=False))
    seconds = (trades[-1].at_us - trades[0].at_us) / 1e6
    assert 20_000 / seconds == pytest.approx(rate, rel=0.05)


def test_the_spread_of_a_cointegrated_pair_reverts_and_prices_wander() -> None:
    source = SyntheticSource(
        ["AUSDT", "BUSDT"],
        rate=20,
        seed=3,
        trades=200_000,
        half_life_s=30,
        quotes=False,
    )
    trades = [event for event in made(source) if isinstance(event, Trade)]
    (pair,) = source.pairs
    assert (pair.y, pair.x) == ("AUSDT", "BUSDT")
    last: dict[str, float] = {}
    y, x = [], []
    next_s = 0
    for trade in trades:
        last[trade.symbol] = np.log(trade.price_e8 / 1e8)
        second = (trade.time_us - START_US) // 1_000_000
        if len(last) == 2 and second >= next_s:
            y.append(last[pair.y])
            x.append(last[pair.x])
            next_s = second + 1
    log_y, log_x = np.array(y), np.array(x)
    beta, _ = np.polyfit(log_x, log_y, 1)
    assert beta == pytest.approx(pair.beta, rel=0.1)
    spread = log_y - pair.beta * log_x - pair.intercept
    assert np.abs(spread).max() < 0.015
    slope = np.polyfit(spread[:-1], spread[1:], 1)[0]
    assert -np.log(2) / np.log(slope) == pytest.approx(pair.half_life_s, rel=0.25)
    assert np.ptp(log_x) > 3 * np.std(spread)


def test_part_of_the_market_may_lie_in_the_past() -> None:
    source = SyntheticSource(2, rate=100, seed=1, trades=1_000, history_s=60)
    assert source.open(START_US) == START_US - 60_000_000
    past = source.take(START_US - 55_000_000, 10_000)
    assert 300 < sum(isinstance(event, Trade) for event in past) < 700


def test_a_market_that_waited_goes_on_at_the_clocks_time() -> None:
    source = SyntheticSource(2, rate=100, seed=1, trades=1_000)
    source.open(START_US)
    before = source.take(START_US + 1_000_000, 10_000)
    later_us = START_US + 3_600_000_000
    assert source.open(later_us) == source.next_at_us() == later_us
    after = source.take(None, 10_000)
    assert before[-1].at_us < START_US + 1_000_001 <= later_us <= after[0].at_us
    assert [event.at_us for event in after] == sorted(event.at_us for event in after)
    trades = [event for event in [*before, *after] if isinstance(event, Trade)]
    assert len({trade.at_us - trade.time_us for trade in trades}) == 1


def test_a_fixed_opening_time_stays() -> None:
    source = SyntheticSource(2, seed=1, start_us=START_US)
    assert source.open(1) == START_US
    first_us = source.next_at_us()
    assert source.open(2 * START_US) == first_us


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"symbols": 0}, "less than 1"),
        ({"rate": 0.0}, "not a positive number"),
        ({"symbols": 3, "cointegrated_pairs": 2}, "need 4 symbols, not 3"),
    ],
)
def test_impossible_markets_are_refused(options: dict[str, float], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        SyntheticSource(**options)  # type: ignore[arg-type]
