"""Fixtures of the warehouse's tests: dbt on the test's own lake."""

from __future__ import annotations

import pytest
from dbt.contracts.graph.manifest import Manifest

from quant_pipeline.resident_dbt import ResidentDbt
from quant_pipeline.settings import Settings


@pytest.fixture
def dbt(settings: Settings, dbt_manifest: Manifest) -> ResidentDbt:
    """dbt on the test's own lake."""
    return ResidentDbt(settings, manifest=dbt_manifest)
