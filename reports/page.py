"""A page: sections of prose, tables and charts, assembled into one self-contained HTML file.

The file fetches nothing. Its own Content-Security-Policy allows only its own scripts, by hash, so
that a string from the data that reached the markup unescaped would still not run. Charts are
drawn twice: as SVG, which is there without JavaScript and on paper, and as the interactive version
that replaces it.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import polars as pl
import polars.selectors as cs
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from quant_pipeline import memory
from quant_pipeline.research.outcome import Undefined
from reports import tables, theme
from reports.tables import Table

if TYPE_CHECKING:
    import altair

_STATIC: Final = Path(__file__).with_name("static")
_SIGNIFICANT_DIGITS = 7
_DOWNLOAD_DIGITS = 10

T = TypeVar("T")


@dataclass(frozen=True)
class CursorLine:
    """One line of the tooltip under the crosshair; `colour` names the token of its label."""

    label: str
    field: str
    decimals: int = 2
    signed: bool = False
    colour: str = ""


@dataclass(frozen=True)
class TimeAxis:
    """A time axis shared by all panels of a chart, with a crosshair.

    Attributes:
        frame: the frame whose rows the crosshair steps through; its time is column `t`.
        lines: what the tooltip shows.
        window: first and last time drawn, Unix milliseconds.
        brush: name of the interval selection that zooms the panels, if there is one.
    """

    frame: str
    lines: Sequence[CursorLine]
    window: tuple[int, int]
    brush: str | None = None


@dataclass(frozen=True)
class Chart:
    """A chart and what is said about it.

    Attributes:
        key: unique on the page.
        headline: what the chart shows, from the numbers.
        description: the same in full for those who cannot see it.
        draw: makes the Altair chart from colour tokens; its data are `alt.NamedData`.
        frames: the named data. A frame that several charts name is stored once on the page.
        note: method, bands, reductions.
        time: set for charts over time.
        hint: how to use it.
        half: two of these stand side by side on a wide screen.
        values: the numbers behind the chart, folded away.
    """

    key: str
    headline: str
    description: str
    draw: Callable[[theme.Tokens], altair.TopLevelMixin]
    frames: Mapping[str, pl.DataFrame]
    note: str = ""
    time: TimeAxis | None = None
    hint: str = ""
    half: bool = False
    values: Table | None = None


@dataclass(frozen=True)
class Columns:
    """Blocks side by side on a wide screen, below each other on a phone."""

    blocks: Sequence[Table | Chart]
    uneven: bool = False


@dataclass(frozen=True)
class Download:
    """A file carried inside the page."""

    name: str
    media_type: str
    content: bytes
    label: str


Block = Table | Chart | Columns | Markup | str


@dataclass(frozen=True)
class Section:
    """A heading, a lead in one or two sentences, and its evidence."""

    key: str
    title: str
    lead: Markup | str = ""
    blocks: Sequence[Block] = ()


@dataclass(frozen=True)
class Provenance:
    """What a page was made from: enough to make it again.

    Attributes:
        snapshot: lake snapshot id; None for a page that reads no lake.
        code_version: version and revision of this project.
        settings: the settings that its numbers depend on.
    """

    snapshot: int | None
    code_version: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """Everything a reader sees."""

    kind: str
    subject: str
    date: str
    headline: str
    verdict: Markup | str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    provenance: Provenance
    source: str
    downloads: Sequence[Download] = ()
    home: str = "../../index.html"

    @property
    def title(self) -> str:
        """The document's title."""
        return " · ".join(part for part in (self.subject, self.kind, self.date) if part)


class Unavailable(Exception):  # noqa: N818 - a page says so, nothing fails
    """A section's input is undefined; carries the reason."""


def need(value: T | Undefined) -> T:
    """Return `value`, or leave the section: the page then shows the reason in its place.

    A section starts by declaring in this way what it cannot do without.
    """
    if isinstance(value, Undefined):
        raise Unavailable(value.reason)
    return value


def section_or_reason(key: str, title: str, build: Callable[[], Section]) -> Section:
    """The section, or one that gives the reason why it is empty."""
    try:
        return build()
    except Unavailable as reason:
        text = Markup('<p class="unavailable">Not computed. {}</p>').format(str(reason))
        return Section(key=key, title=title, blocks=[text])


def render(page: Page) -> str:
    """The page as HTML. The same page gives the same bytes."""
    memory.return_freed()  # what computed the page has freed, which V8 cannot use
    charts = list(_charts(page.sections))
    frames = {name: frame for chart in charts for name, frame in chart.frames.items()}
    data = {name: rows(frame) for name, frame in frames.items()}
    drawn = {chart.key: _draw(chart, data) for chart in charts}
    del data
    memory.return_freed()
    blocks = [_json_block(f"frame-{name}", _columns(frame)) for name, frame in frames.items()]
    blocks += [_json_block(f"spec-{key}", spec) for key, (spec, _) in drawn.items()]
    blocks.append(_json_block("provenance", _provenance(page.provenance)))
    scripts = [_static("app.js")]
    if charts:
        from reports import vega

        scripts.insert(0, _script_safe(vega.runtime()))
    hashes = " ".join(_script_hash(script) for script in scripts)

    def block_html(block: Block) -> Markup:
        return _block_html(block, {key: svg for key, (_, svg) in drawn.items()})

    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            page=page,
            block_html=block_html,
            data_blocks=blocks,
            scripts=[Markup(script) for script in scripts],  # noqa: S704 - our own files
            style=Markup(theme.css_variables() + _static("style.css")),  # noqa: S704 - our own file
            policy=Markup(  # noqa: S704 - made of hashes
                f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
                "img-src data:; base-uri 'none'; form-action 'none'"
            ),
            download_link=_download_link,
        )
    )


def still(chart: Chart, title: str, mode: theme.Mode = "light", *, width: int | None = None) -> str:
    """A chart under a title as SVG on its own, for previews and e-mail.

    Args:
        width: pixels that it takes where it is shown, drawn to scale; as drawn if omitted.
    """
    from reports import vega

    window = chart.time.window if chart.time else None
    brush = chart.time.brush if chart.time else None
    colours = theme.tokens(mode)
    spec = vega.compile_chart(chart.draw(colours), mode, window=window, brush=brush)
    spec |= {
        "background": colours["bg"],
        "padding": 14,
        "title": {
            "text": title,
            "anchor": "start",
            "fontSize": 15,
            "offset": 14,
            "color": colours["ink"],
            "font": theme.SANS.replace("'", ""),
        },
    }
    frames = {name: rows(frame) for name, frame in chart.frames.items()}
    drawing = vega.still_svg(spec, _with_cursor(chart, frames))
    return drawing if width is None else _scaled(drawing, width)


def _scaled(drawing: str, width: int) -> str:
    """The same drawing at another size: its viewBox stays, so nothing is cut off."""
    size = re.search(r'width="(\d+)" height="(\d+)" viewBox', drawing)
    if size is None:
        raise ValueError("the drawing has no width and height beside its viewBox")
    height = round(int(size[2]) * width / int(size[1]))
    return drawing.replace(size[0], f'width="{width}" height="{height}" viewBox', 1)


def table_files(frame: pl.DataFrame, stem: str, label: str) -> list[Download]:
    """The rows of `frame` as CSV and Parquet downloads."""
    csv, parquet = io.BytesIO(), io.BytesIO()
    frame = frame.with_columns(cs.float().round_sig_figs(_DOWNLOAD_DIGITS))
    frame.write_csv(csv)
    frame.write_parquet(parquet, compression="zstd", compression_level=12)
    return [
        Download(f"{stem}.csv", "text/csv", csv.getvalue(), f"CSV, {label}"),
        Download(
            f"{stem}.parquet",
            "application/vnd.apache.parquet",
            parquet.getvalue(),
            f"Parquet, {label}",
        ),
    ]


def series_files(drawn: pl.DataFrame, total: int, stem: str) -> list[Download]:
    """The rows that the charts draw as downloads; `quant export` writes all `total` of them."""
    label = f"{drawn.height:,} rows"
    if drawn.height < total:
        label = f"the {drawn.height:,} rows drawn of {total:,}"
    return table_files(drawn, stem, label)


def milliseconds(frame: pl.DataFrame, time: str = "bucket") -> pl.DataFrame:
    """Replace UTC times by Unix milliseconds in a column `t`, as charts want them."""
    return frame.with_columns(pl.col(time).dt.epoch("ms").alias("t")).drop(time)


# --- blocks ----------------------------------------------------------------------------------


def _charts(sections: Sequence[Section]) -> Iterator[Chart]:
    for section in sections:
        for block in section.blocks:
            if isinstance(block, Chart):
                yield block
            elif isinstance(block, Columns):
                yield from (item for item in block.blocks if isinstance(item, Chart))


def _block_html(block: Block, stills: Mapping[str, str]) -> Markup:
    if isinstance(block, Table):
        return tables.render(block)
    if isinstance(block, Chart):
        return _figure(block, stills[block.key])
    if isinstance(block, Columns):
        inner = Markup("").join(_block_html(item, stills) for item in block.blocks)
        return Markup('<div class="columns{}">{}</div>').format(
            " uneven" if block.uneven else "", inner
        )
    return block if isinstance(block, Markup) else Markup("<p>{}</p>").format(block)


def _figure(chart: Chart, still: str) -> Markup:
    attributes = {
        "data-chart": chart.key,
        "data-frames": " ".join(chart.frames),
        "data-label": chart.description,
    }
    if chart.half:
        attributes["data-half"] = "1"
    if chart.time is not None:
        attributes["data-cursor"] = json.dumps(
            {
                "frame": chart.time.frame,
                "lines": [vars(line) for line in chart.time.lines],
                "brush": chart.time.brush,
            }
        )
    values = (
        Markup("<details><summary>Show the values</summary>{}</details>").format(
            tables.render(chart.values)
        )
        if chart.values
        else ""
    )
    return Markup(
        "<figure><figcaption><b>{headline}</b><span>{note}</span></figcaption>"
        '<div class="chart"{attributes}>{still}</div>{hint}{values}</figure>'
    ).format(
        headline=chart.headline,
        note=chart.note,
        attributes=Markup("").join(
            Markup(' {}="{}"').format(name, value) for name, value in attributes.items()
        ),
        still=Markup(still),  # noqa: S704 - Vega escaped its text
        hint=Markup('<p class="hint">{}</p>').format(chart.hint) if chart.hint else "",
        values=values,
    )


def _draw(chart: Chart, frames: Mapping[str, list[dict[str, Any]]]) -> tuple[dict[str, Any], str]:
    from reports import vega

    window = chart.time.window if chart.time else None
    brush = chart.time.brush if chart.time else None
    spec = vega.compile_chart(chart.draw(theme.tokens("css")), "css", window=window, brush=brush)
    data = {name: frames[name] for name in chart.frames}
    svg = vega.still_svg(spec, _with_cursor(chart, data), prefix=chart.key)
    label = Markup('<svg role="img" aria-label="{}"').format(chart.description)
    return spec, svg.replace("<svg", label, 1)


def _with_cursor(
    chart: Chart, frames: Mapping[str, list[dict[str, Any]]]
) -> dict[str, list[dict[str, Any]]]:
    """The frames with those that the crosshair and the end labels read."""
    if chart.time is None:
        return dict(frames)
    return {**frames, "hover": [], "last": frames[chart.time.frame][-1:]}


def _download_link(download: Download) -> Markup:
    content = base64.b64encode(download.content).decode()
    return Markup(
        '<a download="{}" href="data:{};base64,{}">{}</a> <span>{:,.0f} KB</span>'
    ).format(
        download.name, download.media_type, content, download.label, len(download.content) / 1024
    )


# --- data ------------------------------------------------------------------------------------


def _columns(frame: pl.DataFrame) -> dict[str, list[Any]]:
    return {name: [_plain(value) for value in frame[name].to_list()] for name in frame.columns}


def rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """The frame as records that JSON can hold: rounded to seven digits, NaN as null."""
    columns = _columns(frame)
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{_SIGNIFICANT_DIGITS}g}") if math.isfinite(value) else None
    return value


def _json_block(identifier: str, content: Any) -> Markup:
    """Data as a script element that does not run; `<` cannot close it."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return Markup('<script type="application/json" id="{}">{}</script>').format(
        identifier,
        Markup(text.replace("<", "\\u003c")),  # noqa: S704 - cannot leave the element
    )


def _provenance(provenance: Provenance) -> dict[str, Any]:
    return {
        "lake_snapshot": provenance.snapshot,
        "code_version": provenance.code_version,
        "settings": dict(provenance.settings),
    }


@cache
def _static(name: str) -> str:
    return (_STATIC / name).read_text("utf-8").strip()


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_STATIC), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )


def _script_safe(script: str) -> str:
    return script.replace("</script", "<\\/script").strip()


def _script_hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
