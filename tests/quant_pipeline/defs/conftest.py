"""Fixtures of the orchestration's tests: definitions over a lake with the recorded session."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg
import pytest

from quant_pipeline.defs import build
from quant_pipeline.settings import Settings


@pytest.fixture(scope="session")
def analysed_lake(make_recorded_lake: Callable[[str], Settings]) -> Settings:
    """A lake with the recorded session and its bars, that these tests may write to."""
    return make_recorded_lake("analysed")


@pytest.fixture(scope="session")
def definitions(analysed_lake: Settings) -> dg.Definitions:
    """Everything that `dagster dev` would load for that lake."""
    return build(analysed_lake)
