"""Traded volume by price, its point of control and its value area."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from quant_pipeline.analytics._inputs import FloatArray, as_series
from quant_pipeline.analytics._tick_inputs import (
    open_unit_interval,
    positive,
    positive_number,
    same_length,
)
from quant_pipeline.analytics._volume import sized_trades

_MOST_BINS = 1_000_000
_PROFILE_COLUMNS = ("price_low", "price_high", "volume", "buy_volume", "sell_volume", "trades")


@dataclass(frozen=True, slots=True, eq=False)
class VolumeProfile:
    """Traded volume by price.

    ``bins`` has one row per price bin from the lowest to the highest trade, empty ones included:
    ``price_low`` (inclusive), ``price_high`` (exclusive), ``volume``, ``buy_volume``,
    ``sell_volume`` (base units, by aggressor) and ``trades``. ``point_of_control`` is the middle of
    the bin with the most volume. The value area reaches from ``value_area_low`` to
    ``value_area_high`` and holds ``value_area_share`` of the volume, at least the share asked for.
    """

    bins: pl.DataFrame
    bin_size: float
    point_of_control: float
    value_area_low: float
    value_area_high: float
    value_area_share: float
    volume: float
    n: int
    reason: str | None

    @property
    def defined(self) -> bool:
        """Whether there was any volume to place."""
        return self.reason is None


def volume_profile(
    price: ArrayLike,
    quantity: ArrayLike,
    is_buyer_maker: ArrayLike,
    bin_size: float,
    *,
    value_area: float = 0.70,
) -> VolumeProfile:
    """Volume traded at each price, its point of control and its value area.

    Formula
    -------
    Volume by bin ⌊price / bin_size⌋. The value area starts at the point of control and takes in,
    one bin at a time, whichever neighbour holds more volume, until it holds the share asked for.
    Ties go to the higher price; of several bins with the most volume, the one nearest the middle
    of the range is the point of control.

    Units
    -----
    Prices in quote currency, volumes in base units.

    Parameters
    ----------
    price : array of shape (n,)
        Price of each trade in quote currency.
    quantity : array of shape (n,)
        Size in base units, not negative.
    is_buyer_maker : array of bool, shape (n,)
        Whether the resting side bought, so that the aggressor sold.
    bin_size : float
        Height of a bin in quote currency; bins begin at its multiples.
    value_area : float
        Share of the volume that the value area holds, between 0 and 1.

    Returns
    -------
    VolumeProfile
        Undefined if nothing traded.

    Raises
    ------
    ValueError
        If lengths differ, a value is missing, a price or ``bin_size`` is not positive, a quantity
        is negative, or the range would need more than a million bins.

    References
    ----------
    Steidlmayer, J. P. and Hawkins, S. B. (2003), "Steidlmayer on Markets", 2nd ed., Wiley; the
    expansion here is by single rows.

    Examples
    --------
    >>> profile = volume_profile(
    ...     [10.0, 10.5, 11.2, 11.3, 12.1], [1, 1, 4, 2, 2], [True, False, False, True, True], 1.0
    ... )
    >>> profile.point_of_control, profile.value_area_low, profile.value_area_high
    (11.5, 11.0, 13.0)
    >>> profile.bins["volume"].to_list()
    [2.0, 6.0, 2.0]
    """
    prices = as_series(price, "price", allow_nan=True)
    quantities, sell = sized_trades(quantity, is_buyer_maker)
    same_length(price=prices, quantity=quantities)
    positive(prices, "price")
    positive_number(bin_size, "bin_size")
    open_unit_interval(value_area, "value_area")
    total = float(quantities.sum())
    if not total > 0:
        empty = pl.DataFrame(schema=dict.fromkeys(_PROFILE_COLUMNS, pl.Float64))
        empty = empty.with_columns(pl.col("trades").cast(pl.Int64))
        nan = np.nan
        n = len(prices)
        return VolumeProfile(empty, bin_size, nan, nan, nan, nan, 0.0, n, "no volume")
    # A price that is a multiple of the bin size up to rounding belongs to the bin it begins.
    position = prices / bin_size
    nearest = np.rint(position)
    on_edge = np.abs(position - nearest) <= 1e-9 * np.maximum(nearest, 1.0)
    level = np.where(on_edge, nearest, np.floor(position))
    lowest, count = level.min(), np.ptp(level) + 1
    if count > _MOST_BINS or level.max() > 2**53:
        raise ValueError(
            f"bin_size is {bin_size}, which needs {count:,.0f} bins from {prices.min()} to "
            f"{prices.max()}; choose a larger one"
        )
    count, row = int(count), (level - lowest).astype(np.int64)
    volume = np.bincount(row, weights=quantities, minlength=count).astype(np.float64)
    bought = np.bincount(row[~sell], weights=quantities[~sell], minlength=count)
    sold = np.bincount(row[sell], weights=quantities[sell], minlength=count)
    low, control, high = _value_area(volume, value_area)
    edges = (lowest + np.arange(count + 1)) * bin_size
    columns = (edges[:-1], edges[1:], volume, bought, sold, np.bincount(row, minlength=count))
    return VolumeProfile(
        bins=pl.DataFrame(dict(zip(_PROFILE_COLUMNS, columns, strict=True))),
        bin_size=bin_size,
        point_of_control=float((edges[control] + edges[control + 1]) / 2),
        value_area_low=float(edges[low]),
        value_area_high=float(edges[high + 1]),
        value_area_share=float(volume[low : high + 1].sum() / volume.sum()),
        volume=total,
        n=len(prices),
        reason=None,
    )


def _value_area(volume: FloatArray, share: float) -> tuple[int, int, int]:
    """Lowest, control and highest bin; the area grows towards the larger neighbour."""
    most = np.flatnonzero(volume == volume.max())
    control = int(most[np.argmin(np.abs(most - (len(volume) - 1) / 2))])
    low = high = control
    # Rounding in the sums must not add a bin to an area that holds exactly enough.
    held, wanted = float(volume[control]), share * float(volume.sum()) * (1 - 1e-12)
    while held < wanted and (low > 0 or high < len(volume) - 1):
        below = volume[low - 1] if low > 0 else -1.0
        above = volume[high + 1] if high < len(volume) - 1 else -1.0
        if above >= below:
            high, held = high + 1, held + float(above)
        else:
            low, held = low - 1, held + float(below)
    return low, control, high
