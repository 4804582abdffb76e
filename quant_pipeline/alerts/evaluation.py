"""One look at the rules: read, decide, record, send. The shell around rules, store and delivery."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import duckdb

from quant_pipeline import catalog, lake
from quant_pipeline.alerts import delivery, readings, rules, store
from quant_pipeline.alerts.rules import Change, Observation
from quant_pipeline.settings import Settings

if TYPE_CHECKING:
    import polars as pl

_LOCK = "alerts"


@dataclass(frozen=True)
class Outcome:
    """What one look did.

    Attributes:
        raised, cleared: alerts that changed.
        sent: messages that every address has now.
        waiting: messages that still have to be sent.
        current: open alerts, newest first; columns as `store.SHOWN`.
    """

    raised: int
    cleared: int
    sent: int
    waiting: int
    current: pl.DataFrame

    @property
    def changed(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.raised or self.cleared or self.sent)


def evaluate(settings: Settings, *, now: datetime, also: Iterable[Observation] = ()) -> Outcome:
    """Judge every rule once and send what is due.

    One process at a time: others wait for the lock. What changed is committed before anything is
    sent, and what was sent is committed at once; a crash in between sends again, never not at all.

    Args:
        now: UTC, naive.
        also: observations that are not in the lake, as runs of Dagster.

    Raises:
        delivery.AddressError: an address in the settings cannot be used; what changed is recorded.
    """
    with (
        catalog.advisory_lock(lake.ensure(settings), _LOCK),
        lake.connect(settings=settings) as connection,
    ):
        return look(connection, settings, now=now, also=also)


def look(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    *,
    now: datetime,
    also: Iterable[Observation] = (),
) -> Outcome:
    """`evaluate` on a connection that nobody else judges on."""
    changes = _judge(connection, settings, now=now, also=also)
    receipts = []
    if messages := store.waiting(connection, settings.venue):
        to = delivery.destinations(settings.alert_urls)
        receipts = delivery.deliver(messages, to, settings, now=now)
        store.settle(connection, receipts, now=now)
    return Outcome(
        raised=changes.count(Change.RAISED),
        cleared=changes.count(Change.CLEARED),
        sent=sum(receipt.state == "sent" for receipt in receipts),
        waiting=len(messages) - sum(receipt.state != "waiting" for receipt in receipts),
        current=store.read(connection, settings.venue, only_open=True),
    )


def _judge(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    *,
    now: datetime,
    also: Iterable[Observation],
) -> list[Change]:
    active = rules.configured(settings)
    seen = [*readings.read(connection, settings, active, now=now), *also]
    is_open = store.open_alerts(connection, settings.venue)
    retired = rules.unwatched(is_open, active, readings.subjects(settings))
    store.retire(connection, settings.venue, retired, now=now)
    transitions = rules.decide(active, seen, is_open.keys() - set(retired))
    where: store.Delivery = "waiting" if settings.alert_urls else "off"
    store.record(connection, settings.venue, transitions, now=now, delivery=where)
    return [transition.change for transition in transitions]
