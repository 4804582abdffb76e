"""What runs tell the Dagster UI: numbers it can plot, the report one click away, parameters."""

from __future__ import annotations

from collections.abc import Mapping
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
    if published.preview_url is not None:
        metadata["preview"] = dg.MetadataValue.md(f"![preview]({published.preview_url})")
    return metadata


def changed_parameters(config: dg.Config) -> dict[str, Any]:
    """The parameters of a run that are not the defaults, by name."""
    default = type(config)()
    return {
        name: value
        for name in type(config).model_fields
        if (value := getattr(config, name)) != getattr(default, name)
    }
