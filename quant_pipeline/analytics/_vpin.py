"""Volume-synchronised probability of informed trading."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from quant_pipeline.analytics._inputs import require_at_least
from quant_pipeline.analytics._tick_inputs import positive_number
from quant_pipeline.analytics._volume import sized_trades


def vpin(
    quantity: ArrayLike,
    is_buyer_maker: ArrayLike,
    *,
    bucket_volume: float,
    window: int = 50,
) -> pl.DataFrame:
    """Volume-synchronised probability of informed trading.

    The aggressor side is known here, so volume is not classified by price changes as the paper had
    to; values are therefore not comparable with those of bulk-classified VPIN.

    Formula
    -------
    VPINₖ = Σ |buyⱼ − sellⱼ| / (w·V) over the last w buckets of volume V. A trade that straddles
    two buckets is split between them; the last, unfilled one is left out.

    Units
    -----
    ``vpin`` dimensionless, 0 to 1; volumes in base units.

    Parameters
    ----------
    quantity : array of shape (n,)
        Size of each trade in base units, not negative, in order of trading.
    is_buyer_maker : array of bool, shape (n,)
        Whether the resting side bought, so that the aggressor sold.
    bucket_volume : float
        Volume of a bucket in base units; a fiftieth of a day's volume is the paper's choice.
    window : int
        Buckets averaged.

    Returns
    -------
    polars.DataFrame, one row per filled bucket
        ``first_trade, last_trade`` (positions of the trades that began and filled it),
        ``buy_volume, sell_volume`` (base units), ``imbalance`` (absolute, base units), ``vpin`` (0
        to 1, null until ``window`` buckets are filled) and ``reason`` (null where defined).

    Raises
    ------
    ValueError
        If lengths differ, a quantity is negative or missing, or ``bucket_volume`` is not positive.

    References
    ----------
    Easley, D., López de Prado, M. and O'Hara, M. (2012), "Flow toxicity and liquidity in a
    high-frequency world", Review of Financial Studies 25(5), 1457–1493. Its power to predict is
    disputed: Andersen, T. and Bondarenko, O. (2014), Journal of Financial Markets 17, 1–46.

    Examples
    --------
    >>> frame = vpin([3.0, 2.0, 3.0], [False, True, True], bucket_volume=4.0, window=2)
    >>> frame["buy_volume"].to_list(), frame["sell_volume"].to_list(), frame["vpin"].to_list()
    ([3.0, 0.0], [1.0, 4.0], [None, 0.75])
    """
    quantities, sell = sized_trades(quantity, is_buyer_maker)
    positive_number(bucket_volume, "bucket_volume")
    require_at_least(window, "window", 1)
    traded = np.concatenate([[0.0], np.cumsum(quantities)])
    bought = np.concatenate([[0.0], np.cumsum(np.where(sell, 0.0, quantities))])
    # Rounding in the running sum must not cost a bucket that is exactly filled.
    buckets = int(traded[-1] / bucket_volume * (1 + 1e-12))
    edges = np.minimum(np.arange(buckets + 1) * bucket_volume, traded[-1])
    buy = np.diff(np.interp(edges, traded, bought))
    imbalance = np.abs(2 * buy - bucket_volume)
    value = np.full(buckets, np.nan)
    if buckets >= window:
        value[window - 1 :] = sliding_window_view(imbalance, window).mean(axis=1) / bucket_volume
    last = np.searchsorted(traded[1:], edges[1:], side="left")
    return pl.DataFrame(
        {
            "first_trade": np.searchsorted(traded[1:], edges[:-1], side="right"),
            "last_trade": np.minimum(last, len(quantities) - 1),
            "buy_volume": buy,
            "sell_volume": bucket_volume - buy,
            "imbalance": imbalance,
            "vpin": pl.Series(value).fill_nan(None),
        }
    ).with_columns(
        pl.when(pl.col("vpin").is_null()).then(pl.lit("window not full yet")).alias("reason")
    )
