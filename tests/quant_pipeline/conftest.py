"""Fixtures of the tests that run dbt."""

from __future__ import annotations

import pytest
from dbt.contracts.graph.manifest import Manifest

from quant_pipeline.resident_dbt import ResidentDbt
from quant_pipeline.settings import Settings


@pytest.fixture(scope="session")
def dbt_manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The dbt project, parsed once for all tests; parsing needs no lake."""
    return ResidentDbt(Settings(home=tmp_path_factory.mktemp("parse"))).manifest
