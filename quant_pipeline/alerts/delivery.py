"""Telling people: quiet hours, digests, and Apprise.

Addresses are secrets: they are named by a digest and their scheme, in errors and in the lake.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any, Final

import stamina
from pydantic import SecretStr

from quant_pipeline.alerts.rules import Change, Severity
from quant_pipeline.alerts.store import Message, Receipt
from quant_pipeline.settings import Settings

_ATTEMPTS = 3
_TIMEOUT_S: Final = 10.0
"""Tries at one address end after this; Apprise gives each try at most 4 s to connect and 4 to read.
A longer outage is waited out by trying again at a later look."""
_LONGEST_DIGEST = 40

# At this level Apprise is silent: what it logs may hold parts of an address.
logging.getLogger("apprise").setLevel(logging.CRITICAL)


class AddressError(ValueError):
    """An address that Apprise cannot use; the message does not hold it."""


class _RefusedError(RuntimeError):
    """The address did not take a message."""


@dataclass(frozen=True)
class Notice:
    """What is sent: one message, or a digest of several."""

    title: str
    body: str
    severity: Severity
    is_end: bool = False


@dataclass(frozen=True)
class Destination:
    """One address.

    Attributes:
        digest: names it without telling it.
        scheme: as `slack`.
        send: raises if the notice was not taken.
    """

    digest: str
    scheme: str
    send: Callable[[Notice], None]


@dataclass(frozen=True)
class QuietHours:
    """From `start` to before `end`, UTC; over midnight if `end` is not later."""

    start: time
    end: time

    @classmethod
    def parse(cls, text: str) -> QuietHours:
        """Read `22:00-06:00`."""
        start, _, end = text.partition("-")
        return cls(time.fromisoformat(start), time.fromisoformat(end))

    def covers(self, moment: datetime) -> bool:
        """Whether it is quiet at a UTC time.

        Example:
            >>> QuietHours.parse("22:00-06:00").covers(datetime(2024, 8, 9, 23, 30))
            True
        """
        now = moment.time()
        if self.start < self.end:
            return self.start <= now < self.end
        return now >= self.start or now < self.end


def destinations(urls: Sequence[SecretStr]) -> list[Destination]:
    """The addresses to send to.

    Raises:
        AddressError: Apprise does not know an address's scheme, or finds it malformed.
    """
    return [_destination(number, url) for number, url in enumerate(urls, start=1)]


def deliver(
    messages: Sequence[Message], to: Sequence[Destination], settings: Settings, *, now: datetime
) -> list[Receipt]:
    """Send what is due now, and say what became of it.

    Each address gets one notice: the message, or a digest if there are several. What an address
    has already is not sent to it again. In quiet hours messages wait, except critical ones if the
    settings let them pass.
    """
    if not to:
        return [Receipt(message, frozenset(), "off") for message in messages]
    due = [
        message for message in messages if message.is_due(now) and not _held(message, settings, now)
    ]
    if not due:
        return []
    with ThreadPoolExecutor(max_workers=min(len(to), 8)) as pool:
        took = dict(
            zip(
                [each.digest for each in to],
                pool.map(lambda each: _try(each, _lacking(due, each)), to),
                strict=True,
            )
        )
    return [_receipt(message, to, took) for message in due]


def notice(messages: Sequence[Message]) -> Notice:
    """One notice for these messages.

    Raises:
        ValueError: there are none.
    """
    if not messages:
        raise ValueError("a notice needs a message")
    if len(messages) == 1:
        only = messages[0]
        ended = only.change is Change.CLEARED
        title = f"{'Cleared' if ended else only.severity.capitalize()}: {only.text}"
        return Notice(title, f"{only.text}\n{only.change} {_moment(only.at)}", only.severity, ended)
    raised = [message for message in messages if message.change is Change.RAISED]
    order = list(Severity)
    worst = max((message.severity for message in raised or messages), key=order.index)
    lines = [
        f"{_moment(message.at)} {message.change} [{message.severity}] {message.text}"
        for message in messages[:_LONGEST_DIGEST]
    ]
    if more := len(messages) - len(lines):
        lines.append(f"and {more} more: `quant alerts` lists them")
    title = f"{len(raised)} alerts raised, {len(messages) - len(raised)} cleared"
    return Notice(title, "\n".join(lines), worst, is_end=not raised)


def send_test(to: Sequence[Destination]) -> dict[str, str | None]:
    """Send a test notice everywhere: scheme and digest -> None, or what went wrong."""
    test = Notice(
        "Test", "quant-pipeline can reach you: this is what an alert looks like.", Severity.INFO
    )
    return {f"{each.scheme} {each.digest}": _error(each, test) for each in to}


def _destination(number: int, url: SecretStr) -> Destination:
    import apprise

    address = url.get_secret_value()
    scheme = address.partition("://")[0]
    plugin: Any = apprise.Apprise.instantiate(address, suppress_exceptions=True)
    if plugin is None:
        known = scheme if "://" in address and scheme.isalnum() else "none"
        raise AddressError(
            f"alert_urls: address {number} (scheme {known}) is not one that Apprise can use; "
            "as slack://…, mailto://…, tgram://… or json://host/"
        )
    kinds = {
        Severity.INFO: apprise.NotifyType.INFO,
        Severity.WARNING: apprise.NotifyType.WARNING,
        Severity.CRITICAL: apprise.NotifyType.FAILURE,
    }

    def send(what: Notice) -> None:
        kind = apprise.NotifyType.SUCCESS if what.is_end else kinds[what.severity]
        if not plugin.notify(body=what.body, title=what.title, notify_type=kind):
            raise _RefusedError

    return Destination(hashlib.sha256(address.encode()).hexdigest()[:8], scheme, send)


def _try(to: Destination, messages: Sequence[Message]) -> str | None:
    return _error(to, notice(messages)) if messages else None


def _error(to: Destination, what: Notice) -> str | None:
    """Send with retries; None if it was taken, else an error without the address."""
    try:
        for attempt in stamina.retry_context(
            on=_RefusedError, attempts=_ATTEMPTS, timeout=_TIMEOUT_S, wait_initial=0.2, wait_max=1.0
        ):
            with attempt:
                to.send(what)
    except _RefusedError:
        return f"{to.scheme} address {to.digest} did not take it"
    except Exception as error:  # noqa: BLE001 - a plugin's own error may quote the address
        return f"{to.scheme} address {to.digest}: {type(error).__name__}"
    return None


def _lacking(messages: Sequence[Message], to: Destination) -> list[Message]:
    return [message for message in messages if to.digest not in message.delivered_to]


def _receipt(message: Message, to: Sequence[Destination], errors: dict[str, str | None]) -> Receipt:
    lacked = {each.digest for each in to} - message.delivered_to
    took = frozenset(digest for digest in lacked if errors[digest] is None)
    failed = "; ".join(str(errors[digest]) for digest in sorted(lacked - took))
    return Receipt(message, took, "waiting" if failed else "sent", failed or None)


def _held(message: Message, settings: Settings, now: datetime) -> bool:
    if settings.alert_quiet_hours is None:
        return False
    if message.severity is Severity.CRITICAL and settings.alert_quiet_lets_critical_pass:
        return False
    return QuietHours.parse(settings.alert_quiet_hours).covers(now)


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
