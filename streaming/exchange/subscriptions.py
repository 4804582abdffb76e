"""A connection's subscriptions: names in, replies out; no I/O.

Replies and error texts are the venue's (binance-spot-api-docs, web-socket-streams.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

SHUTDOWN_STREAM = "!serverShutdown"
_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")


class _RequestError(Exception):
    """The request is malformed: what the venue calls it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Writing(NamedTuple):
    """A set of streams and the way in which their messages are written."""

    streams: frozenset[str]
    combined: bool
    microseconds: bool


class Subscriptions:
    """What one connection listens to, and how its messages are written.

    Args:
        streams: names from the address, as in `btcusdt@trade`.
        combined: whether each message is wrapped as `{"stream","data"}`.
        microseconds: whether times are written in µs (`timeUnit=MICROSECOND`).
    """

    def __init__(
        self, streams: Iterable[str] = (), *, combined: bool = False, microseconds: bool = False
    ) -> None:
        self.streams: dict[str, None] = dict.fromkeys(streams)
        self.combined = combined
        self.microseconds = microseconds
        self._writing: Writing | None = None

    @property
    def writing(self) -> Writing:
        """What to write and how; equal for connections that are to get the same bytes."""
        if self._writing is None:
            self._writing = Writing(frozenset(self.streams), self.combined, self.microseconds)
        return self._writing

    def receive(self, text: str | bytes) -> bytes:
        """Obey one request and return the reply to it; a malformed one changes nothing."""
        identity: object = None
        try:
            request = _parse(text)
            identity = _identity(request)
            result = self._obey(request)
            self._writing = None
        except _RequestError as error:
            problem = {"code": error.code, "msg": error.message}
            return msgspec.json.encode({"error": problem, "id": identity})
        return msgspec.json.encode({"result": result, "id": identity})

    def _obey(self, request: dict[str, Any]) -> object:
        method = request.get("method")
        if method is None:
            raise _RequestError(2, "Invalid request: missing field `method` at line 1 column 1")
        params = request.get("params", [])
        if method == "SUBSCRIBE":
            self.streams.update(dict.fromkeys(_names(params)))
        elif method == "UNSUBSCRIBE":
            for name in _names(params):
                self.streams.pop(name, None)
        elif method == "LIST_SUBSCRIPTIONS":
            return list(self.streams)
        elif method == "GET_PROPERTY":
            _property(params, 1)
            return self.combined
        elif method == "SET_PROPERTY":
            self.combined = _flag(_property(params, 2))
        else:
            known = ", ".join(f"`{name}`" for name in _METHODS)
            raise _RequestError(
                2, f"Invalid request: unknown variant `{method}`, expected one of {known}"
            )
        return None


def _parse(text: str | bytes) -> dict[str, Any]:
    try:
        request = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _RequestError(3, "Invalid JSON: expected value at line 1 column 1") from None
    if not isinstance(request, dict):
        raise _RequestError(2, "Invalid request: expected an object")
    return request


def _identity(request: dict[str, Any]) -> object:
    identity = request.get("id")
    whole = isinstance(identity, int) and not isinstance(identity, bool)
    if identity is None or whole or (isinstance(identity, str) and len(identity) <= 36):
        return identity
    raise _RequestError(2, "Invalid request: request ID must be an unsigned integer")


def _names(params: object) -> list[str]:
    if not isinstance(params, list) or not all(isinstance(name, str) for name in params):
        raise _RequestError(2, "Invalid request: stream names must be strings")
    return params


def _property(params: object, count: int) -> object:
    """The last of `count` parameters, of which the first must be the one property there is."""
    if not isinstance(params, list) or not params or not isinstance(params[0], str):
        raise _RequestError(2, "Invalid request: property name must be a string")
    if len(params) > count:
        raise _RequestError(2, "Invalid request: too many parameters")
    if params[0] != "combined":
        raise _RequestError(0, "Unknown property")
    return params[-1]


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise _RequestError(1, "Invalid value type: expected Boolean")
    return value
