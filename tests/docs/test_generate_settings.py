"""The settings page says what the settings model says."""

from __future__ import annotations

import importlib.util

from quant_pipeline.settings import ROOT


def test_the_settings_page_is_current() -> None:
    script = ROOT / "docs" / "generate_settings.py"
    spec = importlib.util.spec_from_file_location("generate_settings", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text("utf-8") == module.render(), (
        "docs/settings.md is out of date: uv run python docs/generate_settings.py"
    )
