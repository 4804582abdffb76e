"""Charts look as they were approved, within a tolerance that forgives another machine's fonts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.reports.pictures import alike, brightness

pytestmark = pytest.mark.browser

APPROVED = Path(__file__).with_name("approved")
ALIKE = 0.9


@pytest.mark.parametrize(
    ("name", "chart"),
    [
        ("pair", "prices-stack"),
        ("pair", "hedge-slope"),
        ("pair", "timing-epps"),
        ("pair", "timing-lags"),
        ("pair", "profile-y"),
        ("symbol", "candles-stack"),
        ("universe", "correlation-matrix"),
        ("snapshots", "history-stack"),
    ],
)
def test_a_chart_looks_as_approved(
    browser: Browser, site: Mapping[str, Path], tmp_path: Path, name: str, chart: str
) -> None:
    context = browser.new_context(
        viewport={"width": 1440, "height": 900}, color_scheme="light", device_scale_factor=1
    )
    page = context.new_page()
    page.goto(site[name].as_uri())
    page.wait_for_selector("html[data-ready]", timeout=60_000)
    actual = tmp_path / f"{name}-{chart}.png"
    page.locator(f"[data-chart={chart}]").screenshot(path=actual)
    context.close()
    approved = APPROVED / actual.name
    assert approved.is_file(), f"look at {actual}; if it is right, copy it to {APPROVED}"
    likeness = alike(brightness(actual.read_bytes()), brightness(approved.read_bytes()))
    assert likeness >= ALIKE, f"{actual} differs from {approved}: {likeness:.3f}"


def test_likeness_tells_charts_apart() -> None:
    pictures = [brightness(path.read_bytes()) for path in sorted(APPROVED.glob("*.png"))]
    for i, one in enumerate(pictures):
        assert alike(one, one) == pytest.approx(1.0)
        for other in pictures[:i]:
            assert alike(one, other) < ALIKE
