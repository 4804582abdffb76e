"""What runs tell the Dagster UI: numbers it can plot, the report one click away, parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from reports.publishing import Published


def numeric(metrics: Mapping[str, float | int | None]) -> dict[str, Any]:
    """Metadata that the UI plots across materialisations; undefined values are left out."""
    return {name: value for name, value in metrics.items() if value is not None}


def report_metadata(published: Published) -> dict[str, Any]:
    """One click to the page, a dialog with it, and a preview in the asset page."""
    metadata: dict[str, Any] = {
        "report": dg.MetadataValue.url(published.url),
        "report_dialog": dg.MetadataValue.notebook(str(published.html)),
        "headline": published.summary.headline,
    }
    return metadata | preview(published)


def latest(kind: str) -> str:
    """Markdown for an asset's description: the preview of the newest page, one click from all."""
    return f"\n\n[![the latest report](/reports/{kind}/latest.svg)](/reports/)"


def preview(published: Published) -> dict[str, Any]:
    """The picture of a page."""
    if published.preview_url is None:
        return {}
    return {"preview": dg.MetadataValue.md(f"![preview]({published.preview_url})")}


def _observation(
    context: dg.AssetExecutionContext,
    key: dg.AssetKey,
    changed: Mapping[str, Any],
    metadata: Mapping[str, Any],
) -> dg.AssetObservation:
    """A run with other parameters: seen in the asset's history, but not what the asset is."""
    return dg.AssetObservation(
        key,
        partition=context.partition_key if context.has_partition_key else None,
        metadata={"parameters": dg.MetadataValue.json(dict(changed)), **metadata},
    )


def results(
    context: dg.AssetExecutionContext,
    found: Mapping[dg.AssetKey, Mapping[str, Any]],
    changed: Mapping[str, Any],
) -> Iterator[dg.MaterializeResult[Any]]:
    """What was found, of the assets that were asked for: observed if parameters were `changed`."""
    for key, metadata in found.items():
        if key not in context.selected_asset_keys:
            continue
        if changed:
            context.log_event(_observation(context, key, changed, metadata))
        else:
            yield dg.MaterializeResult(asset_key=key, metadata=metadata)


def changed_parameters(config: dg.Config) -> dict[str, Any]:
    """The parameters of a run that are not the defaults, by name."""
    default = type(config)()
    return {
        name: value
        for name in type(config).model_fields
        if (value := getattr(config, name)) != getattr(default, name)
    }
