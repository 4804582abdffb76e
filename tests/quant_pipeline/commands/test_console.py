"""What commands print of data is the data: square brackets are text, and so are colons."""

from __future__ import annotations

import datetime as dt

import pytest
from typer.testing import CliRunner

from quant_pipeline import settings as settings_module
from quant_pipeline.backfill.files import FileReport
from quant_pipeline.cli import app
from quant_pipeline.commands.backfill import _file_table
from quant_pipeline.commands.console import console
from quant_pipeline.commands.recompute import _show
from quant_pipeline.commands.stream import _status_table
from quant_pipeline.research.recompute import Column, Recomputed
from quant_pipeline.settings import Settings

HOSTILE = ("[/x]b", "[quiet]", "[red]a[/red]", ":warning:", "a\\[b]")
STATUS = {
    **dict.fromkeys(("trades", "landed", "commits", "buffered", "spool_files", "spool_bytes"), 0),
    **dict.fromkeys(("gaps_closed", "trades_repaired", "venue_hole_ids", "commit_s"), 0),
    **dict.fromkeys(("weight_used", "weight_allowed"), 0),
    "connections": [],
    "frames_rejected": {},
    "symbols": {},
    "writer": "w",
}


def test_sql_shows_cells_and_names_as_they_are(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings_module, "get", lambda: settings)
    query = "select " + ", ".join(f"'{text}' as \"{text} name\"" for text in HOSTILE)
    result = CliRunner().invoke(app, ["sql", query], catch_exceptions=False)
    assert result.exit_code == 0
    for text in HOSTILE:
        assert f" {text} " in result.stdout
        assert f" {text} name " in result.stdout


@pytest.mark.parametrize("text", HOSTILE)
def test_names_values_and_problems_are_shown_as_they_are(text: str) -> None:
    with console.capture() as files:
        console.print(_file_table([FileReport(name=text)]))
    assert f" {text} " in files.get()
    with console.capture() as status:
        console.print(_status_table({**STATUS, "problems": [text]}))
    assert text in status.get().splitlines()[-1]
    with console.capture() as recomputed:
        row = {"y": "A", "x": "B", "timeframe": "1m", "taken_at": dt.date(2024, 8, 8)}
        column = Column("metric", text, None)
        _show(Recomputed("adf_snapshots", row, (column,)), everything=False)
    assert f" {text} " in recomputed.get()
