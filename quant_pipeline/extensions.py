"""DuckDB extensions from PyPI wheels: no network, no home folder."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import duckdb

# DuckDB derives the name of an extension's entry point from the file's name, and the postgres
# wheel names its file differently from its entry point.
_FILE_NAMES = {"postgres": "postgres_scanner"}


class ExtensionError(RuntimeError):
    """An extension's wheel is missing or was built for another DuckDB."""


def load(connection: duckdb.DuckDBPyConnection, *names: str, cache: Path) -> None:
    """Load the named extensions into `connection`.

    Args:
        cache: folder for links to files that must carry another name than in their wheel.

    Raises:
        ExtensionError: no wheel of that extension for this DuckDB is installed.
    """
    for name in names:
        path = str(_loadable(name, cache)).replace("'", "''")
        connection.execute(f"LOAD '{path}'")


def _wheel_file(name: str) -> Path:
    requirement = f"duckdb-extension-{name}=={duckdb.__version__}"
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    if spec is None or not spec.submodule_search_locations:
        raise ExtensionError(f"DuckDB extension {name!r} is missing: install {requirement}")
    folder = Path(spec.submodule_search_locations[0]) / "extensions" / f"v{duckdb.__version__}"
    file = folder / f"{name}.duckdb_extension"
    if not file.exists():
        raise ExtensionError(
            f"{file} is missing: install {requirement}, the same version as duckdb"
        )
    return file


def _loadable(name: str, cache: Path) -> Path:
    source = _wheel_file(name)
    if name not in _FILE_NAMES:
        return source
    target = cache / f"v{duckdb.__version__}" / f"{_FILE_NAMES[name]}.duckdb_extension"
    if target.exists() and target.samefile(source):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(f".{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    try:
        partial.symlink_to(source)
    except OSError:  # Windows, without the right to make links
        shutil.copyfile(source, partial)
    partial.replace(target)
    return target
