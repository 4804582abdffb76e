"""Every page in a real Chromium: quiet, offline, accessible, printable, never too wide."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pypdfium2 as pdfium
import pytest
from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

PAGES = (
    *("pair", "symbol", "universe", "snapshots", "quality", "empty", "index"),
    *("session universe", "session snapshots", "month quality", "month pair", "month symbol"),
)
WIDTHS = (375, 768, 1440)
MARGIN_POINTS = 30


@contextmanager
def opened(
    browser: Browser, path: Path, *, width: int = 1440, colours: str = "light"
) -> Iterator[tuple[Page, list[str]]]:
    """The page, all its charts drawn, and what went wrong while it was open."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=colours,  # type: ignore[arg-type]
        device_scale_factor=1,
    )
    wrong: list[str] = []
    page = context.new_page()
    page.on("console", lambda message: wrong.append(f"console {message.type}: {message.text}"))
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on(
        "request",
        lambda request: (
            wrong.append(f"request: {request.url[:120]}")
            if not request.url.startswith(("data:", path.as_uri()))
            else None
        ),
    )
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]", timeout=60_000)
    yield page, wrong
    context.close()


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_page_is_quiet_offline_and_fits(
    browser: Browser, pages: Mapping[str, Path], name: str, width: int
) -> None:
    with opened(browser, pages[name], width=width) as (page, wrong):
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        charts = page.locator("[data-chart]")
        drawn = page.evaluate("(window.reportCharts || []).length")
        assert drawn == charts.count()
        assert wrong == []


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_no_violation(
    browser: Browser, pages: Mapping[str, Path], axe: str, name: str, colours: str
) -> None:
    width = 375 if colours == "dark" else 1440
    with opened(browser, pages[name], width=width, colours=colours) as (page, _):
        page.evaluate(axe)
        found: list[dict[str, Any]] = page.evaluate(
            "async () => (await axe.run(document)).violations"
        )
        grave = [
            f"{item['id']}: {node['html'][:160]}"
            for item in found
            if item["impact"] in ("serious", "critical")
            for node in item["nodes"]
        ]
        assert grave == []


@pytest.mark.parametrize("name", PAGES)
def test_printing_cuts_no_table(browser: Browser, pages: Mapping[str, Path], name: str) -> None:
    with opened(browser, pages[name]) as (page, wrong):
        assert page.pdf(format="A4", prefer_css_page_size=True).startswith(b"%PDF")
        page.emulate_media(media="print")
        page.set_viewport_size({"width": 695, "height": 1000})  # an A4 page less its margins
        cut = page.evaluate(
            """() => [...document.querySelectorAll('.scroll')]
                .filter(box => box.getClientRects().length)
                .filter(box => box.scrollWidth > box.clientWidth + 1)
                .map(box => box.parentElement.id)"""
        )
        assert cut == []
        broken = page.evaluate(
            """() => [...document.querySelectorAll('.table:not(.long), figure, tr')]
                .filter(box => getComputedStyle(box).breakInside !== 'avoid')
                .map(box => box.className || box.tagName)"""
        )
        assert broken == []
        assert wrong == []


@pytest.mark.parametrize("name", PAGES)
def test_on_paper_every_table_is_whole(
    browser: Browser, pages: Mapping[str, Path], name: str
) -> None:
    with opened(browser, pages[name]) as (page, wrong):
        prints = {paper: page.pdf(format=paper) for paper in ("A4", "Letter")}
        tables = page.evaluate(
            """() => [...document.querySelectorAll('.table:not(.long)')]
                .filter(table => !table.closest('details'))
                .map(table => [...table.querySelectorAll('.caption b, tbody tr')]
                    .map(row => row.textContent))"""
        )
        assert wrong == []
    for paper, printed in prints.items():
        sheets = list(pdfium.PdfDocument(printed))
        texts = [squeezed(sheet.get_textpage().get_text_range()) for sheet in sheets]
        for table in tables:
            whole = sum(all(squeezed(row) in text for row in table) for text in texts)
            assert whole == 1, f"{table[0]} is on {whole} sheets of {paper} as a whole"
        for number, sheet in enumerate(sheets, start=1):
            text = sheet.get_textpage()
            rights = [text.get_rect(i)[2] for i in range(text.count_rects())]
            assert max(rights) < sheet.get_width() - MARGIN_POINTS, (
                f"sheet {number} of {paper} is cut at the right"
            )


def squeezed(text: str) -> str:
    """Text without what differs between the page and its print: spaces, breaks, soft hyphens."""
    return re.sub(r"[\s\u00ad\ufffe]+", "", text)


def test_dragging_the_strip_zooms_every_panel_to_the_same_window(
    browser: Browser, site: Mapping[str, Path]
) -> None:
    with opened(browser, site["pair"]) as (page, wrong):
        chart = page.locator("[data-chart=prices-stack]")
        chart.scroll_into_view_if_needed()
        domains = """() => {
            const chart = reportCharts.find(c => c.element.dataset.chart === 'prices-stack');
            const spec = JSON.parse(document.getElementById('spec-prices-stack').textContent);
            const times = spec.scales.filter(scale => scale.type === 'utc').map(s => s.name);
            const domain = name => chart.view.scale(name).domain().map(Number);
            const panels = times.filter(name => name.startsWith('concat_'));
            const strip = times.find(name => !name.startsWith('concat_'));
            return {own: panels.map(domain), full: domain(strip)};
        }"""
        before = page.evaluate(domains)
        assert len(before["own"]) == 3
        assert all(domain == before["full"] for domain in before["own"])
        box = chart.locator("svg").bounding_box()
        assert box is not None
        y = box["y"] + box["height"] - 14
        page.mouse.move(box["x"] + box["width"] * 0.4, y)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.6, y, steps=8)
        page.mouse.up()
        after = page.evaluate(domains)
        first = after["own"][0]
        assert first[0] > before["full"][0]
        assert first[1] < before["full"][1]
        assert all(domain == first for domain in after["own"])
        assert wrong == []


def test_the_crosshair_follows_pointer_and_keys(browser: Browser, site: Mapping[str, Path]) -> None:
    with opened(browser, site["pair"]) as (page, wrong):
        chart = page.locator("[data-chart=prices-stack]")
        chart.scroll_into_view_if_needed()
        box = chart.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 120)
        tip = page.locator(".tip")
        tip.wait_for(state="visible")
        assert "UTC" in tip.inner_text()
        assert "BTCUSDT" in tip.inner_text()
        page.mouse.move(2, 2)
        chart.focus()
        page.keyboard.press("Home")
        first = tip.inner_text()
        page.keyboard.press("ArrowRight")
        assert tip.inner_text() != first
        page.keyboard.press("Escape")
        tip.wait_for(state="hidden")
        assert wrong == []


def test_the_theme_button_switches_colours(browser: Browser, site: Mapping[str, Path]) -> None:
    with opened(browser, site["quality"]) as (page, _):
        background = "getComputedStyle(document.body).backgroundColor"
        light = page.evaluate(background)
        page.get_by_role("button", name="Dark").click()
        assert page.evaluate(background) != light


def test_the_archive_is_searched_by_words(browser: Browser, site: Mapping[str, Path]) -> None:
    with opened(browser, site["index"]) as (page, _):
        entries = page.locator("#archive li")
        everything = entries.count()
        page.get_by_label("Find by").fill("btcusdt 2024-08")
        shown = page.locator("#archive li:visible")
        assert 0 < shown.count() < everything
        page.locator("#archive li:visible a").first.click()
        page.wait_for_selector("h1")
        assert "BTCUSDT" in page.locator("header").inner_text()


def test_a_page_is_whole_without_javascript(browser: Browser, site: Mapping[str, Path]) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site["pair"].as_uri())
    for chart in page.locator("[data-chart] > svg").all():
        assert chart.bounding_box()["height"] > 50  # type: ignore[index]
    context.close()


def test_an_injected_script_does_not_run(
    browser: Browser, tmp_path: Path, site: Mapping[str, Path]
) -> None:
    hostile = tmp_path / "hostile.html"
    text = site["quality"].read_text("utf-8")
    attack = (
        "<script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\">"
    )
    hostile.write_text(text.replace("<main>", f"<main>{attack}"), "utf-8")
    context = browser.new_context()
    page = context.new_page()
    page.goto(hostile.as_uri())
    page.wait_for_selector("html[data-ready]")
    assert page.title() != "owned"
    context.close()


def test_pages_stay_small(pages: Mapping[str, Path]) -> None:
    for path in pages.values():
        assert path.stat().st_size < 3_000_000, path


def test_the_pair_page_is_drawn_quickly(browser: Browser, site: Mapping[str, Path]) -> None:
    with opened(browser, site["pair"]) as (page, _):
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        assert paint < 1_000
