"""Putting pages where they are served from: `settings.reports_dir`.

    pair/BTCUSDT-ETHUSDT/2024-08-08.html   the page
    pair/BTCUSDT-ETHUSDT/2024-08-08.svg    its preview
    pair/BTCUSDT-ETHUSDT/2024-08-08.json   its headline and figures, which the index is built from
    pair/latest.svg                        the preview of the latest date
    index.html                             the latest of each, and the archive

Files appear whole or not at all, so a reader never sees half a page.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import fasteners

from quant_pipeline.settings import Settings
from reports.context import Previous, named

Kind = Literal["pair", "symbol", "universe", "snapshots", "quality"]

INDEX: Final = "index.html"
LATEST: Final = "latest.svg"
KINDS_WITH_PREVIEW: Final[tuple[Kind, ...]] = ("pair", "symbol", "universe")
_NO_REPORT: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="420" height="40"><text y="25" fill="#777"'
    ' font-family="sans-serif" font-size="13">There is no report yet.</text></svg>'
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Summary:
    """What the index and later reports need to know of a page.

    Attributes:
        title: as `BTCUSDT / ETHUSDT`.
        date: UTC date it is about.
        headline: its verdict in a line.
        finding: the verdict in a word or two.
        snapshot: lake snapshot id.
        metrics: headline numbers.
    """

    title: str
    date: dt.date
    headline: str
    finding: str
    snapshot: int
    metrics: Mapping[str, float | int | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Published:
    """Where a page went.

    Attributes:
        html: the page's file.
        svg: the preview's file, if there is one.
        summary: what the index says of it.
    """

    html: Path
    svg: Path | None
    kind: str
    subject: str
    summary: Summary

    @property
    def url(self) -> str:
        """Address below the web server, as `/reports/pair/BTCUSDT-ETHUSDT/2024-08-08.html`."""
        return f"/reports/{self.kind}/{self.subject}/{self.html.name}"

    @property
    def preview_url(self) -> str | None:
        """Address of the preview below the web server."""
        return self.url.removesuffix(".html") + ".svg" if self.svg else None


def place(
    subject: str, title: str, parameters: Mapping[str, object] | None = None
) -> tuple[str, str]:
    """Subject and title of a page, of its own where its parameters are not the settings'.

    It never takes the place of the page with the settings' parameters.

    Args:
        subject, title: with the settings' parameters.
        parameters: those that are not the settings', by name.

    Example:
        >>> place("BTCUSDT", "BTCUSDT", {"timeframe": "5m"})
        ('BTCUSDT.timeframe-5m', 'BTCUSDT (timeframe 5m)')
    """
    if not parameters:
        return subject, title
    words = [f"{name.replace('_', '-')}-{value}" for name, value in sorted(parameters.items())]
    return ".".join([subject, *words]), f"{title} ({named(parameters)})"


def publish(
    settings: Settings,
    *,
    kind: Kind,
    subject: str,
    html: str,
    summary: Summary,
    preview: str | None = None,
) -> Published:
    """Write a page, its preview and its summary, and rebuild the index.

    The preview of a kind's latest date is also at an address that does not change, `latest.svg`;
    pages with parameters of their own do not count.

    Args:
        settings: tells the folder.
        kind: kind of page, the first folder.
        subject: what it is about, the second folder, as `BTCUSDT-ETHUSDT`; see `place`.
        html: the page.
        summary: for the index.
        preview: a still SVG.

    Raises:
        ValueError: `subject` cannot be a folder's name.
    """
    folder = settings.reports_dir / kind / _checked(subject)
    stem = summary.date.isoformat()
    page, drawing = folder / f"{stem}.html", folder / f"{stem}.svg"
    with _lock(settings):
        _write(page, html)
        if preview is not None:
            _write(drawing, preview)
        _write(folder / f"{stem}.json", _dumped(summary))
        pages = list(published(settings))
        dates = [
            item.summary.date for item in pages if item.kind == kind and _by_settings(item.subject)
        ]
        if preview is not None and _by_settings(subject) and summary.date == max(dates):
            _write(settings.reports_dir / kind / LATEST, preview)
        _write_index(settings, pages)
    return Published(page, drawing if preview is not None else None, kind, subject, summary)


def ensure_latest(settings: Settings) -> None:
    """Give every kind with a preview a `latest.svg`, which says so until there is a report."""
    for kind in KINDS_WITH_PREVIEW:
        path = settings.reports_dir / kind / LATEST
        if not path.exists():
            _write(path, _NO_REPORT)


def published(settings: Settings) -> Iterator[Published]:
    """Every published page, newest date first, then by kind and subject."""
    found = []
    for path in settings.reports_dir.glob("*/*/*.json"):
        html, svg = path.with_suffix(".html"), path.with_suffix(".svg")
        if html.is_file():
            subject, kind = path.parent.name, path.parent.parent.name
            found.append(
                Published(html, svg if svg.is_file() else None, kind, subject, _loaded(path))
            )
    found.sort(key=lambda item: (item.kind, item.subject))
    found.sort(key=lambda item: item.summary.date, reverse=True)
    yield from found


def previous(settings: Settings, *, kind: Kind, subject: str, before: dt.date) -> Previous | None:
    """The latest published page about `subject` of a date before `before`."""
    for item in published(settings):
        if (item.kind, item.subject) == (kind, subject) and item.summary.date < before:
            return Previous(item.summary.date, item.summary.metrics, item.summary.finding)
    return None


def rebuild_index(settings: Settings) -> Path:
    """Write the index anew and return its path."""
    with _lock(settings):
        return _write_index(settings, list(published(settings)))


def _write_index(settings: Settings, pages: Sequence[Published]) -> Path:
    from reports import index

    path = settings.reports_dir / INDEX
    _write(path, index.render(pages, settings.reports_dir))
    return path


def _lock(settings: Settings) -> fasteners.InterProcessLock:
    settings.reports_dir.mkdir(parents=True, exist_ok=True)
    return fasteners.InterProcessLock(settings.reports_dir / ".lock")


def _by_settings(subject: str) -> bool:
    """Whether a page's parameters are the settings': `place` adds others after a dot."""
    return "." not in subject


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"report subject {name!r} cannot be a folder; use letters, digits, '.', '_' and '-'"
        )
    return name


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _dumped(summary: Summary) -> str:
    content = {**vars(summary), "date": summary.date.isoformat(), "metrics": dict(summary.metrics)}
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _loaded(path: Path) -> Summary:
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return Summary(**{**content, "date": dt.date.fromisoformat(content["date"])})
