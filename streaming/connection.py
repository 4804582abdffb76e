"""What the worker needs of a WebSocket library, and the choice between two of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from streaming.clock import Clock
from streaming.venues import Frame

OnFrame = Callable[[Frame, int], None]
"""Called with each message and the time it was received, microseconds since the epoch.

The frame may be a view that is valid during the call only. Must not raise.
"""

TransportName = Literal["websockets", "picows"]


class ConnectError(OSError):
    """A connection could not be opened; the message says why."""


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """How connections behave, whatever library makes them."""

    connect_timeout_s: float = 10.0
    ping_interval_s: float = 15.0
    """Silence after which a ping is sent (websockets: sent at this interval regardless)."""
    ping_timeout_s: float = 10.0
    """A pong later than this means that the peer is gone."""
    coalesce_s: float = 0.0
    """Pause after each read, so that a busy socket is read in fewer, larger pieces."""
    max_frame_bytes: int = 8 << 20
    """A larger frame ends the connection; anything smaller that is no trade is only counted."""


class Connection(Protocol):
    """An open connection."""

    async def send(self, text: str) -> None:
        """Send one text message; raises OSError if the connection is closed."""

    def pause(self) -> None:
        """Stop reading the socket; the venue's data waits in its buffers."""

    def resume(self) -> None:
        """Read on."""

    async def close(self) -> None:
        """Close it properly, or abruptly if the peer does not answer."""

    async def closed(self) -> str:
        """Wait until it is closed; returns the reason in a few words."""


class Transport(Protocol):
    """Opens connections."""

    async def connect(self, url: str, on_frame: OnFrame) -> Connection:
        """Open a connection; raises ConnectError."""


def transport(name: TransportName, options: TransportOptions, clock: Clock) -> Transport:
    """The transport called `name` in the settings.

    Raises:
        ValueError: the library is not installed; the message says how to install it.
    """
    if name == "picows":
        try:
            from streaming.transports.picows import PicowsTransport
        except ImportError as error:
            raise ValueError(
                "transport 'picows' is not installed: run `uv sync --extra fast`, "
                "or set transport = 'websockets'"
            ) from error
        return PicowsTransport(options, clock)
    from streaming.transports.websockets import WebsocketsTransport

    return WebsocketsTransport(options, clock)
