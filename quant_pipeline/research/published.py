"""Which rows of analytics.pair_snapshots are a pair's state: those by the settings' parameters.

A researcher's own run with others is in the same table, and is no reason to leave the state as it
is, nor a change of it.
"""

from __future__ import annotations

from typing import Final

from quant_pipeline.settings import Settings

BY_SETTINGS: Final = (
    "venue = $venue and timeframe = $timeframe and rolling_window = $rolling_window"
    " and coalesce(liquidity_filter, false) = $liquidity_filter"
    " and coalesce(read_to - read_from, interval 1 day) = interval 1 day"
)
"""A condition on its columns; `by_settings` gives the values. Rows older than a column lack it."""


def by_settings(settings: Settings) -> dict[str, str | int | bool]:
    """The values of `BY_SETTINGS`."""
    return {
        "venue": settings.venue,
        "timeframe": settings.pair_timeframe,
        "rolling_window": settings.rolling_window,
        "liquidity_filter": settings.pair_liquidity_filter,
    }
