"""DuckDB extensions from PyPI wheels: no network, no home folder."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import Final

import duckdb

# DuckDB derives the name of an extension's entry point from the file's name, and the postgres
# wheel names its file differently from its entry point.
_FILE_NAMES = {"postgres": "postgres_scanner"}

CONFIG: Final[dict[str, str | bool | int | float | list[str]]] = {
    "autoinstall_known_extensions": False,
    "allow_unsigned_extensions": True,
}
"""How to open a DuckDB that `load` is called on next, after which it takes signed ones only."""

_checked: dict[Path, tuple[int, ...]] = {}


class ExtensionError(RuntimeError):
    """An extension's wheel is missing or was built for another DuckDB."""


def load(connection: duckdb.DuckDBPyConnection, *names: str, cache: Path) -> None:
    """Load the named extensions into `connection`, which takes no unsigned one afterwards.

    DuckDB hashes all of an extension's 40 MB at each LOAD to check its signature, 0.3 s of a
    processor for a lake. Where a connection was opened with `CONFIG`, a process does so once.

    Args:
        cache: folder for links to files that must carry another name than in their wheel.

    Raises:
        ExtensionError: no wheel of that extension for this DuckDB is installed.
        duckdb.Error: its file is not what DuckDB's makers signed.
    """
    for name in names:
        file = _loadable(name, cache)
        _check(file)
        connection.execute(_load(file))
    connection.execute("SET allow_unsigned_extensions = false")


def _check(file: Path) -> None:
    """Have DuckDB check the signature, unless it has in this process and the file is the same."""
    found = file.stat()
    mark = (found.st_ino, found.st_size, found.st_mtime_ns)
    if _checked.get(file) != mark:
        with duckdb.connect(":memory:", config={"autoinstall_known_extensions": False}) as strict:
            strict.execute(_load(file))
        _checked[file] = mark


def _load(file: Path) -> str:
    return "LOAD '" + str(file).replace("'", "''") + "'"


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
