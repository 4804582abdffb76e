"""The values that the rules judge, read from the lake in a handful of bounded queries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from statistics import median

import duckdb

from quant_pipeline.alerts.rules import STREAM, Observation, Rule
from quant_pipeline.quality import silence
from quant_pipeline.research.published import BY_SETTINGS, SCHEDULED, by_settings, scheduled
from quant_pipeline.settings import AlertRule, Pair, Settings

_WEEK = timedelta(days=7)
_DAY = timedelta(days=1)
_FEWEST_DAYS = 2
_FEWEST_CORRELATIONS = 5
_FEWEST_BARS = 12

Reader = Callable[[duckdb.DuckDBPyConnection, Settings, datetime], Iterable[Observation]]


def read(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    rules: Mapping[AlertRule, Rule],
    *,
    now: datetime,
) -> list[Observation]:
    """What the lake says now (UTC, naive) about every rule that is on."""
    readers = dict.fromkeys(_READERS[name] for name in rules if name in _READERS)
    return [seen for reader in readers for seen in reader(connection, settings, now)]


def subjects(settings: Settings) -> set[str]:
    """Pairs and symbols that rules are about."""
    return {str(pair) for pair in settings.pairs} | set(settings.symbols)


def _pair_statistics(
    connection: duckdb.DuckDBPyConnection, settings: Settings, now: datetime
) -> Iterable[Observation]:
    """|z| and the spread's deviation, from the newest published row of each pair and date."""
    rows = connection.execute(
        f"""
        select y, x, day, max(window_end), max(taken_at),
            arg_max(abs(metrics['rolling_zscore']), taken_at),
            arg_max(metrics['spread_sd_bps'], taken_at)
        from lake.analytics.pair_snapshots
        where {BY_SETTINGS} and taken_at >= $since
        group by y, x, day order by day
        """,
        {**by_settings(settings), "since": now - _WEEK},
    ).fetchall()
    for pair in settings.pairs:
        days = [row[3:] for row in rows if Pair(row[0], row[1]) == pair]
        if not days:
            continue
        observed_at, taken_at, zscore, deviation = days[-1]
        if now - taken_at > _DAY:  # nobody computes it any more
            continue
        yield Observation("zscore", str(pair), zscore, observed_at)
        earlier = [row[3] for row in days[:-1] if row[3] is not None]
        usual = median(earlier) if len(earlier) >= _FEWEST_DAYS else 0.0
        ratio = deviation / usual if deviation is not None and usual > 0 else None
        yield Observation("spread_widening", str(pair), ratio, observed_at)


def _correlation(
    connection: duckdb.DuckDBPyConnection, settings: Settings, now: datetime
) -> Iterable[Observation]:
    """How far the newest correlation is below the median of the week before it."""
    rows = connection.execute(
        "select y, x, window_end, correlation from lake.analytics.correlation_snapshots"
        f" where {SCHEDULED} and taken_at >= $since and isfinite(correlation) order by taken_at",
        {**scheduled(settings), "since": now - _WEEK},
    ).fetchall()
    for pair in settings.pairs:
        values = [(at, value) for y, x, at, value in rows if Pair(y, x) == pair]
        if len(values) <= _FEWEST_CORRELATIONS:
            continue
        observed_at, newest = values[-1]
        drop = median(value for _, value in values[:-1]) - newest
        yield Observation("correlation_breakdown", str(pair), drop, observed_at)


def _cointegration(
    connection: duckdb.DuckDBPyConnection, settings: Settings, now: datetime
) -> Iterable[Observation]:
    """The newest scheduled Engle-Granger p-value."""
    rows = connection.execute(
        "select y, x, window_end, pvalue from lake.analytics.adf_snapshots"
        f" where {SCHEDULED} and series = 'spread' and taken_at >= $since"
        " qualify row_number() over (partition by y, x order by taken_at desc) = 1",
        {**scheduled(settings), "since": now - _DAY},
    ).fetchall()
    for y, x, observed_at, pvalue in rows:
        if (pair := Pair(y, x)) in settings.pairs:
            yield Observation("cointegration_gained", str(pair), pvalue, observed_at)
            yield Observation("cointegration_lost", str(pair), pvalue, observed_at)


def _volume(
    connection: duckdb.DuckDBPyConnection, settings: Settings, _now: datetime
) -> Iterable[Observation]:
    """Volume of the newest complete five minutes over the median of the day before them."""
    try:
        rows = connection.execute(
            """
            with bars as (
                select symbol, bucket, quote_volume, max(bucket) over () as growing
                from lake.bars.ohlc_5m
                where venue = $venue and symbol in (select unnest($symbols)) and bucket >= (
                    select max(bucket) from lake.bars.ohlc_5m where venue = $venue
                ) - interval 1 day
            ),
            newest as (select max(bucket) as bucket from bars where bucket < growing)
            select
                symbol,
                max(newest.bucket),
                coalesce(max(quote_volume) filter (bars.bucket = newest.bucket), 0),
                median(quote_volume) filter (bars.bucket < newest.bucket),
                count(*) filter (bars.bucket < newest.bucket)
            from bars, newest group by symbol
            """,
            {"venue": settings.venue, "symbols": list(settings.symbols)},
        ).fetchall()
    except duckdb.CatalogException:  # dbt has not run yet
        return
    for symbol, observed_at, volume, usual, bars in rows:
        if bars >= _FEWEST_BARS and usual > 0:
            yield Observation("volume_spike", symbol, volume / usual, observed_at)


def _silence(
    connection: duckdb.DuckDBPyConnection, settings: Settings, now: datetime
) -> Iterable[Observation]:
    """Silence over its limit: of each symbol, or of the stream when nothing arrives at all.

    While the stream is stopped the symbols say nothing: one alert, not one for each; and none when
    the worker was told to stop.
    """
    found = silence.measure(
        connection,
        venue=settings.venue,
        symbols=settings.symbols,
        now=now,
        shortest_s=settings.stale_min_s,
        factor=settings.stale_factor,
    )
    if not found.symbols:
        return
    stream_ratio = 0.0 if found.released else found.stream_s / found.stream_limit_s
    yield Observation("stale_feed", STREAM, stream_ratio, now)
    for each in found.symbols:
        ratio = None if found.stopped else each.listened_s / each.limit_s
        yield Observation("stale_feed", each.symbol, ratio, now)


def _gaps(
    connection: duckdb.DuckDBPyConnection, settings: Settings, now: datetime
) -> Iterable[Observation]:
    """Age of each symbol's oldest open gap, seconds; 0 where none is open."""
    oldest = dict(
        connection.execute(
            "select symbol, min(detected_at) from lake.raw.capture_gaps"
            " where venue = ? and status = 'open' group by symbol",
            [settings.venue],
        ).fetchall()
    )
    for symbol in settings.symbols:
        detected_at = oldest.get(symbol, now)
        age_s = max((now - detected_at).total_seconds(), 0.0)
        yield Observation("open_gap", symbol, age_s, detected_at)


_READERS: dict[AlertRule, Reader] = {
    "zscore": _pair_statistics,
    "spread_widening": _pair_statistics,
    "correlation_breakdown": _correlation,
    "cointegration_gained": _cointegration,
    "cointegration_lost": _cointegration,
    "volume_spike": _volume,
    "stale_feed": _silence,
    "open_gap": _gaps,
}
