"""The Dagster UI in a real browser, under plain `dagster dev`: from the asset to its report."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_PATIENCE_MS = 120_000


class Watched:
    """A browser context, and everything that went wrong in it."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.context = context
        self.address = address
        self.problems: list[str] = []
        context.on("page", self._watch)

    def _watch(self, page: Page) -> None:
        page.on(
            "console",
            lambda message: (
                self.problems.append(f"console: {message.text}")
                if message.type == "error"
                else None
            ),
        )
        page.on("pageerror", lambda error: self.problems.append(f"page error: {error}"))
        page.on(
            "requestfailed",
            lambda request: (
                self.problems.append(f"failed: {request.url} {request.failure}")
                if "ERR_ABORTED" not in (request.failure or "")  # left behind by a navigation
                else None
            ),
        )
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((self.address, "data:", "blob:"))
                else self.problems.append(f"left the machine: {request.url}")
            ),
        )


@pytest.fixture
def watched(dagster_ui: str, chromium_path: str) -> Iterator[Watched]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=_FLAGS)
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        context.set_default_timeout(_PATIENCE_MS)
        yield Watched(context, dagster_ui)
        browser.close()


def test_the_report_is_one_click_from_its_asset_with_a_preview(watched: Watched) -> None:
    page = watched.context.new_page()
    page.goto(f"{watched.address}/assets/reports/pair")
    preview = page.locator("img[alt=preview]").first
    expect(preview).to_be_visible(timeout=_PATIENCE_MS)
    assert preview.evaluate("image => image.complete && image.naturalWidth > 100")

    newest = page.locator("img[alt='the latest report']").first  # in the description
    expect(newest).to_be_visible(timeout=_PATIENCE_MS)
    assert newest.evaluate("image => image.complete && image.naturalWidth > 300")

    link = page.get_by_role("link", name="/reports/pair/BTCUSDT-ETHUSDT/").first
    with watched.context.expect_page() as opened:
        link.click()
    report = opened.value
    report.wait_for_selector("html[data-ready]")  # every chart is live
    expect(report.get_by_role("heading", level=1)).to_contain_text("BTCUSDT")
    tables = report.locator("table")
    assert tables.count() >= 3
    expect(tables.first).to_be_visible()
    drawn = report.locator("[data-chart] svg")
    assert drawn.count() >= 3
    assert report.locator("[data-chart] svg path").count() > 20
    assert watched.problems == []


def test_the_asset_graph_reads_as_the_pipeline_does(watched: Watched) -> None:
    page = watched.context.new_page()
    page.goto(f"{watched.address}/asset-groups")
    for group in ("raw", "staging", "bars", "liquidity", "analytics", "reports"):
        expect(page.get_by_text(group, exact=True).first).to_be_visible(timeout=_PATIENCE_MS)
    assert watched.problems == []


def test_a_partition_shows_its_status_and_its_numbers(watched: Watched) -> None:
    page = watched.context.new_page()
    page.goto(
        f"{watched.address}/assets/analytics/pair_snapshots"
        "?view=partitions&partition=2024-08-09%7CBTCUSDT-ETHUSDT"
    )
    expect(page.get_by_text("Materialized", exact=True).first).to_be_visible(timeout=_PATIENCE_MS)
    expect(page.get_by_text("hedge_ratio", exact=True).first).to_be_visible(timeout=_PATIENCE_MS)
    assert watched.problems == []


def test_numbers_of_the_runs_are_plotted(watched: Watched) -> None:
    page = watched.context.new_page()
    page.goto(f"{watched.address}/assets/analytics/pair_snapshots")
    page.get_by_role("button", name="Plots").click()
    page.get_by_role("button", name="Events").click()
    expect(page.locator("canvas").nth(10)).to_be_visible(timeout=_PATIENCE_MS)
    assert page.locator("canvas").first.evaluate(
        "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)"
        ".data.some(value => value > 0)"
    )
    assert watched.problems == []


def test_checks_tell_what_held(watched: Watched) -> None:
    page = watched.context.new_page()
    page.goto(f"{watched.address}/assets/bars/ohlc_1m?view=checks")
    for check in ("equals_its_ticks", "no_price_jumps"):
        expect(page.get_by_text(check, exact=True).first).to_be_visible(timeout=_PATIENCE_MS)
    expect(page.get_by_text("Passed", exact=True).first).to_be_visible(timeout=_PATIENCE_MS)
    assert watched.problems == []


def test_the_landing_page_of_reports_lists_both_days(watched: Watched) -> None:
    page = watched.context.new_page()
    page.goto(f"{watched.address}/reports/")
    for day in ("2024-08-08", "2024-08-09"):
        expect(page.get_by_text(day).first).to_be_visible(timeout=_PATIENCE_MS)
    assert watched.problems == []
