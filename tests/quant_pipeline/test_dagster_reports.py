"""Reports in the webserver: only reports, sandboxed."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from quant_pipeline.dagster_reports import ReportFiles, report_file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    reports = tmp_path / "reports"
    reports.mkdir()
    (reports / "index.html").write_text("<h1>all</h1>")
    (reports / "one.html").write_text("<h1>one</h1>")
    (tmp_path / "secret.html").write_text("secret")
    (reports / "link.html").symlink_to(tmp_path / "secret.html")
    return reports


def _client(folder: Path) -> httpx.AsyncClient:
    app = Starlette(routes=[Mount("/reports", ReportFiles(directory=folder, html=True))])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


async def test_a_report_is_served_uncached_in_an_origin_of_its_own(folder: Path) -> None:
    async with _client(folder) as client:
        answer = await client.get("/reports/one.html")
        index = await client.get("/reports/")
    assert answer.text == "<h1>one</h1>"
    assert index.text == "<h1>all</h1>"
    assert answer.headers["cache-control"] == "no-store"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts")
    assert "allow-same-origin" not in policy
    assert "default-src 'none'" in policy


@pytest.mark.parametrize("path", ["../secret.html", "%2e%2e/secret.html", "link.html"])
async def test_nothing_outside_the_folder_is_served(folder: Path, path: str) -> None:
    async with _client(folder) as client:
        assert (await client.get(f"/reports/{path}")).status_code == 404


def test_the_dialog_shows_reports_and_nothing_else(folder: Path) -> None:
    assert report_file(str(folder / "one.html"), folder) == folder / "one.html"
    assert report_file(str(folder / ".." / "secret.html"), folder) is None
    assert report_file(str(folder / "link.html"), folder) is None
    assert report_file(str(folder / "missing.html"), folder) is None
    assert report_file("/etc/passwd", folder) is None
