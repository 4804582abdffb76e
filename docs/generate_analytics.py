"""Write ``docs/analytics.md`` from the docstrings of ``quant_pipeline.analytics``.

    uv run python docs/generate_analytics.py

The page is committed, so that it can be read without running anything; a test fails when it is not
what this script would write.
"""

import dataclasses
import importlib
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType

PAGE = Path(__file__).with_name("analytics.md")
PREFACE = Path(__file__).with_name("analytics_preface.md")
MODULES = (
    "returns",
    "volatility",
    "hedge",
    "spread",
    "stationarity",
    "cointegration",
    "correlation",
    "liquidity",
    "diagnostics",
)
#: Sections of a docstring in the order in which the page shows them.
SECTIONS = (
    "Formula",
    "Units",
    "Parameters",
    "Returns",
    "Raises",
    "Notes",
    "References",
    "Examples",
)


def render() -> str:
    """The whole page."""
    parts = [PREFACE.read_text(encoding="utf-8")]
    for name in MODULES:
        module = importlib.import_module(f"quant_pipeline.analytics.{name}")
        parts.append(f"## {name}\n\n{inspect.getdoc(module)}\n")
        public = sorted(module.__all__, key=lambda item: (item[0].isupper(), item.lower()))
        parts += [entry(module, item) for item in public]
    return "\n".join(parts)


def entry(module: ModuleType, name: str) -> str:
    thing = getattr(module, name)
    text = inspect.getdoc(thing) or ""
    if inspect.isclass(thing):
        return f"### {name}\n\n{text}\n\n{fields(thing)}"
    if not inspect.isfunction(thing):
        return f"### {name}\n\n`{thing!r}`\n"
    head, sections = split(text)
    lines = [f"### {name}", "", f"```python\n{name}{signature(thing)}\n```", "", head, ""]
    for title in SECTIONS:
        if title in sections:
            lines += [f"**{title}**", "", layout(title, sections[title]), ""]
    return "\n".join(lines)


def split(text: str) -> tuple[str, dict[str, str]]:
    """A docstring's opening and its sections by title."""
    pieces = re.split(r"^(\w+)\n-{3,}$", text, flags=re.MULTILINE)
    bodies = (body.strip("\n") for body in pieces[2::2])
    return pieces[0].strip(), dict(zip(pieces[1::2], bodies, strict=True))


def layout(title: str, body: str) -> str:
    """Markdown of one section: code stays code, definitions become a list, prose stays prose."""
    if title == "Examples":
        return f"```python\n{body}\n```"
    if title == "Formula":
        return f"```text\n{body}\n```"
    if title in ("Parameters", "Returns", "Raises"):
        items: list[str] = []
        for line in body.splitlines():
            if not line.startswith(" ") and line:
                items.append(f"- `{line}`")
            elif line.strip():
                separator = ": " if items[-1].endswith("`") else " "
                items[-1] += separator + line.strip()
        return "\n".join(items)
    return body


def signature(function: object) -> str:
    """The signature without annotations of where types live; one parameter a line if long."""
    shown = str(inspect.signature(function))  # type: ignore[arg-type]
    shown = re.sub(r"'([^']*)'(?=[,)\]]| =|$)", r"\1", shown)
    if len(shown) <= 90:
        return shown
    inside, result = shown[1:].rsplit(")", 1)
    parameters = re.split(r", (?![^\[(]*[\])])", inside)
    return "(\n" + "".join(f"    {parameter},\n" for parameter in parameters) + ")" + result


def fields(thing: type) -> str:
    """A result's fields with their types, and its properties and methods in one line each."""
    if not dataclasses.is_dataclass(thing):
        return ""
    lines = ["| field | type |", "|---|---|"]
    lines += [
        f"| `{field.name}` | `{str(field.type).replace('|', chr(92) + '|')}` |"
        for field in dataclasses.fields(thing)
    ]
    members = [
        f"- `{name}`: {(inspect.getdoc(member) or '').splitlines()[0]}"
        for name, member in vars(thing).items()
        if not name.startswith("_") and (isinstance(member, property) or inspect.isfunction(member))
    ]
    return "\n".join([*lines, *([""] if members else []), *members]) + "\n"


def main() -> int:
    PAGE.write_text(render(), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE.name}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
