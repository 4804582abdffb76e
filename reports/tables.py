"""Tables: great-tables builds the `<table>`, one house stylesheet dresses all of them.

great-tables gets the structure right (scoped headers, groups, footnote marks, escaping). Its style
sheet of about 9 KB per table, with fixed colours, is dropped in favour of `static/style.css`,
which knows dark mode, phones and paper.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import polars as pl
from great_tables import GT, loc
from markupsafe import Markup, escape

from quant_pipeline.research.outcome import Undefined
from reports import formats

Cell = str | Markup | Undefined | None
Row = Mapping[str, Cell]

_STUB: Final = "stub"
_GROUP: Final = "group"
_LONG: Final = 24
"""Rows beyond which a table may be cut between two rows on paper, its header repeated."""
_WIDE: Final = 8
"""Columns from which on a table takes the page's full width instead of a narrow measure."""


@dataclass(frozen=True)
class Column:
    """One column of figures.

    Attributes:
        key: name of the value in each row.
        label: header, with the unit.
        align: figures to the right, words to the left.
        spanner: heading shared with the neighbouring columns of the same spanner.
        footnote: method or source, marked at the header.
    """

    key: str
    label: str
    align: Literal["left", "right"] = "right"
    spanner: str | None = None
    footnote: str | None = None


@dataclass(frozen=True)
class Table:
    """A table as data; `render` makes it HTML.

    Attributes:
        key: unique on the page.
        caption: what the table shows.
        note: how it was computed, below the caption.
        stub: header of the first column, whose cells (`"stub"` in each row) name the rows.
        rows: cells by column key. Text is escaped, `Markup` is not; `Undefined` is shown as a
            dash with its reason as a footnote. A row may name its `"group"`.
        row_notes: footnotes by stub text.
        wide: take the page's full width; tables of many columns do anyway.
    """

    key: str
    caption: str
    stub: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    note: str = ""
    row_notes: Mapping[str, str] = field(default_factory=dict)
    wide: bool = False


def render(table: Table) -> Markup:
    """The table as HTML, caption and footnotes outside the part that scrolls on a phone."""
    html = _great_table(table).as_raw_html()
    body = html[html.index("<table") : html.index("</table>") + len("</table>")]
    caption_id = f"{table.key}-caption"
    body = re.sub(r"<table[^>]*>", f'<table aria-labelledby="{caption_id}">', body, count=1)
    body = re.sub(r'(<span class="gt_footnote_marks")[^>]*>', r"\1>", body)
    body, footnotes = _lift_footnotes(body)
    note = Markup("<span>{}</span>").format(table.note) if table.note else ""
    return Markup(
        '<div class="table{classes}" id="{key}"><p class="caption" id="{caption_id}">'
        '<b>{caption}</b>{note}</p><div class="scroll" role="region" tabindex="0" '
        'aria-labelledby="{caption_id}">{body}</div>{footnotes}</div>'
    ).format(
        key=table.key,
        classes=_classes(table),
        caption_id=caption_id,
        caption=table.caption,
        note=note,
        body=Markup(body),  # noqa: S704 - great-tables escaped its cells
        footnotes=footnotes,
    )


def _classes(table: Table) -> str:
    """What the stylesheet must know of the table's shape."""
    shape = {
        " long": len(table.rows) > _LONG,
        " wide": table.wide or len(table.columns) >= _WIDE,
        " spanned-end": bool(table.columns and table.columns[-1].spanner),
    }
    return "".join(name for name, holds in shape.items() if holds)


def _great_table(table: Table) -> GT:
    grouped = any(row.get(_GROUP) for row in table.rows)
    keys = [column.key for column in table.columns]
    frame = pl.DataFrame(
        [
            {
                **({_GROUP: _text(row.get(_GROUP))} if grouped else {}),
                _STUB: _text(row.get(_STUB)),
                **{key: _text(row.get(key)) for key in keys},
            }
            for row in table.rows
        ],
        schema={
            **({_GROUP: pl.String} if grouped else {}),
            _STUB: pl.String,
            **dict.fromkeys(keys, pl.String),
        },
    )
    made = (
        GT(
            frame,
            id=table.key,
            rowname_col=_STUB,
            groupname_col=_GROUP if grouped else None,
        )
        .tab_stubhead(table.stub)
        .cols_label({column.key: column.label for column in table.columns})
        .cols_align("left", columns=[_STUB])
        .opt_footnote_marks("letters")
    )
    for align in ("left", "right"):
        chosen = [column.key for column in table.columns if column.align == align]
        if chosen:
            made = made.cols_align(align, columns=chosen)
    made = _with_spanners(made, table.columns)
    made = _with_markup(made, table)
    return _with_footnotes(made, table)


def _with_spanners(made: GT, columns: Sequence[Column]) -> GT:
    spanners = dict.fromkeys(column.spanner for column in columns if column.spanner)
    for spanner in spanners:
        made = made.tab_spanner(
            spanner, columns=[column.key for column in columns if column.spanner == spanner]
        )
    return made


def _with_markup(made: GT, table: Table) -> GT:
    """Let drawn cells through unescaped; everything else great-tables escapes."""
    for column in table.columns:
        rows = [i for i, row in enumerate(table.rows) if isinstance(row.get(column.key), Markup)]
        if rows:
            made = made.fmt(lambda value: value, columns=[column.key], rows=rows)
    return made


def _with_footnotes(made: GT, table: Table) -> GT:
    for column in table.columns:
        if column.footnote:
            made = made.tab_footnote(column.footnote, loc.column_labels(columns=[column.key]))
    for name, note in table.row_notes.items():
        rows = [i for i, row in enumerate(table.rows) if row.get(_STUB) == name]
        if rows:
            made = made.tab_footnote(note, loc.stub(rows=rows))
    for i, row in enumerate(table.rows):
        for column in table.columns:
            cell = row.get(column.key)
            if isinstance(cell, Undefined):
                made = made.tab_footnote(cell.reason, loc.body(columns=[column.key], rows=[i]))
    return made


def _lift_footnotes(body: str) -> tuple[str, Markup]:
    """Move footnotes out of the table: a scrolling box would cut them off on a phone."""
    foot = re.search(r"<tfoot.*?</tfoot>", body, re.DOTALL)
    if foot is None:
        return body, Markup("")
    notes = re.findall(r"<td[^>]*>(.*?)</td>", foot[0], re.DOTALL)
    paragraphs = "".join(f"<p>{note.strip()}</p>" for note in notes)
    return (
        body.replace(foot[0], ""),
        Markup(f'<div class="footnotes">{paragraphs}</div>'),  # noqa: S704 - escaped by GT
    )


def _text(cell: Cell) -> str:
    if cell is None or isinstance(cell, Undefined):
        return formats.MISSING if isinstance(cell, Undefined) else ""
    return str(cell)


# --- drawings small enough for a cell ------------------------------------------------------


def whisker(
    low: float,
    estimate: float,
    high: float,
    *,
    extent: tuple[float, float],
    reference: float | None = None,
) -> Markup:
    """An estimate with its interval on an axis shared by the column, `reference` as a dashed line.

    An end of the interval beyond `extent` is drawn as open, with an arrow.
    """
    width, height, margin = 150, 16, 6
    left, right = extent
    scale = (width - 2 * margin) / (right - left) if right > left else 0.0

    def x(value: float) -> float:
        return round(margin + (min(max(value, left), right) - left) * scale, 1)

    middle = height / 2
    parts = [
        Markup('<line x1="{0}" x2="{1}" y1="{2}" y2="{2}" class="bar"/>').format(
            x(low), x(high), middle
        ),
        Markup('<circle cx="{}" cy="{}" r="3.2"/>').format(x(estimate), middle),
    ]
    if reference is not None and left <= reference <= right:
        parts.insert(
            0,
            Markup('<line x1="{0}" x2="{0}" y1="0" y2="{1}" class="reference"/>').format(
                x(reference), height
            ),
        )
    for end, outside, direction in ((low, low < left, 1), (high, high > right, -1)):
        if outside:
            tip = x(end)
            parts.append(
                Markup('<path d="M{0} {1}l{2} -3v6z"/>').format(tip, middle, 5 * direction)
            )
    label = f"{estimate:.2f}, 95% interval {low:.2f} to {high:.2f}"
    return _drawing("whisker", width, height, label, parts)


def bars(values: Sequence[float], token: str, label: str) -> Markup:
    """A row of bars from zero, on a scale of its own: the course of a quantity over the window."""
    width, height = 150, 22
    top = max(values, default=0.0)
    step = width / max(len(values), 1)
    shapes = [
        Markup('<rect x="{}" y="{}" width="{}" height="{}" fill="var(--{})"/>').format(
            round(i * step, 1),
            round(height - value / top * height, 1),
            round(max(step - 1, 0.6), 1),
            round(value / top * height, 1),
            token,
        )
        for i, value in enumerate(values)
        if top > 0 and value > 0
    ]
    return _drawing("bars", width, height, label, shapes)


def spark(values: Sequence[float | None], label: str) -> Markup:
    """A line on a scale of its own, its last point marked; gaps stay gaps."""
    width, height, margin = 120, 22, 3
    finite = [value for value in values if value is not None and value == value]
    if len(finite) < 2:
        return Markup("")
    low, high = min(finite), max(finite)
    span = (high - low) or 1.0
    step = (width - 2 * margin) / max(len(values) - 1, 1)
    path, pen_down, last = [], False, (0.0, 0.0)
    for i, value in enumerate(values):
        if value is None or value != value:
            pen_down = False
            continue
        last = (
            round(margin + i * step, 1),
            round(margin + (high - value) / span * (height - 2 * margin), 1),
        )
        path.append(f"{'L' if pen_down else 'M'}{last[0]} {last[1]}")
        pen_down = True
    shapes = [
        Markup('<path d="{}" class="line"/>').format(" ".join(path)),
        Markup('<circle cx="{}" cy="{}" r="2.4"/>').format(*last),
    ]
    return _drawing("spark", width, height, label, shapes)


def _drawing(kind: str, width: int, height: int, label: str, shapes: Sequence[Markup]) -> Markup:
    return Markup(
        '<svg class="{kind}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" aria-label="{label}">{shapes}</svg>'
    ).format(
        kind=kind,
        width=width,
        height=height,
        label=escape(label),
        shapes=Markup("").join(shapes),
    )
