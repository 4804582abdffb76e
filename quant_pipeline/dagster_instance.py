"""Dagster's own state under QUANT_HOME/dagster.

`dagster.yaml` names these classes instead of fixed folders, so that the instance follows the
settings (environment or quant.toml) whichever process opens it.
"""

from __future__ import annotations

from typing import Any, Self

from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData

from quant_pipeline import settings


def _folder(name: str) -> str:
    folder = settings.get().dagster_dir / name
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


class HomeStorage(DagsterSqliteStorage):
    """Runs, events and schedules in SQLite files."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        return cls(_folder("storage"), inst_data=inst_data)


class HomeComputeLogs(LocalComputeLogManager):
    """What runs printed."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        return cls(_folder("compute_logs"), inst_data=inst_data)


class HomeArtifacts(LocalArtifactStorage):
    """Results that assets hand to one another."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        return cls(_folder("artifacts"), inst_data=inst_data)
