"""Reports inside the Dagster UI, under plain `dagster dev`.

Dagster's markdown drops raw HTML and `file://` links do nothing, so the webserver itself serves
the reports folder at `/reports`. `dagster.yaml` names `ReportsScheduler`, which every Dagster
process therefore imports; in the webserver process the import mounts the folder. Two non-public
methods are wrapped, which is why the Dagster version is pinned and a browser test guards this.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from dagster._core.scheduler import DagsterDaemonScheduler
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from quant_pipeline import settings

MOUNT: Final = "/reports"

# A report is data from outside rendered to HTML: it runs its own inline scripts in an origin of
# its own and reaches nothing. (The page's <meta> policy narrows scripts further, by hash.)
HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "sandbox allow-scripts allow-downloads allow-popups; default-src 'none'; "
        "script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class ReportsScheduler(DagsterDaemonScheduler):
    """The default scheduler; being named in dagster.yaml gets this module imported."""


class ReportFiles(StaticFiles):
    """The reports folder, uncached and sandboxed."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response


def report_file(requested: str, folder: Path) -> Path | None:
    """The report at `requested`, or None if it is no HTML file inside `folder`."""
    path = Path(requested).resolve()
    if path.suffix != ".html" or not path.is_relative_to(folder.resolve()) or not path.is_file():
        return None
    return path


def install() -> None:
    """Mount `/reports` and let the notebook dialog show reports; once per process."""
    from dagster_webserver.webserver import DagsterWebserver

    if getattr(DagsterWebserver, "serves_reports", False):
        return
    build_static_routes = DagsterWebserver.build_static_routes
    download_notebook = DagsterWebserver.download_notebook

    def routes_with_reports(self: Any) -> list[BaseRoute]:
        from reports import publishing

        folder = settings.get().reports_dir
        publishing.ensure_latest(settings.get())
        routes: list[BaseRoute] = build_static_routes(self)  # type: ignore[no-untyped-call]
        return [Mount(MOUNT, ReportFiles(directory=folder, html=True)), *routes]

    async def notebook_or_report(self: Any, request: Request) -> Response:
        requested = request.query_params.get("path", "")
        if not requested.endswith(".html"):
            return await download_notebook(self, request)  # type: ignore[no-any-return]
        path = report_file(requested, settings.get().reports_dir)
        if path is None:
            return PlainTextResponse("no such report", status_code=404)
        return FileResponse(path, media_type="text/html", headers=HEADERS)

    DagsterWebserver.build_static_routes = routes_with_reports  # type: ignore[method-assign]
    DagsterWebserver.download_notebook = notebook_or_report  # type: ignore[method-assign]
    DagsterWebserver.serves_reports = True  # type: ignore[attr-defined]


def _in_webserver() -> bool:
    return any("dagster_webserver" in word or "dagster-webserver" in word for word in sys.orig_argv)


if _in_webserver():
    install()
