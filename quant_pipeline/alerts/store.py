"""`lake.analytics.alerts`: what was raised, when it was cleared, and whom it reached.

The table is the only memory: whoever evaluates the rules reads from it which alerts are open and
which messages still wait, so a restart raises and sends nothing twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

import duckdb

from quant_pipeline.alerts.rules import Change, Severity, Transition
from quant_pipeline.lake import transaction

if TYPE_CHECKING:
    import polars as pl

Delivery = Literal["waiting", "sent", "off"]

UNWATCHED: Final = "no longer watched"
_RETRY_AFTER_S = 30.0
_RETRY_AFTER_MAX_S = 600.0

SHOWN = (
    "alert_id, rule, subject, severity, raised_at, observed_at, value, threshold, message,"
    " cleared_at, cleared_value, cleared_message, raised_delivery, cleared_delivery, attempts,"
    " delivery_error"
)
"""Columns for readers, in order."""


@dataclass(frozen=True)
class Message:
    """One thing to tell: that an alert was raised, or cleared.

    Attributes:
        alert_id: key of the alert's row.
        change: which of the two.
        severity: of the alert; an end is as severe as its beginning.
        at: when it happened, UTC.
        text: what to say.
        delivered_to: digests of the addresses that have this message.
        attempts: failed ones since the last success.
        attempted_at: the last of them.
    """

    alert_id: str
    change: Change
    severity: Severity
    at: datetime
    text: str
    delivered_to: frozenset[str] = frozenset()
    attempts: int = 0
    attempted_at: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        """Whether to try now: the pause doubles with each failure, up to ten minutes."""
        if self.attempted_at is None or not self.attempts:
            return True
        pause_s = min(_RETRY_AFTER_S * 2.0 ** min(self.attempts - 1, 16), _RETRY_AFTER_MAX_S)
        return now - self.attempted_at >= timedelta(seconds=pause_s)


@dataclass(frozen=True)
class Receipt:
    """What became of a message.

    Attributes:
        message: the message.
        delivered_to: addresses, as digests, that took it in this attempt.
        state: `waiting` while an address is missing.
        error: why one is missing; holds no secret.
    """

    message: Message
    delivered_to: frozenset[str]
    state: Delivery
    error: str | None = None


def open_alerts(connection: duckdb.DuckDBPyConnection, venue: str) -> dict[tuple[str, str], str]:
    """(rule, subject) of every open alert, with its id."""
    rows = connection.execute(
        "select rule, subject, alert_id from lake.analytics.alerts"
        " where venue = ? and cleared_at is null",
        [venue],
    ).fetchall()
    return {(rule, subject): alert_id for rule, subject, alert_id in rows}


def record(
    connection: duckdb.DuckDBPyConnection,
    venue: str,
    transitions: Sequence[Transition],
    *,
    now: datetime,
    delivery: Delivery,
) -> None:
    """Write what changed, in one commit.

    Args:
        delivery: `waiting` if the messages are to be sent, `off` if there is nowhere to send them.
    """
    if not transitions:
        return
    with transaction(connection):
        is_open = open_alerts(connection, venue)
        for each in transitions:
            if each.change is Change.RAISED:
                _insert(connection, venue, each, now, delivery)
            else:
                state = delivery if each.message else "off"
                value = each.observation.value
                _close(connection, is_open[each.key], now, value, each.message, state)


def retire(
    connection: duckdb.DuckDBPyConnection,
    venue: str,
    keys: Iterable[tuple[str, str]],
    *,
    now: datetime,
) -> None:
    """Close alerts that nothing judges any more; nobody is told."""
    if keys := list(keys):
        with transaction(connection):
            is_open = open_alerts(connection, venue)
            for key in keys:
                _close(connection, is_open[key], now, None, UNWATCHED, "off")


def waiting(connection: duckdb.DuckDBPyConnection, venue: str) -> list[Message]:
    """Messages that not every address has yet, oldest first."""
    rows = connection.execute(
        "select alert_id, severity, raised_at, message, raised_delivery, cleared_at,"
        " cleared_message, cleared_delivery, delivered_to, attempts, attempted_at"
        " from lake.analytics.alerts where venue = ?"
        " and (raised_delivery = 'waiting' or cleared_delivery = 'waiting')",
        [venue],
    ).fetchall()
    found = []
    for alert_id, severity, raised_at, text, raised, cleared_at, end, cleared, *tried in rows:
        for change, state, at, said in (
            (Change.RAISED, raised, raised_at, text),
            (Change.CLEARED, cleared, cleared_at, end),
        ):
            if state == "waiting":
                has = (entry.partition(":") for entry in tried[0])
                reached = frozenset(digest for kind, _, digest in has if kind == change)
                found.append(
                    Message(alert_id, change, Severity(severity), at, said, reached, *tried[1:])
                )
    return sorted(found, key=lambda message: (message.at, message.alert_id, message.change))


def settle(
    connection: duckdb.DuckDBPyConnection, receipts: Sequence[Receipt], *, now: datetime
) -> None:
    """Record what became of messages, in one commit."""
    if not receipts:
        return
    with transaction(connection):
        for receipt in receipts:
            message = receipt.message
            failed = receipt.state == "waiting"
            connection.execute(
                f"update lake.analytics.alerts set {message.change}_delivery = ?,"
                " delivered_to = list_concat(delivered_to, ?::varchar[]),"
                f" attempts = {'attempts + 1' if failed else '0'},"
                " attempted_at = ?, delivery_error = ? where alert_id = ?",
                [
                    receipt.state,
                    [f"{message.change}:{digest}" for digest in sorted(receipt.delivered_to)],
                    now,
                    receipt.error,
                    message.alert_id,
                ],
            )


def read(
    connection: duckdb.DuckDBPyConnection,
    venue: str,
    *,
    since: datetime | None = None,
    only_open: bool = False,
    limit: int = 1000,
) -> pl.DataFrame:
    """Alerts, newest first: those raised, cleared or still open since `since` (UTC, naive)."""
    return connection.execute(
        f"select {SHOWN} from lake.analytics.alerts where venue = $venue"
        " and ($since is null or raised_at >= $since or cleared_at >= $since or cleared_at is null)"
        " and (not $only_open or cleared_at is null)"
        " order by raised_at desc, rule, subject limit $limit",
        {"venue": venue, "since": since, "only_open": only_open, "limit": limit},
    ).pl()


def _insert(
    connection: duckdb.DuckDBPyConnection,
    venue: str,
    transition: Transition,
    now: datetime,
    delivery: Delivery,
) -> None:
    rule, seen = transition.rule, transition.observation
    connection.execute(
        "insert into lake.analytics.alerts by name select ? as alert_id, ? as venue, ? as rule,"
        " ? as subject, ? as severity, ?::timestamp as raised_at, ?::timestamp as observed_at,"
        " ? as value, ? as threshold, ? as message, ? as raised_delivery,"
        " []::varchar[] as delivered_to, 0 as attempts",
        [
            f"{now:%Y%m%dT%H%M%S%f} {rule.name} {seen.subject}",
            venue,
            rule.name,
            seen.subject,
            rule.severity.value,
            now,
            seen.observed_at,
            seen.value,
            rule.raise_at,
            transition.message,
            delivery,
        ],
    )


def _close(
    connection: duckdb.DuckDBPyConnection,
    alert_id: str,
    now: datetime,
    value: float | None,
    message: str,
    delivery: Delivery,
) -> None:
    assert value is None or math.isfinite(value)
    connection.execute(
        "update lake.analytics.alerts set cleared_at = ?, cleared_value = ?, cleared_message = ?,"
        " cleared_delivery = ? where alert_id = ?",
        [now, value, message, delivery, alert_id],
    )
