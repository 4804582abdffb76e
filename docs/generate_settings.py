"""Write docs/settings.md from the settings model: `uv run python docs/generate_settings.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quant_pipeline.settings import ROOT, Settings

PAGE = Path(__file__).with_name("settings.md")

_HEAD = """# Settings

Every setting may be written in `quant.toml` at the repository root under its name, or exported as
`QUANT_` and its name in capitals; the environment wins. Lists are `["A", "B"]` in the file and
`A,B` in the environment. `quant config` prints the effective values. An unknown name is an error.

`QUANT_CONFIG` names another settings file. Passwords and keys are not settings: the catalog's
password is `PGPASSWORD`, and an object store's keys are the usual `AWS_*` variables. `alert_urls`
holds tokens and is never shown: neither by `quant config`, nor in errors, logs, reports or Dagster.

| setting | default | what it is |
|---|---|---|
"""


def render() -> str:
    """The page."""
    defaults = Settings.model_construct()
    rows = [
        f"| `{name}` | {_cell(getattr(defaults, name))} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return _HEAD + "\n".join(rows) + "\n"


def _cell(value: Any) -> str:
    if value is None or value == ():
        return "unset"
    if isinstance(value, tuple):
        return "`" + ", ".join(map(str, value)) + "`"
    if isinstance(value, Path):
        return f"`{value.relative_to(ROOT) if value.is_relative_to(ROOT) else value}`"
    return f"`{value}`"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
