"""The statistics on the recorded BTCUSDT/ETHUSDT session, against what is known of it."""

import gzip
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import streaming.exchange
from quant_pipeline import analytics

RECORDING = Path(streaming.exchange.__file__).parent / "recordings" / "binance_spot_20240808"


class Session(NamedTuple):
    """Trades by the venue's clock (ms) and by the recorder's (ns), and quotes by the recorder's."""

    ts: np.ndarray
    received: np.ndarray
    price: np.ndarray
    quantity: np.ndarray
    is_buyer_maker: np.ndarray
    quote_received: np.ndarray
    bid: np.ndarray
    bid_size: np.ndarray
    ask: np.ndarray
    ask_size: np.ndarray


def load(symbol: str) -> Session:
    trades, quotes = [], []
    for path in sorted(RECORDING.glob(f"{symbol}_*.gz")):
        for line in gzip.decompress(path.read_bytes()).splitlines():
            received, frame = line.split(b" ", 1)
            message = json.loads(frame)
            data = message["data"]
            if message["stream"].endswith("@trade"):
                trades.append(
                    (data["T"], int(received), float(data["p"]), float(data["q"]), data["m"])
                )
            else:
                quotes.append((int(received), *(float(data[key]) for key in "bBaA")))
    return Session(
        *(np.array(c) for c in zip(*trades, strict=True)),
        *(np.array(c) for c in zip(*quotes, strict=True)),
    )


@pytest.fixture(scope="module")
def btc() -> Session:
    return load("btcusdt")


@pytest.fixture(scope="module")
def eth() -> Session:
    return load("ethusdt")


def test_vwap_of_the_session(btc: Session, eth: Session) -> None:
    assert round(analytics.vwap(btc.price, btc.quantity).vwap, 6) == 61671.551607
    assert round(analytics.vwap(eth.price, eth.quantity).vwap, 6) == 2680.774339


def test_correlation_by_timeframe_and_its_epps_effect(btc: Session, eth: Session) -> None:
    frame = analytics.timeframe_correlations(
        {"BTCUSDT": (btc.ts, btc.price), "ETHUSDT": (eth.ts, eth.price)}, [1_000, 10_000, 60_000]
    )
    assert frame["correlation"].round(3).to_list() == [0.667, 0.816, 0.852]
    assert frame["n"].to_list() == [650, 65, 11]
    curve = analytics.epps_curve(btc.ts, btc.price, eth.ts, eth.price, [100, 1_000, 10_000])
    assert curve["correlation"].is_sorted()
    assert curve["stale_share_b"].is_sorted(descending=True)


def test_hayashi_yoshida_thinned_to_a_second_exceeds_sampling_at_a_second(
    btc: Session, eth: Session
) -> None:
    ticks = btc.ts, btc.price, eth.ts, eth.price
    every_tick = analytics.hayashi_yoshida(*ticks)
    thinned = analytics.hayashi_yoshida(*ticks, thin_interval=1_000)
    assert round(every_tick.correlation, 2) == 0.19
    assert round(thinned.correlation, 2) == 0.83
    assert every_tick.n_a == len(np.unique(btc.ts)) - 1
    assert every_tick.n_overlaps <= every_tick.n_a + every_tick.n_b


def test_lead_lag_of_the_session_lies_within_a_second(btc: Session, eth: Session) -> None:
    mid_a, mid_b = (btc.bid + btc.ask) / 2, (eth.bid + eth.ask) / 2
    lags = np.arange(-2_000, 2_001, 50) * 1_000_000
    found = analytics.lead_lag(btc.quote_received, mid_a, eth.quote_received, mid_b, lags)
    assert abs(found.lag) < 1e9
    assert abs(found.correlation) >= abs(found.correlation_at_zero)


def test_spreads_of_the_session_are_about_one_tick(btc: Session) -> None:
    quoted = analytics.quoted_spread(btc.bid, btc.ask, btc.quote_received)
    tick_bps = 1e4 * 0.01 / 61_671
    assert quoted.median_bps == pytest.approx(tick_bps, rel=0.01)
    assert quoted.mean_bps >= quoted.median_bps
    paid = analytics.trade_spreads(
        btc.received,
        btc.price,
        btc.quantity,
        btc.is_buyer_maker,
        btc.quote_received,
        (btc.bid + btc.ask) / 2,
        horizon=1e9,
    )
    assert paid.n + paid.n_unmatched == 19_904
    assert paid.effective_bps == pytest.approx(paid.realised_bps + paid.impact_bps)
    assert paid.impact_bps > 0


def test_volume_profile_of_the_session_holds_all_of_its_volume(btc: Session) -> None:
    profile = analytics.volume_profile(btc.price, btc.quantity, btc.is_buyer_maker, 10.0)
    assert profile.n == 19_904
    assert profile.bins["volume"].sum() == pytest.approx(btc.quantity.sum())
    assert profile.bins["trades"].sum() == 19_904
    assert profile.value_area_low <= profile.point_of_control <= profile.value_area_high
    assert 0.70 <= profile.value_area_share < 0.80


def test_flow_moves_the_price_with_it(btc: Session) -> None:
    second = btc.ts // 1_000 - btc.ts[0] // 1_000
    signed = np.where(btc.is_buyer_maker, -1.0, 1.0) * btc.quantity
    flow = np.bincount(second, weights=signed)
    closes = btc.price[np.searchsorted(second, np.arange(len(flow)), side="right") - 1]
    impact = analytics.kyle_lambda(np.diff(closes), flow[1:])
    assert impact.price_impact > 0
    assert impact.pvalue < 1e-3
    ofi = analytics.order_flow_imbalance(btc.bid, btc.bid_size, btc.ask, btc.ask_size)
    second = (btc.quote_received - btc.quote_received[0]) // 10**9
    pressure = np.bincount(second[1:], weights=ofi[1:])
    last = np.searchsorted(second, np.arange(len(pressure)), side="right") - 1
    mid_change = np.diff(((btc.bid + btc.ask) / 2)[last])
    assert np.corrcoef(pressure[1:], mid_change)[0, 1] > 0.5


def test_quality_of_the_session(btc: Session) -> None:
    quality = analytics.data_quality(btc.ts, btc.price)
    assert (quality.n, quality.n_missing, quality.n_out_of_order) == (19_904, 0, 0)
    assert quality.n_duplicated == 19_904 - len(np.unique(btc.ts))
