"""What the assets are given: the lake, and the settings it belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from quant_pipeline import lake, resident_loop
from quant_pipeline.settings import Settings


class Lake:
    """Opens the lake for one piece of work at a time."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @contextmanager
    def connect(self, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of its own, closed afterwards."""
        with lake.connect(read_only, settings=self.settings) as connection:
            yield connection

    def bars_are_kept(self) -> bool:
        """Whether a resident dbt is keeping the bars up to date."""
        return resident_loop.is_running(self.settings)
