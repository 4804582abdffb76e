"""Checks of published pair statistics: legs that trade together, figures that did not drift."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from statistics import median
from typing import Any, Final

import duckdb

from quant_pipeline.quality.finding import Finding
from quant_pipeline.research.published import BY_SETTINGS, by_settings
from quant_pipeline.settings import Pair, Settings, Timeframe

KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "pair_snapshots": ("taken_at", "venue", "y", "x", "timeframe", "day", "rolling_window"),
    "adf_snapshots": ("taken_at", "venue", "y", "x", "timeframe", "series"),
    "correlation_snapshots": ("taken_at", "venue", "y", "x", "timeframe"),
    "alerts": ("alert_id",),
}
"""What makes a row of each table in lake.analytics the only one."""

_TIMES: Final = {"alerts": "raised_at"}
_HISTORY = timedelta(days=14)
_FEWEST_DAYS = 5
_DRIFTING: Final = ("hedge_ratio", "half_life_s", "correlation")


def one_row_per_key(
    connection: duckdb.DuckDBPyConnection, table: str, *, now: datetime, lookback: timedelta
) -> Finding:
    """Whether a table of lake.analytics has one row of each key, among the rows of late."""
    key = ", ".join(KEYS[table])
    row = connection.execute(
        f"select coalesce(sum(copies), 0)::bigint, count(*) filter (copies > 1)"
        f" from (select count(*) as copies from lake.analytics.{table}"
        f" where {_TIMES.get(table, 'taken_at')} >= ? group by {key})",
        [now - lookback],
    ).fetchone()
    assert row is not None
    rows, repeated = row
    metadata = {"rows": rows, "repeated_keys": repeated}
    if repeated:
        said = f"{repeated} keys ({key}) have more than one row in lake.analytics.{table}."
        return Finding(False, said, metadata, severe=True)
    return Finding(True, f"{rows:,} rows of late, each key once.", metadata)


def one_leg_share(
    connection: duckdb.DuckDBPyConnection,
    pairs: Sequence[Pair],
    *,
    venue: str,
    timeframe: Timeframe,
    lookback: timedelta,
    bound: float,
) -> Finding:
    """Whether the legs of each pair trade in the same bars.

    Where only one leg traded the other's price is carried forward: correlations shrink and spreads
    grow for no reason of the market's.
    """
    metadata: dict[str, float | int] = {}
    complaints = []
    for pair in pairs:
        try:
            row = connection.execute(
                f"""
                with recent as (
                    select bucket, count(distinct symbol) as legs
                    from lake.bars.ohlc_{timeframe}
                    where venue = $venue and symbol in ($y, $x) and bucket > (
                        select max(bucket) from lake.bars.ohlc_{timeframe}
                        where venue = $venue and symbol in ($y, $x)
                    ) - $lookback
                    group by bucket
                )
                select count(*), count(*) filter (legs = 1) from recent
                """,
                {"venue": venue, "y": pair.y, "x": pair.x, "lookback": lookback},
            ).fetchone()
        except duckdb.CatalogException:
            return Finding(True, "There are no bars yet.")
        assert row is not None
        bars, one_leg = row
        if not bars:
            continue
        share = one_leg / bars
        metadata[f"{pair.key} one_leg_share"] = round(share, 4)
        if share > bound:
            complaints.append(f"{pair} {share:.0%}")
    if complaints:
        return Finding(
            False,
            f"Only one leg traded in most {timeframe} bars of {', '.join(complaints)}"
            f" (bound {bound:.0%}): use longer bars.",
            metadata,
        )
    return Finding(True, f"The legs trade in the same {timeframe} bars.", metadata)


def drift(connection: duckdb.DuckDBPyConnection, settings: Settings, *, now: datetime) -> Finding:
    """Whether the newest hedge ratio, half-life and correlation are like those of the days before.

    Each date counts once, by its newest row. The distance is from the median, in units of 1.4826
    median absolute deviations (at least a thousandth of the median); of the half-life's logarithm.
    """
    rows = connection.execute(
        "select y, x, day, arg_max(metrics, taken_at) from lake.analytics.pair_snapshots"
        f" where {BY_SETTINGS} and taken_at >= $since group by y, x, day order by day",
        {**by_settings(settings), "since": now - _HISTORY},
    ).fetchall()
    metadata: dict[str, float | int] = {}
    complaints = []
    for pair in settings.pairs:
        days: list[dict[str, Any]] = [row[3] for row in rows if Pair(row[0], row[1]) == pair]
        for name in _DRIFTING:
            distance = _distance([_scaled(name, day.get(name)) for day in days])
            if distance is None:
                continue
            metadata[f"{pair.key} {name}_mads"] = round(distance, 3)
            if distance > settings.check_drift_mads:
                complaints.append(f"{pair} {name} {days[-1][name]:.4g}")
    if complaints:
        return Finding(
            False,
            f"Statistics have drifted from their last days: {', '.join(complaints)}"
            f" (beyond {settings.check_drift_mads:g} robust deviations).",
            metadata,
        )
    if not metadata:
        return Finding(True, f"Fewer than {_FEWEST_DAYS} earlier days to compare with.")
    return Finding(True, "Statistics are like those of the days before.", metadata)


def _scaled(name: str, value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    if name == "half_life_s":
        return math.log(value) if value > 0 else None
    return value


def _distance(values: Sequence[float | None]) -> float | None:
    """Of the last value from the others, in robust deviations; None where that is undefined."""
    earlier = [value for value in values[:-1] if value is not None]
    if len(earlier) < _FEWEST_DAYS or values[-1] is None:
        return None
    centre = median(earlier)
    spread = 1.4826 * median(abs(value - centre) for value in earlier)
    return abs(values[-1] - centre) / max(spread, 1e-3 * abs(centre), 1e-9)
