"""The report in a real browser: it shows, loads nothing, complains of nothing, and fits on a desk and in a hand."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drs_provider.evidence.html import render_html

pytestmark = [pytest.mark.e2e]

ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium")
    assert program, "chromium is missing: scripts/system-packages.sh chromium"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=ARGUMENTS.split())
        yield chromium
        chromium.close()


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("outcome", ["recovered", "failed"])
def test_the_page(browser: Any, drill: Any, tmp_path: Path, outcome: str, width: int) -> None:
    if outcome == "failed":
        drill.fails("app.wait_for_launch", reason="1 of 2 servers launched\n" + "s-1a2b3c4d5e6f70021 " * 20)
    file = tmp_path / "report.html"
    file.write_text(render_html(drill.record()))
    page = browser.new_page(viewport={"width": width, "height": 900})
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    assert page.locator("h1").inner_text() == "three-tier-web"
    assert page.locator("#timeline").is_visible()
    assert page.locator("svg.chart rect").count() > 10
    fits = page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert fits, "nothing is cut off at the side"
    heading = page.locator("#waves ~ article thead").first.bounding_box()
    if width < 640:
        # Rows are cards: the headings of the columns stand in the cells.
        assert heading["width"] <= 1
        shown = page.evaluate("getComputedStyle(document.querySelector('article .list td'), '::before').content")
        assert shown == '"Server"'
    else:
        assert heading["width"] > 600
    assert (said, asked) == ([], [file.as_uri()])
    page.close()
