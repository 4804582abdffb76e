"""dbt models as assets: each bar and liquidity table, with its columns and row counts."""

# No `from __future__ import annotations` here: Dagster reads the types of parameters.

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import (
    DagsterDbtTranslator,
    DagsterDbtTranslatorSettings,
    DbtCliResource,
    DbtProject,
    dbt_assets,
)

from quant_pipeline.defs.resources import Lake
from quant_pipeline.settings import ROOT, Settings

DBT_POOL = "dbt"
_PROJECT_DIR = ROOT / "dbt_project"
_SOURCES = ("*.sql", "*.yml")
_PARSED = "partial_parse.msgpack"


class DbtConfig(dg.Config):
    """How the models are run."""

    tests: bool = True
    """Run dbt's tests after the models; their results appear as asset checks."""
    full_refresh: bool = False
    """Rebuild every table from the ticks instead of bringing it up to date."""


class _Translator(DagsterDbtTranslator):
    """Keys, kinds and owners as the rest of the graph has them."""

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        return ["team:warehouse"]


def project(settings: Settings) -> DbtProject:
    """The dbt project, parsed if its files changed since the last time.

    Every Dagster process loads this, each run included, and parsing takes seconds.
    """
    found = DbtProject(_PROJECT_DIR, target_path=settings.home / "dbt")
    if _is_stale(found.manifest_path):
        _parse(found)
    return found


def resource(dbt_project: DbtProject) -> DbtCliResource:
    """dbt as this environment has it, whether or not its folder is on the PATH."""
    return DbtCliResource(dbt_project, dbt_executable=str(Path(sys.executable).with_name("dbt")))


def assets(dbt_project: DbtProject) -> dg.AssetsDefinition:
    """All models as one asset definition that runs any subset of them."""
    generated = _generated(dbt_project)

    @dbt_assets(
        manifest=dbt_project.manifest_path,
        project=dbt_project,
        dagster_dbt_translator=_Translator(
            DagsterDbtTranslatorSettings(enable_code_references=True)
        ),
        pool=DBT_POOL,
        name="dbt_models",
    )
    def models(
        context: dg.AssetExecutionContext,
        dbt: DbtCliResource,
        lake: dg.ResourceParam[Lake],
        config: DbtConfig,
    ) -> Iterator[Any]:
        # dbt's unit tests are about the models' code, not about the lake: they belong to CI
        command = ["build", "--exclude-resource-type", "unit_test"] if config.tests else ["run"]
        if config.full_refresh:
            # First what has landed, so that the final bars it changes are recorded as revisions.
            dbt.cli(["run"], context=context, target_path=generated, raise_on_error=False).wait()
            command.append("--full-refresh")
        events: list[Any] = []
        try:
            events.extend(dbt.cli(command, context=context, target_path=generated).stream())
        finally:  # what was built before a failure is reported too
            yield from _with_row_counts(events, lake)

    return models


def _generated(dbt_project: DbtProject) -> Path:
    """What runs leave behind. By default each has a folder of its own, 5 MB in the project's."""
    return dbt_project.manifest_path.with_name("dagster")


def _parse(dbt_project: DbtProject) -> None:
    """Write the manifest; in a folder aside first, so that nobody ever reads half a manifest."""
    target, generated = dbt_project.manifest_path.parent, _generated(dbt_project)
    generated.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="parse-", dir=target) as aside:
        made = Path(aside)
        resource(dbt_project).cli(["parse", "--quiet"], target_path=made).wait()
        # Spares the parsing to every later run, each of which looks where it writes.
        shutil.copy(made / _PARSED, generated)
        for name in (_PARSED, "manifest.json"):
            (made / name).replace(target / name)


def _is_stale(manifest: Path) -> bool:
    if not manifest.exists():
        return True
    made = manifest.stat().st_mtime
    return any(
        file.stat().st_mtime > made
        for pattern in _SOURCES
        for file in _PROJECT_DIR.rglob(pattern)
        if "target" not in file.parts
    )


def _with_row_counts(events: list[Any], lake: Lake) -> Iterator[Any]:
    """dbt's events; those of tables carry their row counts, read from the lake's metadata."""
    with lake.connect(read_only=True) as connection:
        tables = dict(
            connection.execute(
                "SELECT table_name, schema_name FROM duckdb_tables() WHERE database_name = 'lake'"
            ).fetchall()
        )
        for event in events:
            name = event.metadata["unique_id"].text.split(".")[-1]
            if not isinstance(event, dg.Output) or name not in tables:
                yield event
                continue
            row = connection.execute(f'SELECT count(*) FROM "{tables[name]}"."{name}"').fetchone()
            assert row is not None
            yield event.with_metadata({**event.metadata, "dagster/row_count": row[0]})
