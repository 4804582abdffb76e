"""Charts and whole pages look as approved, with a tolerance for the fonts of another machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.reports.pictures import alike, brightness

pytestmark = pytest.mark.browser

APPROVED = Path(__file__).with_name("approved")
ALIKE = 0.9
ALIKE_WHOLE = 0.8


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


@pytest.mark.parametrize(
    "name", ["pair", "symbol", "universe", "snapshots", "quality", "index", "empty"]
)
def test_a_whole_page_looks_as_approved(
    browser: Browser, site: Mapping[str, Path], tmp_path: Path, name: str
) -> None:
    """At a quarter of its size, where fonts hardly matter and layout is all there is.

    What tells of the day it was made on is taken out: facts, alerts and the footer.
    """
    context = browser.new_context(
        viewport={"width": 1440, "height": 900}, color_scheme="light", device_scale_factor=0.25
    )
    page = context.new_page()
    page.goto(site[name].as_uri())
    page.wait_for_selector("html[data-ready]", timeout=60_000)
    page.evaluate(
        "document.querySelectorAll('.facts, #alerts, .noprint, footer').forEach(e => e.remove())"
    )
    actual = tmp_path / f"whole-{name}.png"
    page.screenshot(path=actual, full_page=True)
    context.close()
    approved = APPROVED / actual.name
    assert approved.is_file(), f"look at {actual}; if it is right, copy it to {APPROVED}"
    new, old = brightness(actual.read_bytes()), brightness(approved.read_bytes())
    assert new.shape[0] == pytest.approx(old.shape[0], rel=0.05), "its height has changed"
    likeness = alike(new, old, block=4)
    assert likeness >= ALIKE_WHOLE, f"{actual} differs from {approved}: {likeness:.3f}"


@pytest.mark.parametrize(("kind", "limit", "block"), [("whole-", 0.8, 4), ("", 0.9, 12)])
def test_likeness_tells_pictures_apart(kind: str, limit: float, block: int) -> None:
    pictures = [
        brightness(path.read_bytes())
        for path in sorted(APPROVED.glob("*.png"))
        if path.name.startswith("whole-") == bool(kind)
    ]
    assert len(pictures) > 1
    for i, one in enumerate(pictures):
        assert alike(one, one, block) == pytest.approx(1.0)
        for other in pictures[:i]:
            assert alike(one, other, block) < limit
