"""Bars that trail the ticks by seconds: a resident dbt, run whenever ticks have landed."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from quant_pipeline import catalog, lake
from quant_pipeline.settings import Settings

if TYPE_CHECKING:  # dbt takes seconds to import, and Dagster's processes only ask `is_running`
    from quant_pipeline.resident_dbt import ResidentDbt, Run

LOCK = "resident dbt"
"""Advisory lock that is held for as long as the bars are kept: see `is_running`."""

_POLL_S = 0.5
_TAKE_OVER_S = 5.0
_AFTER_FAILURE_S = 5.0
_FAILURES_IN_A_ROW = 5

_BARS: Final = ("path:models/bars",)

_log = logging.getLogger(__name__)


def is_running(settings: Settings) -> bool:
    """Whether some process keeps this lake's bars up to date."""
    return catalog.is_held(lake.ensure(settings), LOCK)


def keep_fresh(
    settings: Settings,
    dbt: ResidentDbt,
    stopping: threading.Event,
    *,
    on_run: Callable[[Run], None],
) -> None:
    """Run the models whenever `raw.ticks` has changed, until `stopping` is set.

    Bars follow each change; all models, the liquidity tables too, once in `liquidity_interval_s`:
    bars that had to wait for those would trail by twice as much.

    A second process that calls this waits, ready to take over when the first one ends.

    Raises:
        DbtError: five runs in a row failed.
    """
    dsn = lake.ensure(settings)
    while not stopping.is_set():
        with catalog.advisory_lock(dsn, LOCK, wait=False) as ours:
            if ours:
                _run_when_fresh(dsn, dbt, stopping, on_run, settings.liquidity_interval_s)
        stopping.wait(_TAKE_OVER_S)


def _run_when_fresh(
    dsn: str,
    dbt: ResidentDbt,
    stopping: threading.Event,
    on_run: Callable[[Run], None],
    liquidity_interval_s: float,
) -> None:
    from quant_pipeline.resident_dbt import UNCHANGING, DbtError

    in_bars: int | None = None  # newest commit that the bars have consumed
    in_all: int | None = None
    all_at = -math.inf
    failures = 0
    while not stopping.is_set():
        newest = lake.newest_commit(dsn, "raw", "ticks")
        all_due = newest != in_all and time.monotonic() - all_at >= liquidity_interval_s
        if newest == in_bars and not all_due:
            stopping.wait(_POLL_S)
            continue
        try:
            on_run(dbt.run() if all_due else dbt.run(select=_BARS, exclude=UNCHANGING))
        except DbtError as error:
            failures += 1
            if failures == _FAILURES_IN_A_ROW:
                raise
            _log.warning("%s; trying again in %.0f s", error, _AFTER_FAILURE_S)
            stopping.wait(_AFTER_FAILURE_S)
            continue
        in_bars, failures = newest, 0
        if all_due:
            in_all, all_at = newest, time.monotonic()
