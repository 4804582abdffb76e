"""The definitions as a whole: what the Dagster UI shows, by name."""

from __future__ import annotations

import dagster as dg
from syrupy.assertion import SnapshotAssertion

from quant_pipeline.settings import ROOT


def test_assets_checks_jobs_sensors_and_schedules_are_these(
    definitions: dg.Definitions, snapshot: SnapshotAssertion
) -> None:
    repository = definitions.get_repository_def()
    graph = repository.asset_graph
    assert {
        "assets": {
            key.to_user_string(): sorted(parent.to_user_string() for parent in node.parent_keys)
            for key in sorted(graph.get_all_asset_keys())
            if (node := graph.get(key))
        },
        # dbt's tests are checks too; they are named beside the models that they test
        "checks": sorted(
            f"{check.name} of {check.asset_key.to_user_string()}"
            for definition in definitions.asset_checks or []
            for check in definition.check_specs
        ),
        "freshness": {
            key.to_user_string(): type(policy).__name__
            for key in sorted(graph.get_all_asset_keys())
            if (policy := graph.get(key).freshness_policy_or_from_metadata) is not None
        },
        "jobs": sorted(name for name in repository.job_names if not name.startswith("__")),
        "sensors": sorted(each.name for each in repository.sensor_defs),
        "schedules": {each.name: str(each.cron_schedule) for each in repository.schedule_defs},
    } == snapshot


def test_every_asset_says_what_it_is_and_whose(definitions: dg.Definitions) -> None:
    graph = definitions.get_repository_def().asset_graph
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description, key
        assert node.owners, key
        assert node.group_name != "default", key


def test_every_asset_that_is_made_here_links_to_its_code(definitions: dg.Definitions) -> None:
    graph = definitions.get_repository_def().asset_graph
    for key in graph.materializable_asset_keys:
        linked = graph.get(key).metadata["dagster/code_references"]
        paths = [str(reference.source) for reference in linked.code_references]
        assert any(str(ROOT) in path for path in paths), (key, paths)
