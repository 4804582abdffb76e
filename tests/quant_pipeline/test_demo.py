"""`quant demo --fresh` deletes what is the pipeline's and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from quant_pipeline import demo
from quant_pipeline.settings import Settings


def test_fresh_leaves_other_peoples_files_alone(tmp_path: Path) -> None:
    notes = tmp_path / "notes" / "idea.txt"
    for path in (notes, tmp_path / "reports" / "index.html", tmp_path / "spool" / "1.arrow"):
        path.parent.mkdir()
        path.touch()
    settings = Settings(home=tmp_path)
    with pytest.raises(demo.DemoError, match=r"1 files of trades in .*spool"):
        demo.clear(settings)
    assert (tmp_path / "reports").exists(), "refused means that nothing was deleted"
    demo.clear(settings, force=True)
    assert not (tmp_path / "reports").exists()
    assert not (tmp_path / "spool").exists()
    assert notes.exists()
