"""dbt that stays in memory: parsed once, then every run takes under a second.

A `dbt run` from a shell spends 5 to 10 seconds starting and parsing. This runs the same models, by
the same definitions, in the calling process. After each run it closes DuckDB and gives the lake's
dbt lock back, so that runs from a shell, from Dagster and from here take turns; a fresh DuckDB for
each run also means that one which raised an internal error is never used again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner, dbtRunnerResult
from dbt.contracts.graph.manifest import Manifest

from quant_pipeline import dbt_plugin, lake
from quant_pipeline import settings as settings_module
from quant_pipeline.settings import ROOT, Settings

PROJECT: Final = ROOT / "dbt_project"

UNCHANGING: Final = ("config.materialized:view", "ohlc_revisions")
"""Selectors of what a run need not touch once it is there: views, and the table bars append to."""

# A DuckDB instance that raised one of these is dead; the run is repeated once on a fresh one.
_DEAD_INSTANCE: Final = ("INTERNAL Error", "FATAL Error", "database has been invalidated")

_log = logging.getLogger(__name__)

# One dbt per process: dbt keeps its connections and flags in module globals.
_in_this_process = threading.Lock()


class DbtError(RuntimeError):
    """A dbt invocation failed; the message names the model and the database's own words."""


@dataclass(frozen=True, slots=True)
class NodeRun:
    """What became of one model, test or hook."""

    name: str
    status: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Run:
    """One successful invocation."""

    seconds: float
    nodes: tuple[NodeRun, ...]


@dataclass(frozen=True, slots=True)
class CompiledModel:
    """A model as the SELECT that builds all of it."""

    schema: str
    name: str
    sql: str


class ResidentDbt:
    """A parsed project that can be run again and again.

    Args:
        settings: names the lake; the process's settings if omitted.
        project: the dbt project's folder, with its profiles.yml.
        manifest: the project as another instance has parsed it; parsed on first use if omitted.

    Example:
        >>> dbt = ResidentDbt()  # doctest: +SKIP
        >>> dbt.run().seconds  # doctest: +SKIP
        0.7
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        project: Path = PROJECT,
        manifest: Manifest | None = None,
    ) -> None:
        self._settings = settings or settings_module.get()
        self._project = project
        self._manifest = manifest
        self._views_are_current = False

    @property
    def manifest(self) -> Manifest:
        """The parsed project."""
        with _in_this_process:
            if self._manifest is None:
                self._manifest = self._parse()
            return self._manifest

    def run(
        self,
        *,
        select: Sequence[str] = (),
        exclude: Sequence[str] = (),
        full_refresh: bool = False,
    ) -> Run:
        """Bring the models up to date with the lake.

        Waits while another dbt run holds the lake. Views are created by the first run; later ones
        leave them alone, since their definitions cannot change under a parsed project.

        Args:
            select: dbt node selectors; all models if empty.
            exclude: selectors of those to leave out.
            full_refresh: rebuild tables from scratch. What has landed is consumed first, so that
                the final bars it changes are recorded as revisions.

        Raises:
            DbtError: a model failed.
        """
        arguments = ["run"]
        if select:
            arguments += ["--select", *select]
        elif self._views_are_current:
            exclude = [*exclude, *UNCHANGING]
        if exclude:
            arguments += ["--exclude", *exclude]
        if full_refresh:
            self._record_revisions(arguments)
            arguments.append("--full-refresh")
        try:
            run = self.invoke(*arguments)
        except DbtError:
            self._views_are_current = False
            raise
        self._views_are_current = self._views_are_current or not select
        return run

    def compile(self, *select: str) -> tuple[CompiledModel, ...]:
        """The SELECTs of models as a full refresh would run them, each after those it reads.

        Raises:
            DbtError: a model does not compile.
        """
        _, result = self._succeed("compile", "--full-refresh", "--select", *select)
        nodes: Sequence[Any] = getattr(result.result, "results", ())
        models = [each.node for each in nodes if each.node.resource_type == "model"]
        return tuple(CompiledModel(node.schema, node.name, node.compiled_code) for node in models)

    def _record_revisions(self, arguments: Sequence[str]) -> None:
        if lake.newest_commit(lake.ensure(self._settings), "bars", "ohlc_1s") is None:
            return  # nothing was published yet
        try:
            with lake.connect(read_only=True, settings=self._settings) as connection:
                row = connection.execute(
                    "select max(snapshot_id) > (select max(src_snapshot) from bars.ohlc_1s)"
                    " from raw.ticks"
                ).fetchone()
            if row != (False,):  # something has landed since
                self.invoke(*arguments)
        except (DbtError, duckdb.Error) as error:  # perhaps the reason for the rebuild
            _log.warning("final bars that the rebuild changes are not recorded: %s", error)

    def invoke(self, *arguments: str) -> Run:
        """Run any dbt command on the parsed project, as in `invoke("test", "--select", "bars")`.

        Raises:
            DbtError: the command failed.
        """
        seconds, result = self._succeed(*arguments)
        return Run(seconds, tuple(_node_runs(result)))

    def _succeed(self, *arguments: str) -> tuple[float, dbtRunnerResult]:
        """Run a command; return its seconds and result, or raise."""
        _ = self.manifest  # so that parsing is not timed
        with _in_this_process:
            started = time.perf_counter()
            result = self._invoke(arguments)
            if not result.success and any(sign in _reasons(result) for sign in _DEAD_INSTANCE):
                result = self._invoke(arguments)
            seconds = time.perf_counter() - started
        if not result.success:
            raise DbtError(f"dbt {' '.join(arguments)} failed: {_reasons(result)}")
        return seconds, result

    def _parse(self) -> Manifest:
        result = self._invoke(("parse",))
        if not result.success or not isinstance(result.result, Manifest):
            raise DbtError(f"dbt project {self._project} does not parse: {_reasons(result)}")
        return result.result

    def _invoke(self, arguments: Sequence[str]) -> dbtRunnerResult:
        dbt_plugin.use(self._settings)
        try:
            return dbtRunner(manifest=self._manifest).invoke(
                [*arguments, *self._common_arguments()]
            )
        finally:
            close_connections()
            dbt_plugin.use(None)

    def _common_arguments(self) -> list[str]:
        generated = self._settings.home / "dbt"
        return [
            *("--project-dir", str(self._project)),
            *("--profiles-dir", str(self._project)),
            *("--target-path", str(generated)),
            "--no-write-json",
            "--cache-selected-only",
            *("--log-level", "none"),
            *("--log-level-file", "none"),
        ]


def close_connections() -> None:
    """Close the DuckDB that dbt keeps open between invocations, and give the lake's lock back."""
    connections: Any = DuckDBConnectionManager
    if connections._ENV is not None:
        connections._ENV.close()
    connections.close_all_connections()
    dbt_plugin.release()


def _node_runs(result: dbtRunnerResult) -> list[NodeRun]:
    nodes: Sequence[Any] = getattr(result.result, "results", ())
    return [NodeRun(each.node.name, str(each.status), float(each.execution_time)) for each in nodes]


def _reasons(result: dbtRunnerResult) -> str:
    """Why an invocation failed: each failed node's message, or the exception."""
    nodes: Sequence[Any] = getattr(result.result, "results", None) or ()
    messages = [
        f"{each.node.name}: {each.message}"
        for each in nodes
        if str(each.status) in {"error", "fail", "runtime error"}
    ]
    return "; ".join(messages) or str(result.exception)
