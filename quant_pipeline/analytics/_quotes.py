"""Liquidity where best quotes exist: quoted, effective and realised spread, and order flow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from quant_pipeline.analytics._inputs import FloatArray, as_series, require_at_least
from quant_pipeline.analytics._tick_inputs import (
    duration,
    flags,
    not_negative,
    positive,
    same_length,
    stamps,
    vectors,
)

_BPS = 1e4


@dataclass(frozen=True, slots=True)
class QuotedSpread:
    """Distance between best ask and best bid, in basis points of their middle.

    ``mean_bps`` and ``median_bps`` weigh every quote alike; ``time_weighted_bps`` by how long it
    stood (NaN without stamps). Over ``n`` quotes, of which ``n_locked`` have no spread;
    ``n_crossed`` (bid above ask) and ``n_missing`` (one side absent) are left out, not counted as
    cheap.
    """

    mean_bps: float
    median_bps: float
    time_weighted_bps: float
    n: int
    n_locked: int
    n_crossed: int
    n_missing: int
    reason: str | None

    @property
    def defined(self) -> bool:
        """Whether ``mean_bps`` is a number that may be used."""
        return self.reason is None


@dataclass(frozen=True, slots=True)
class TradeSpreads:
    """What aggressors paid over the mid price, and how it split between maker and information.

    In basis points of the mid, averaged by traded quote volume. ``effective_bps`` is twice the
    distance from the mid before the trade, ``realised_bps`` from the mid ``horizon`` later (what
    the maker kept) and ``impact_bps`` their difference (how far the mid moved the aggressor's way);
    ``stderr_bps`` is that of ``realised_bps``, trades taken as independent. Over ``n`` trades; for
    ``n_unmatched`` there was no quote before the trade or none any more at the horizon.
    """

    effective_bps: float
    realised_bps: float
    impact_bps: float
    stderr_bps: float
    horizon: float
    n: int
    n_unmatched: int
    reason: str | None

    @property
    def defined(self) -> bool:
        """Whether the spreads are numbers that may be used."""
        return self.reason is None


def quoted_spread(bid: ArrayLike, ask: ArrayLike, ts: ArrayLike | None = None) -> QuotedSpread:
    """Quoted spread of best bid and ask.

    Formula
    -------
    10⁴·(ask − bid) / ((ask + bid)/2).

    Units
    -----
    Basis points of the mid price.

    Parameters
    ----------
    bid, ask : array of shape (n,)
        Best prices after every update, in quote currency; NaN where a side is empty.
    ts : array of shape (n,), optional
        Non-decreasing stamps of the updates; the last quote's duration is unknown and weighs 0.

    Returns
    -------
    QuotedSpread
        Undefined if no quote has both sides, bid not above ask.

    Raises
    ------
    ValueError
        If lengths differ, stamps go back in time, or a price is not positive.

    References
    ----------
    Huang, R. D. and Stoll, H. R. (1996), "Dealer versus auction markets", Journal of Financial
    Economics 41(3), 313–357.

    Examples
    --------
    >>> spread = quoted_spread([99.0, 99.5], [101.0, 100.5], ts=[0, 3])
    >>> round(spread.mean_bps, 6), round(spread.time_weighted_bps, 6)
    (150.0, 200.0)
    """
    bids, asks = vectors(bid=bid, ask=ask)
    positive(bids, "bid", missing_allowed=True)
    positive(asks, "ask", missing_allowed=True)
    missing = np.isnan(bids) | np.isnan(asks)
    crossed = bids > asks
    usable = ~(missing | crossed)
    bps = _BPS * (asks - bids) / ((asks + bids) / 2)
    time_weighted = np.nan
    if ts is not None:
        times = stamps(ts, "ts")
        same_length(bid=bids, ts=times)
        stood = np.append(np.diff(times), 0).astype(np.float64)[usable]
        if stood.sum() > 0:
            time_weighted = float(np.average(bps[usable], weights=stood))
    some = bool(usable.any())
    return QuotedSpread(
        mean_bps=float(bps[usable].mean()) if some else np.nan,
        median_bps=float(np.median(bps[usable])) if some else np.nan,
        time_weighted_bps=time_weighted,
        n=int(usable.sum()),
        n_locked=int((bids == asks).sum()),
        n_crossed=int(crossed.sum()),
        n_missing=int(missing.sum()),
        reason=None if some else "no quote with both sides, bid not above ask",
    )


def trade_spreads(
    trade_ts: ArrayLike,
    price: ArrayLike,
    quantity: ArrayLike,
    is_buyer_maker: ArrayLike,
    quote_ts: ArrayLike,
    mid: ArrayLike,
    *,
    horizon: float,
) -> TradeSpreads:
    """Effective and realised spread, and price impact, of trades against the mid price.

    Formula
    -------
    effective 2d(p − m)/m, realised 2d(p − m′)/m, impact 2d(m′ − m)/m, each ×10⁴: d is +1 for an
    aggressive buy and −1 for a sell, p the price, m the last mid stamped strictly before the trade
    and m′ the one in force ``horizon`` after it.

    Units
    -----
    Basis points of the mid price; ``horizon`` in the unit of the stamps.

    Parameters
    ----------
    trade_ts, price, quantity, is_buyer_maker : array of shape (n,)
        Trades: non-decreasing stamps, price in quote currency, size in base units, and whether the
        resting side bought.
    quote_ts, mid : array of shape (m,)
        Non-decreasing stamps of the same clock and unit, and the mid price from then on.
    horizon : float
        Time after the trade at which the mid is compared, in the unit of the stamps.

    Returns
    -------
    TradeSpreads
        Undefined if no trade has a quote both before it and at the horizon.

    Raises
    ------
    ValueError
        If lengths differ, stamps go back in time, a price is not positive, a quantity is negative,
        or ``horizon`` is negative.

    References
    ----------
    Huang, R. D. and Stoll, H. R. (1996), "Dealer versus auction markets", Journal of Financial
    Economics 41(3), 313–357.

    Examples
    --------
    >>> paid = trade_spreads([5], [101.0], [1.0], [False], [0, 8], [100.0, 100.5], horizon=3)
    >>> paid.n_unmatched, round(paid.effective_bps, 6), round(paid.realised_bps, 6)
    (0, 200.0, 100.0)
    """
    prices, quantities = vectors(price=price, quantity=quantity)
    positive(prices, "price")
    not_negative(quantities, "quantity")
    sell = flags(is_buyer_maker, "is_buyer_maker")
    before, after = mids_around(trade_ts, quote_ts, mid, horizon)
    same_length(price=prices, is_buyer_maker=sell, trade_ts=before)
    matched = np.isfinite(before) & np.isfinite(after) & (quantities > 0)
    p, m, later = prices[matched], before[matched], after[matched]
    side = np.where(sell[matched], -1.0, 1.0)
    weight = p * quantities[matched]
    n = len(p)
    if n == 0:
        nan = np.nan
        reason = "no trade has a quote both before it and at the horizon"
        return TradeSpreads(nan, nan, nan, nan, horizon, 0, len(prices), reason)
    effective = 2 * _BPS * side * (p - m) / m
    realised = 2 * _BPS * side * (p - later) / m
    mean_effective = float(np.average(effective, weights=weight))
    mean_realised = float(np.average(realised, weights=weight))
    share = weight / weight.sum()
    return TradeSpreads(
        effective_bps=mean_effective,
        realised_bps=mean_realised,
        impact_bps=mean_effective - mean_realised,
        stderr_bps=float(np.sqrt((share**2 * (realised - mean_realised) ** 2).sum())),
        horizon=horizon,
        n=n,
        n_unmatched=len(prices) - n,
        reason=None,
    )


def mids_around(
    trade_ts: ArrayLike, quote_ts: ArrayLike, mid: ArrayLike, horizon: float
) -> tuple[FloatArray, FloatArray]:
    """The mid strictly before each trade and the one ``horizon`` after it, NaN where there is none.

    A quote of the trade's own stamp is taken to be its consequence. Beyond the last quote the mid
    is unknown, not unchanged.

    >>> mids_around([5], [0, 5, 9], [1.0, 2.0, 3.0], 4)
    (array([1.]), array([3.]))
    """
    require_at_least(horizon, "horizon", 0)
    trades, quotes = stamps(trade_ts, "trade_ts"), stamps(quote_ts, "quote_ts")
    mids = as_series(mid, "mid", allow_nan=True)
    same_length(quote_ts=quotes, mid=mids)
    positive(mids, "mid", missing_allowed=True)
    if len(quotes) == 0:
        return np.full(len(trades), np.nan), np.full(len(trades), np.nan)
    first = np.searchsorted(quotes, trades, side="left") - 1
    later = trades + duration(horizon, trades)
    second = np.searchsorted(quotes, later, side="right") - 1
    before = np.where(first >= 0, mids[first], np.nan)
    known = (second >= 0) & (later <= quotes[-1])
    return before, np.where(known, mids[second], np.nan)


def order_flow_imbalance(
    bid: ArrayLike, bid_size: ArrayLike, ask: ArrayLike, ask_size: ArrayLike
) -> FloatArray:
    """Order-flow imbalance of every best-quote update.

    Sum it over an interval to use it.

    Formula
    -------
    eₙ = Bₙ[bₙ ≥ bₙ₋₁] − Bₙ₋₁[bₙ ≤ bₙ₋₁] − Aₙ[aₙ ≤ aₙ₋₁] + Aₙ₋₁[aₙ ≥ aₙ₋₁] with b, a the best
    prices and B, A their sizes: size added at or above the bid, or gone from the ask, presses
    upwards.

    Units
    -----
    Base units.

    Parameters
    ----------
    bid, ask : array of shape (n,)
        Best prices after every update, in quote currency.
    bid_size, ask_size : array of shape (n,)
        Sizes there, in base units.

    Returns
    -------
    ndarray, shape (n,)
        In base units. The first is NaN (nothing came before it), as is any whose update or
        predecessor has a missing value.

    Raises
    ------
    ValueError
        If lengths differ.

    References
    ----------
    Cont, R., Kukanov, A. and Stoikov, S. (2014), "The price impact of order book events", Journal
    of Financial Econometrics 12(1), 47–88, equation 4.

    Examples
    --------
    >>> order_flow_imbalance([10, 10, 11], [5, 8, 2], [12, 12, 12], [4, 4, 1])
    array([nan,  3.,  5.])
    """
    b, bs, a, as_ = vectors(bid=bid, bid_size=bid_size, ask=ask, ask_size=ask_size)
    out = np.full(len(b), np.nan)
    up, down = (b[1:] >= b[:-1]) * bs[1:], (b[1:] <= b[:-1]) * bs[:-1]
    supply, taken = (a[1:] <= a[:-1]) * as_[1:], (a[1:] >= a[:-1]) * as_[:-1]
    flow = up - down - supply + taken
    known = ~(np.isnan(b) | np.isnan(a))
    out[1:] = np.where(known[1:] & known[:-1], flow, np.nan)
    return out
