"""The Dagster entry point that workspace.yaml names."""

from __future__ import annotations

from quant_pipeline import forked_runs, settings
from quant_pipeline.defs import build

defs = build(settings.get(), reread=settings.load)
forked_runs.install()
