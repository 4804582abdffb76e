"""Reading the tables of a page back from its HTML."""

from __future__ import annotations

from html.parser import HTMLParser


class Tables(HTMLParser):
    """Reads tables back: key of the table -> first cell of a row -> its cells."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[str, dict[str, list[str]]] = {}
        self._key = ""
        self._row: list[str] | None = None
        self._cell: list[str] | None = None
        self._in_note = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "div" and (given.get("class") or "").startswith("table"):
            self._key = given.get("id") or ""
            self.tables[self._key] = {}
        elif tag == "tr":
            self._row = []
        elif tag in ("td", "th") and self._row is not None:
            self._cell = []
        elif given.get("class") == "gt_footnote_marks":
            self._in_note = True

    def handle_data(self, data: str) -> None:
        if self._cell is not None and not self._in_note:
            self._cell.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "span":
            self._in_note = False
        if tag in ("td", "th") and self._cell is not None and self._row is not None:
            self._row.append("".join(self._cell).strip())
            self._cell = None
        elif tag == "tr" and self._row:
            self.tables[self._key][self._row[0]] = self._row[1:]
            self._row = None


def read_tables(html: str) -> dict[str, dict[str, list[str]]]:
    parser = Tables()
    parser.feed(html)
    return parser.tables


def number(text: str) -> float:
    return float(text.replace("−", "-").replace(",", "").split()[0].rstrip("%"))
