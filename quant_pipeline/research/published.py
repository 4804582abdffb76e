"""Which published rows are a pair's state and its history: those by the settings' parameters.

A researcher's own run with others is in the same table, and is no reason to leave the state as it
is, nor a change of it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from quant_pipeline.settings import Settings, timeframe_seconds

BY_SETTINGS: Final = (
    "venue = $venue and timeframe = $timeframe and rolling_window = $rolling_window"
    " and coalesce(liquidity_filter, false) = $liquidity_filter"
    " and coalesce(read_to - read_from, interval 1 day) = interval 1 day"
)
"""A condition on the columns of pair_snapshots; `by_settings` gives the values.

Rows older than a column lack it.
"""

SCHEDULED: Final = (
    "venue = $venue and timeframe = $timeframe"
    " and coalesce(liquidity_filter, false) = $liquidity_filter"
    " and coalesce(read_to - read_from, $span) = $span"
)
"""The same for adf_snapshots and correlation_snapshots; `scheduled` gives the values."""


def by_settings(settings: Settings) -> dict[str, str | int | bool]:
    """The values of `BY_SETTINGS`."""
    return {
        "venue": settings.venue,
        "timeframe": settings.pair_timeframe,
        "rolling_window": settings.rolling_window,
        "liquidity_filter": settings.pair_liquidity_filter,
    }


def scheduled(settings: Settings) -> dict[str, str | bool | timedelta]:
    """The values of `SCHEDULED`."""
    return {
        "venue": settings.venue,
        "timeframe": settings.snapshot_timeframe,
        "liquidity_filter": settings.snapshot_liquidity_filter,
        "span": snapshot_span(settings.snapshot_timeframe, settings.snapshot_lookback_h),
    }


def snapshot_span(timeframe: str, lookback_h: float) -> timedelta:
    """What a snapshot reads, with or without bars: the hours before the last bar, and it."""
    return timedelta(hours=lookback_h, seconds=timeframe_seconds(timeframe))
