"""Asset checks: what must hold of ticks, bars and statistics, with numbers that the UI plots.

Grain and algebra of the dbt tables are dbt's own tests, which dagster-dbt shows as checks; here is
what they cannot see. Each check reads a bounded window. They run with what they check, and every
few minutes by a schedule, for ticks and resident bars change outside Dagster's runs.
"""

# No `from __future__ import annotations` here: Dagster reads the types of parameters.

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import dagster as dg
import duckdb
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from quant_pipeline.defs.alerts import ALERTS_KEY
from quant_pipeline.defs.pairs import SNAPSHOTS_KEY
from quant_pipeline.defs.resources import Lake
from quant_pipeline.defs.ticks import TICKS_KEY
from quant_pipeline.quality import bars, capture, pairs, silence
from quant_pipeline.quality.finding import Finding
from quant_pipeline.settings import TIMEFRAME_SECONDS, Settings, Timeframe

_KEYS_LOOKBACK = timedelta(days=2)


@dataclass(frozen=True)
class Reading:
    """What a check is given.

    Attributes:
        connection: the lake, read-only.
        settings: bounds.
        now: UTC, naive.
    """

    connection: duckdb.DuckDBPyConnection
    settings: Settings
    now: datetime

    @property
    def lookback(self) -> timedelta:
        return timedelta(hours=self.settings.check_lookback_h)


@dataclass(frozen=True)
class Check:
    """A check of an asset: its name, what it says, and how it is made."""

    asset: dg.AssetKey
    name: str
    description: str
    find: Callable[[Reading], Finding]
    blocking: bool = False

    @property
    def spec(self) -> dg.AssetCheckSpec:
        """The check as Dagster knows it."""
        return dg.AssetCheckSpec(
            self.name, asset=self.asset, description=self.description, blocking=self.blocking
        )

    def result(self, reading: Reading) -> dg.AssetCheckResult:
        """Make the check."""
        found = self.find(reading)
        return dg.AssetCheckResult(
            passed=found.passed,
            asset_key=self.asset,
            check_name=self.name,
            severity=(dg.AssetCheckSeverity.ERROR if found.severe else dg.AssetCheckSeverity.WARN),
            description=found.description,
            metadata=dict(found.metadata),
        )


def definitions(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """All checks, one definition for each thing that is materialised by itself."""
    return [
        _together("capture_checks", _capture()),
        _together("bar_checks", _bars(settings)),
        _together("pair_checks", _pairs()),
        _together("snapshot_checks", _keys("adf_snapshots", "correlation_snapshots")),
        _together("alert_checks", _keys(ALERTS_KEY.path[-1])),
    ]


def job(checks: Sequence[dg.AssetChecksDefinition]) -> UnresolvedAssetJobDefinition:
    """All checks in one run of one process."""
    return dg.define_asset_job(
        "checks",
        selection=dg.AssetSelection.checks(*checks),
        description="Make every check of ticks, bars, statistics and alerts, in one process.",
        executor_def=dg.in_process_executor,
        tags={"dagster/priority": "-1"},
    )


def _together(name: str, checks: Sequence[Check]) -> dg.AssetChecksDefinition:
    by_key = {dg.AssetCheckKey(check.asset, check.name): check for check in checks}

    @dg.multi_asset_check(name=name, specs=[check.spec for check in checks], can_subset=True)
    def made(
        context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]
    ) -> Iterator[dg.AssetCheckResult]:
        now = datetime.now(UTC).replace(tzinfo=None)
        with lake.connect(read_only=True) as connection:
            reading = Reading(connection, lake.settings, now)
            for key in context.selected_asset_check_keys:
                yield by_key[key].result(reading)

    return made


def _capture() -> list[Check]:
    return [
        Check(
            TICKS_KEY,
            "no_open_gaps",
            "No trade is known to be missing. A gap that stays open is an error.",
            lambda at: capture.open_gaps(
                at.connection,
                venue=at.settings.venue,
                now=at.now,
                error_after_s=at.settings.check_gap_error_s,
            ),
        ),
        Check(
            TICKS_KEY,
            "every_symbol_is_heard_of",
            "No symbol is silent for longer than is usual for it; an error if all of them are.",
            lambda at: capture.staleness(
                silence.measure(
                    at.connection,
                    venue=at.settings.venue,
                    symbols=at.settings.symbols,
                    now=at.now,
                    shortest_s=at.settings.stale_min_s,
                    factor=at.settings.stale_factor,
                )
            ),
        ),
        Check(
            TICKS_KEY,
            "clocks_agree",
            "The median delay from trade time to reception is neither negative nor long.",
            lambda at: capture.clock_skew(
                at.connection,
                venue=at.settings.venue,
                symbols=at.settings.symbols,
                now=at.now,
                lookback=at.lookback,
                bound_ms=at.settings.check_clock_skew_ms,
            ),
        ),
    ]


def _bars(settings: Settings) -> list[Check]:
    equal = [
        Check(
            dg.AssetKey(["bars", f"ohlc_{timeframe}"]),
            "equals_its_ticks",
            "A random sample of bars, recomputed from raw.ticks, is equal in every column.",
            partial(_equal_ticks, timeframe),
            blocking=True,
        )
        for timeframe in TIMEFRAME_SECONDS
        if timeframe in settings.timeframes
    ]
    jumps = Check(
        dg.AssetKey(["bars", "ohlc_1m"]),
        "no_price_jumps",
        "No one-minute return of late is beyond a robust bound.",
        lambda at: bars.price_jumps(
            at.connection,
            venue=at.settings.venue,
            lookback=at.lookback,
            bound_mads=at.settings.check_price_jump_mads,
        ),
    )
    return [*equal, jumps]


def _equal_ticks(timeframe: Timeframe, at: Reading) -> Finding:
    return bars.equal_ticks(
        at.connection, timeframe, venue=at.settings.venue, spans=at.settings.check_sampled_spans
    )


def _pairs() -> list[Check]:
    return [
        *_keys("pair_snapshots"),
        Check(
            SNAPSHOTS_KEY,
            "both_legs_trade",
            "The legs of each pair trade in the same bars.",
            lambda at: pairs.one_leg_share(
                at.connection,
                at.settings.pairs,
                venue=at.settings.venue,
                timeframe=at.settings.pair_timeframe,
                lookback=at.lookback,
                bound=at.settings.check_one_leg_share,
            ),
        ),
        Check(
            SNAPSHOTS_KEY,
            "no_drift",
            "Hedge ratio, half-life and correlation are like those of the days before.",
            lambda at: pairs.drift(at.connection, at.settings, now=at.now),
        ),
    ]


def _keys(*tables: str) -> list[Check]:
    def find(table: str, at: Reading) -> Finding:
        return pairs.one_row_per_key(at.connection, table, now=at.now, lookback=_KEYS_LOOKBACK)

    return [
        Check(
            dg.AssetKey(["analytics", table]),
            "one_row_per_key",
            f"One row per {', '.join(pairs.KEYS[table])}.",
            partial(find, table),
            blocking=True,
        )
        for table in tables
    ]
