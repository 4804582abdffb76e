"""Fixtures shared by all tests: a real catalog per session, a fresh lake per test."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from quant_pipeline import catalog
from quant_pipeline.settings import Settings

_numbers = itertools.count(1)


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> None:
    """Tests see the defaults, not what the developer's shell exports."""
    for variable in [name for name in os.environ if name.startswith("QUANT_")]:
        del os.environ[variable]


@pytest.fixture(scope="session")
def catalog_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """DSN of an embedded catalog that lives as long as the test session."""
    settings = Settings(home=tmp_path_factory.mktemp("catalog-home"))
    yield catalog.ensure(settings)
    catalog.destroy(settings)


@pytest.fixture
def settings(catalog_server: str, tmp_path: Path) -> Iterator[Settings]:
    """Settings of a lake of the test's own: an empty database and an empty folder."""
    database = f"test_{next(_numbers)}"
    with psycopg.connect(catalog_server, autocommit=True) as connection:
        connection.execute(f"create database {database}")
    yield Settings(
        home=tmp_path / "data", catalog_dsn=make_conninfo(catalog_server, dbname=database)
    )
    with psycopg.connect(catalog_server, autocommit=True) as connection:
        connection.execute(f"drop database {database} with (force)")
