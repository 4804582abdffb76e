"""dbt as Dagster runs it."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from quant_pipeline.resident_dbt import PROJECT
from quant_pipeline.settings import Settings


def _folders_of_runs() -> set[Path]:
    """What Dagster's runs have left beside the models, where a `dbt build` may write meanwhile."""
    return set((PROJECT / "target").glob("dbt_models-*"))


@pytest.mark.filterwarnings("ignore:AssetExecutionContext.op:DeprecationWarning")  # dagster-dbt's
def test_a_run_parses_nothing_again_and_writes_to_the_data_folder(
    analysed_lake: Settings,
    definitions: dg.Definitions,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("QUANT_HOME", str(analysed_lake.home))
    monkeypatch.setenv("QUANT_CATALOG_DSN", analysed_lake.catalog_dsn or "")
    before = _folders_of_runs()
    job = definitions.resolve_implicit_global_asset_job_def()
    outcome = job.execute_in_process(
        asset_selection=[dg.AssetKey(["staging", "stg_ticks"])],
        run_config={"ops": {"dbt_models": {"config": {"tests": False}}}},
    )
    assert outcome.success
    said = capsys.readouterr().out
    assert "Running with dbt" in said
    assert "full parse" not in said
    assert _folders_of_runs() == before
    assert (analysed_lake.home / "dbt" / "dagster" / "run_results.json").exists()
