"""Frames that could not be understood: counted, logged once per kind, kept for inspection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from streaming.venues import Frame

_log = structlog.get_logger("quant.capture")


class Rejects:
    """Counts every rejected frame; keeps the first ones of each kind in a file.

    Bounds: `kept_per_kind` frames of a kind, `_MAX_KINDS` kinds, `_MAX_BYTES` of each frame,
    `_MAX_FILE_BYTES` of all, restarts included.
    """

    _MAX_KINDS = 50
    _MAX_BYTES = 4096
    _MAX_FILE_BYTES = 10_000_000

    def __init__(
        self,
        file: Path | None,
        *,
        kept_per_kind: int = 20,
        on_reject: Callable[[str], None] | None = None,
    ) -> None:
        self._file = file
        self._kept_per_kind = kept_per_kind
        self._on_reject = on_reject
        self.counts: Counter[str] = Counter()

    def add(self, kind: str, detail: str, frame: Frame, received_us: int) -> None:
        """Record one rejected frame. Never raises."""
        if kind not in self.counts and len(self.counts) >= self._MAX_KINDS:
            kind = "other"
        self.counts[kind] += 1
        if self._on_reject is not None:
            self._on_reject(kind)
        count = self.counts[kind]
        if count == 1:
            _log.warning("frame_rejected", kind=kind, detail=detail, kept_in=str(self._file))
        if count <= self._kept_per_kind and self._file is not None:
            self._keep(kind, detail, frame, received_us)

    def _keep(self, kind: str, detail: str, frame: Frame, received_us: int) -> None:
        assert self._file is not None
        head = bytes(frame[: self._MAX_BYTES])
        entry = {
            "received_us": received_us,
            "kind": kind,
            "detail": detail[:200].encode("utf-8", "replace").decode(),
            "bytes": len(frame),
            "frame": head.decode("utf-8", "backslashreplace"),
        }
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("ab") as file:
                if file.tell() < self._MAX_FILE_BYTES:
                    file.write(msgspec.json.encode(entry) + b"\n")
        except OSError as error:
            _log.warning("rejected_frame_not_kept", file=str(self._file), error=str(error))
            self._file = None
