"""A webhook of the test's own, and a lake whose settings send alerts to it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import duckdb
import pytest
from pydantic import SecretStr

from quant_pipeline import lake
from quant_pipeline.settings import Settings

TOKEN = "s3cr3t-t0k3n"


@dataclass
class Webhook:
    """A real HTTP server that keeps what it takes.

    Attributes:
        notices: the JSON bodies it took, in order.
        refuses: whether it answers 503, as a service that is down.
        refused: requests it did not take.
    """

    port: int
    notices: list[dict[str, Any]] = field(default_factory=list)
    refuses: bool = False
    refused: int = 0

    @property
    def url(self) -> SecretStr:
        return SecretStr(f"json://127.0.0.1:{self.port}/{TOKEN}")

    @property
    def titles(self) -> list[str]:
        return [notice["title"] for notice in self.notices]


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    """Listens on any free port of the loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if hook.refuses:
                hook.refused += 1
                self.send_response(503)
            else:
                hook.notices.append(json.loads(body))
                self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook = Webhook(server.server_port)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield hook
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def alert_lake(make_lake: Callable[[str], Settings]) -> Settings:
    """An empty lake of the module's own."""
    return make_lake("alerts")


@pytest.fixture
def alerting(alert_lake: Settings, webhook: Webhook, request: pytest.FixtureRequest) -> Settings:
    """The module's lake, a venue of the test's own; failed runs and gaps go to the webhook."""
    return alert_lake.model_copy(
        update={
            "venue": request.node.name,
            "alert_urls": (webhook.url,),
            "alert_rules": ("failed_run", "open_gap"),
        }
    )


@pytest.fixture(scope="module")
def connection(alert_lake: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """The module's lake, open."""
    with lake.connect(settings=alert_lake) as opened:
        yield opened
