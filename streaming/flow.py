"""Back-pressure: stop reading every socket while too much waits in memory."""

from __future__ import annotations

import asyncio

from streaming.connection import Connection


class Flow:
    """Open while sockets may be read. Connections opened while it is closed start paused."""

    def __init__(self) -> None:
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.pauses = 0
        self._connections: set[Connection] = set()

    def add(self, connection: Connection) -> None:
        """Put a connection under control."""
        self._connections.add(connection)
        if not self.is_open.is_set():
            connection.pause()

    def remove(self, connection: Connection) -> None:
        """Let go of a connection that is closed."""
        self._connections.discard(connection)

    def regulate(self, waiting: int, limit: int) -> bool:
        """Close at `limit` trades waiting, open again at half of it; True if this changed it."""
        if self.is_open.is_set() and waiting >= limit:
            self.is_open.clear()
            self.pauses += 1
            for connection in self._connections:
                connection.pause()
            return True
        if not self.is_open.is_set() and waiting <= limit // 2:
            self.is_open.set()
            for connection in self._connections:
                connection.resume()
            return True
        return False
