"""`quant alerts` as a user runs it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from quant_pipeline import settings as settings_module
from quant_pipeline.alerts.evaluation import evaluate
from quant_pipeline.alerts.rules import Observation
from quant_pipeline.cli import app
from quant_pipeline.settings import Settings

runner = CliRunner()


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[Settings], None]:
    """Makes settings those of the command."""
    return lambda chosen: monkeypatch.setattr(settings_module, "get", lambda: chosen)


@pytest.fixture
def taken() -> Iterator[tuple[str, list[str]]]:
    """A webhook: its Apprise address, and the titles it took."""
    titles: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            titles.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["title"])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"json://127.0.0.1:{server.server_port}/s3cr3t", titles
    server.shutdown()
    thread.join()
    server.server_close()


def test_alerts_are_listed_and_found_by_age(
    settings: Settings, use: Callable[[Settings], None]
) -> None:
    use(settings)
    now = datetime.now(UTC).replace(tzinfo=None)
    for job, value in (("bars", 1.0), ("snapshots[1]", 1.0), ("bars", 0.0)):
        evaluate(settings, now=now, also=[Observation("failed_run", job, value, now)])
    listed = json.loads(runner.invoke(app, ["alerts", "--format", "json"]).stdout)
    assert {row["subject"] for row in listed} == {"bars", "snapshots[1]"}
    is_open = json.loads(runner.invoke(app, ["alerts", "--open", "--format", "json"]).stdout)
    assert [row["subject"] for row in is_open] == ["snapshots[1]"]
    shown = runner.invoke(app, ["alerts", "--open"], env={"COLUMNS": "200"}).stdout
    assert "snapshots[1]: the run failed" in shown
    assert " critical " in shown
    future = runner.invoke(app, ["alerts", "--since", "2099-01-01", "--format", "json"])
    assert [row["subject"] for row in json.loads(future.stdout)] == ["snapshots[1]"]  # still open


def test_a_test_message_says_which_address_took_it(
    use: Callable[[Settings], None], taken: tuple[str, list[str]]
) -> None:
    url, titles = taken
    use(Settings(alert_urls=(SecretStr(url),)))
    result = runner.invoke(app, ["alerts", "test"], catch_exceptions=False)
    assert result.exit_code == 0
    assert result.stdout.startswith("json ")
    assert result.stdout.strip().endswith(": delivered")
    assert "s3cr3t" not in result.output
    assert titles == ["Test"]


def test_a_test_without_an_address_says_what_to_set(use: Callable[[Settings], None]) -> None:
    use(Settings())
    with pytest.raises(ValueError, match="alert_urls is unset: export QUANT_ALERT_URLS"):
        runner.invoke(app, ["alerts", "test"], catch_exceptions=False)
