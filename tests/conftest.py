"""Fixtures shared by all tests: a real catalog per session, a fresh lake per test."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import polars as pl
import psycopg
import pytest
from dbt.contracts.graph.manifest import Manifest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

import streaming.exchange
from quant_pipeline import catalog, lake
from quant_pipeline.resident_dbt import ResidentDbt
from quant_pipeline.settings import Settings

_numbers = itertools.count(1)
_ORDER = ("streaming", "end_to_end", "reports", "dbt_project", "tests")
_RECORDING = Path(streaming.exchange.__file__).parent / "recordings" / "binance_spot_20240808"


class OneProcessPerModule(LoadScopeScheduling):
    """One process for all tests of a module, which share fixtures; some modules share them too."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        if module.endswith(("/test_demo.py", "/test_dagster_ui.py")):
            return "demo"
        for folder in ("defs", "reports"):
            if f"/{folder}/" in module:
                return folder
        return module


def pytest_configure() -> None:
    """What commands print is as wide as in a terminal, and no test depends on how fast it ran."""
    os.environ["COLUMNS"] = "160"
    hypothesis.settings.register_profile(
        "unhurried",
        deadline=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.load_profile("unhurried")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The stream's first: they wait more than they compute, and CI checks types meanwhile.

    Then the longest modules, so that no process is left alone with one at the end.
    """
    items.sort(
        key=lambda item: next(at for at, name in enumerate(_ORDER) if name in item.path.parts)
    )


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneProcessPerModule:
    return OneProcessPerModule(config, log)


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


@pytest.fixture(scope="session")
def create_lake(
    catalog_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], str]:
    """Creates an empty lake's catalog, by name, and returns its DSN: a copy of one made before."""
    template = make_conninfo(catalog_server, dbname="template_lake")

    def create(name: str, source: str = "template_lake") -> str:
        with psycopg.connect(catalog_server, autocommit=True) as connection:
            connection.execute(f"create database {name} template {source}")
        return make_conninfo(catalog_server, dbname=name)

    create("template_lake", source="template1")
    lake.ensure(Settings(home=tmp_path_factory.mktemp("template"), catalog_dsn=template))
    return create


@pytest.fixture
def settings(
    catalog_server: str, create_lake: Callable[[str], str], tmp_path: Path
) -> Iterator[Settings]:
    """Settings of a lake of the test's own: an empty catalog and an empty folder."""
    database = f"test_{next(_numbers)}"
    yield Settings(home=tmp_path / "data", catalog_dsn=create_lake(database))
    with psycopg.connect(catalog_server, autocommit=True) as connection:
        connection.execute(f"drop database {database} with (force)")


@pytest.fixture(scope="session")
def dbt_manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The dbt project, parsed once for all tests; parsing needs no lake."""
    return ResidentDbt(Settings(home=tmp_path_factory.mktemp("parse"))).manifest


@pytest.fixture(scope="session")
def make_lake(
    create_lake: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Settings]:
    """Makes an empty lake, named in part, that lives as long as the test session."""

    def make(name: str) -> Settings:
        dsn = create_lake(f"{name}_{next(_numbers)}")
        return Settings(home=tmp_path_factory.mktemp(name), catalog_dsn=dsn)

    return make


@pytest.fixture(scope="session")
def recorded_original(
    make_lake: Callable[[str], Settings],
    dbt_manifest: Manifest,
    recorded_trades: pl.DataFrame,
) -> Settings:
    """The recorded session and its bars, to be copied: PostgreSQL copies what nobody has open."""
    settings = make_lake("original")
    with lake.connect(settings=settings) as connection:
        connection.register("recorded", recorded_trades.to_arrow())
        connection.execute("insert into raw.ticks by name select * from recorded")
    ResidentDbt(settings, manifest=dbt_manifest).run()
    return settings


@pytest.fixture(scope="session")
def make_recorded_lake(
    recorded_original: Settings,
    create_lake: Callable[[str, str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Settings]:
    """Makes a lake, named in part, that holds the recorded session and dbt's bars of it."""
    source = conninfo_to_dict(recorded_original.catalog_dsn or "")["dbname"]

    def make(name: str) -> Settings:
        dsn = create_lake(f"{name}_{next(_numbers)}", str(source))
        settings = Settings(home=tmp_path_factory.mktemp(name), catalog_dsn=dsn)
        shutil.copytree(recorded_original.lake_path, settings.lake_path)
        return settings

    return make


@pytest.fixture(scope="session")
def recorded_lake(make_recorded_lake: Callable[[str], Settings]) -> Settings:
    """The recorded session and its bars. Read it, never write it."""
    return make_recorded_lake("recorded")


@pytest.fixture(scope="session")
def recorded_trades() -> pl.DataFrame:
    """The trade frames of the recorded session, as the columns of raw.ticks."""
    rows = []
    for file in sorted(_RECORDING.glob("*.gz")):
        for line in gzip.decompress(file.read_bytes()).splitlines():
            received_ns, frame = line.split(b" ", 1)
            message = json.loads(frame)
            if message["stream"].endswith("@trade"):
                trade = message["data"]
                rows.append(
                    {
                        "venue": "binance",
                        "symbol": trade["s"],
                        "trade_id": trade["t"],
                        "ts": trade["T"] * 1000,
                        "received_at": int(received_ns) // 1000,
                        "price": float(trade["p"]),
                        "quantity": float(trade["q"]),
                        "is_buyer_maker": trade["m"],
                    }
                )
    return pl.DataFrame(rows).with_columns(
        pl.from_epoch("ts", "us"), pl.from_epoch("received_at", "us")
    )
