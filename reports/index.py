"""The landing page: the latest report of each kind and subject, and a searchable archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from quant_pipeline.code_version import code_version
from reports import formats, page, tables
from reports.page import Page, Provenance, Section

if TYPE_CHECKING:
    from reports.publishing import Published

_KINDS = {
    "pair": "Pairs",
    "universe": "Universe",
    "symbol": "Symbols",
    "snapshots": "Scheduled snapshots",
    "quality": "Data quality",
}
_TRENDS = {
    "pair": ("engle_granger_pvalue", "Engle–Granger p"),
    "symbol": ("volatility", "Volatility"),
}


def render(published: Sequence[Published], folder: Path) -> str:
    """The index of `published`, newest first; links are relative to `folder`."""
    latest: dict[tuple[str, str], Published] = {}
    for item in published:
        latest.setdefault((item.kind, item.subject), item)
    sections = [
        _latest(kind, title, list(latest.values()), published, folder)
        for kind, title in _KINDS.items()
        if any(item.kind == kind for item in published)
    ]
    if published:
        sections.append(_archive(published, folder))
    return page.render(
        Page(
            kind="Reports",
            subject="",
            date="",
            headline="Market and pair reports",
            verdict=_summary(published, latest),
            facts=[],
            sections=sections,
            provenance=Provenance(snapshot=None, code_version=code_version()),
            source="",
            home="",
        )
    )


def _summary(
    published: Sequence[Published], latest: Mapping[tuple[str, str], Published]
) -> Markup | str:
    if not published:
        return Markup(
            "There are no reports yet. <code>quant report pair BTCUSDT/ETHUSDT</code> makes one."
        )
    newest = max(item.summary.date for item in published)
    return (
        f"{formats.count_of(len(published), 'report')} on "
        f"{formats.count_of(len(latest), 'subject')}, the newest of {formats.day(newest)}."
    )


def _latest(
    kind: str,
    title: str,
    latest: Sequence[Published],
    published: Sequence[Published],
    folder: Path,
) -> Section:
    items = Markup("").join(
        _entry(item, _history(item, published), folder) for item in latest if item.kind == kind
    )
    return Section(
        key=f"latest-{kind}",
        title=title,
        blocks=[Markup('<ul class="entries">{}</ul>').format(items)],
    )


def _entry(item: Published, history: Markup, folder: Path) -> Markup:
    return Markup(
        '<li><a href="{href}">{title}</a><span class="when">{date}</span>{history}'
        '<span class="headline">{headline}</span></li>'
    ).format(
        href=item.html.relative_to(folder).as_posix(),
        title=item.summary.title,
        date=formats.day(item.summary.date),
        history=history,
        headline=item.summary.headline,
    )


def _history(item: Published, published: Sequence[Published]) -> Markup:
    """How the subject's chief figure went over its reports."""
    if item.kind not in _TRENDS:
        return Markup("")
    metric, name = _TRENDS[item.kind]
    values = [
        other.summary.metrics.get(metric)
        for other in reversed(published)
        if (other.kind, other.subject) == (item.kind, item.subject)
    ]
    return tables.spark(values, f"{name} over {len(values)} reports")


def _archive(published: Sequence[Published], folder: Path) -> Section:
    entries = Markup("").join(
        Markup(
            '<li data-find="{find}"><span class="when">{date}</span>'
            '<a href="{href}">{title}</a> <span class="kind">{kind}</span></li>'
        ).format(
            find=f"{item.summary.title} {item.subject} {item.kind} {item.summary.date} "
            f"{formats.day(item.summary.date)} {item.summary.finding}".lower(),
            date=item.summary.date.isoformat(),
            href=item.html.relative_to(folder).as_posix(),
            title=item.summary.title,
            kind=" · ".join(part for part in (item.kind, item.summary.finding) if part),
        )
        for item in published
    )
    return Section(
        key="archive",
        title="Archive",
        blocks=[
            Markup(
                '<p class="search"><label for="search">Find by pair, symbol, date or finding'
                '</label><input id="search" type="search" autocomplete="off" '
                'placeholder="BTC 2024-08"><span id="found" role="status"></span></p>'
                '<ul class="archive">{}</ul>'
            ).format(entries)
        ],
    )
