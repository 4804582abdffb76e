"""What the assets are given: the lake, and the settings it belongs to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg
import duckdb

from quant_pipeline import lake, maintenance, resident_loop
from quant_pipeline.settings import Settings

_RETRIES = 3
_RETRY_AFTER_S = 5.0


class Lake:
    """Opens the lake for one piece of work at a time.

    Args:
        settings: those the definitions were built with.
        reread: reads the settings as they are now; None: they do not change.
    """

    def __init__(self, settings: Settings, reread: Callable[[], Settings] | None = None) -> None:
        self.settings = settings
        self._reread = reread

    def current_settings(self) -> Settings:
        """The settings as quant.toml and the environment have them now.

        Raises:
            SettingsError: they are malformed.
        """
        return self._reread() if self._reread is not None else self.settings

    @contextmanager
    def connect(self, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of its own, closed afterwards."""
        with lake.connect(read_only, settings=self.settings) as connection:
            yield connection

    @contextmanager
    def work(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection for an op: where the lake is away, the op is tried again, later each time.

        Only what may pass is tried again: a wrong input stays wrong.
        """
        try:
            with self.connect() as connection:
                yield connection
        except maintenance.PASSING_ERRORS as error:
            if isinstance(error, _WRONG):
                raise
            raise dg.RetryRequested(_RETRIES, seconds_to_wait=_RETRY_AFTER_S) from error

    def environment(self) -> dict[str, str]:
        """The environment in which `quant` works on this lake."""
        mine = {"QUANT_HOME": str(self.settings.home)}
        if self.settings.catalog_dsn is not None:
            mine["QUANT_CATALOG_DSN"] = self.settings.catalog_dsn
        return {**os.environ, **mine}

    def bars_are_kept(self) -> bool:
        """Whether a resident dbt is keeping the bars up to date."""
        return resident_loop.is_running(self.settings)


_WRONG = (
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ConversionException,
    duckdb.InvalidInputException,
    duckdb.OutOfRangeException,
    duckdb.ParserException,
    duckdb.TypeMismatchException,
)
"""DuckDB's ways of saying that the query is wrong."""
