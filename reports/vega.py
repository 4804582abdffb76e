"""Altair charts to Vega specifications, compiled when a page is built, and to still SVG.

Compiling here keeps the Vega-Lite compiler off the critical path of the page and lets Vega's AST
interpreter run the chart, so a Content-Security-Policy without `unsafe-eval` holds.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import vl_convert

from reports import theme

if TYPE_CHECKING:
    import altair

VEGA_LITE: Final = "6.4"
CURSOR_FRAMES: Final = frozenset({"hover", "last"})
"""Frames that only annotate: they must never decide the extent of a scale."""

_EXPOSE: Final = "window.vegaEmbed = vegaEmbed;"
Rows = Sequence[Mapping[str, Any]]
Spec = dict[str, Any]


@cache
def runtime() -> str:
    """Vega, its interpreter and vega-embed as one script, from vl-convert's own wheel.

    Bundling takes seconds, so the text is kept in the user's temporary folder under the wheel's
    version and verified by its digest before it is used again.
    """
    name = f"vega-bundle-{version('vl-convert-python')}-{os.getuid()}.js"
    path = Path(tempfile.gettempdir()) / name
    try:
        digest, _, stored = path.read_text("utf-8").partition("\n")
        if path.stat().st_uid == os.getuid() and digest == _digest(stored):
            return stored
    except (FileNotFoundError, UnicodeDecodeError):
        pass
    script: str = vl_convert.javascript_bundle(_EXPOSE, vl_version=VEGA_LITE)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=name)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(f"{_digest(script)}\n{script}")
    Path(temporary).replace(path)
    return script


def compile_chart(
    chart: altair.TopLevelMixin,
    mode: theme.Mode,
    *,
    window: tuple[int, int] | None = None,
    brush: str | None = None,
) -> Spec:
    """Compile to Vega; datasets stay named and empty.

    Args:
        chart: an Altair chart whose data are `alt.NamedData`.
        mode: how colours are written, see `theme.tokens`.
        window: first and last time, Unix milliseconds, that every time scale shows.
        brush: name of the interval selection that zooms every concatenated panel.
    """
    lite = chart.to_dict()
    lite["config"] = theme.vega_config(mode)
    spec: Spec = vl_convert.vegalite_to_vega(lite, vl_version=VEGA_LITE)
    _silence(spec)
    _detach_cursor(spec)
    if window is not None:
        _share_window(spec, window, brush)
    return spec


def still_svg(spec: Spec, frames: Mapping[str, Rows], *, prefix: str = "chart") -> str:
    """The chart as SVG text, drawn with `frames` and without a browser.

    Vega numbers clip paths through the life of the process; they are numbered anew within each
    chart under `prefix`, so that the same chart is the same text and a page has no id twice.
    """
    svg: str = vl_convert.vega_to_svg(_with_rows(spec, frames))
    numbers: dict[str, str] = {}

    def renumber(match: re.Match[str]) -> str:
        name = numbers.setdefault(match[2], f"{prefix}-clip-{len(numbers) + 1}")
        return f"{match[1]}{name}"

    return re.sub(r'(id="|url\(#)((?:clip|gradient_)\d+)\b', renumber, svg)


def _with_rows(spec: Spec, frames: Mapping[str, Rows]) -> Spec:
    data = [
        {**entry, "values": list(frames[entry["name"]])} if entry["name"] in frames else entry
        for entry in spec.get("data", [])
    ]
    return {**spec, "data": data}


def _silence(node: Mapping[str, Any]) -> None:
    """Hide marks, axes and titles from assistive technology.

    The figure carries one role and one description; hundreds of unnamed shapes help nobody.
    """
    for key in ("marks", "axes", "legends"):
        for child in node.get(key, []):
            child["aria"] = False
            _silence(child)
    if isinstance(node.get("title"), dict):
        node["title"]["aria"] = False


def _scales(node: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield from node.get("scales", [])
    for child in node.get("marks", []):
        yield from _scales(child)


def _detach_cursor(spec: Spec) -> None:
    """Keep cursor and label frames out of scale domains.

    Otherwise every move of the pointer would re-encode every mark.
    """
    sources = {entry["name"]: entry.get("source") for entry in spec.get("data", [])}

    def origin(name: str) -> str:
        source = sources.get(name)
        return origin(source) if isinstance(source, str) else name

    for scale in _scales(spec):
        domain = scale.get("domain")
        if isinstance(domain, dict) and "fields" in domain:
            domain["fields"] = [
                field
                for field in domain["fields"]
                if not (isinstance(field, dict) and origin(field["data"]) in CURSOR_FRAMES)
            ]


def _share_window(spec: Spec, window: tuple[int, int], brush: str | None) -> None:
    """Give every time scale one domain and let the brush override it.

    `domain=brush` is lost when layers are concatenated: each panel would take its domain from its
    own rows, and a trailing statistic, which starts later, would be drawn out of step.
    """
    for scale in _scales(spec):
        if scale["type"] == "utc":
            scale["domain"] = list(window)
            if brush and scale["name"].startswith("concat_"):
                scale["domainRaw"] = {"signal": f"{brush}['t']"}
    if brush is None:
        return
    for group in spec.get("marks", []):
        for signal in group.get("signals", []):
            for handler in signal.get("on", []):
                # Before the first drag there is no selection to rescale.
                if f"{brush}_scale_trigger" in str(handler.get("events")):
                    update = handler["update"]
                    handler["update"] = f"isArray({brush}_t) ? {update} : {signal['name']}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
