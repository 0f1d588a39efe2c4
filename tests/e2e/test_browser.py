"""A drill started by hand in Airflow's UI, as a person does it: the form, the graph, the end of the run.

Screenshots go to ``artifacts/``, which git ignores.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.e2e.stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

ARTIFACTS = Path(__file__).parents[2] / "artifacts"
ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
# A loaded machine draws slowly.
PATIENCE = 90_000


@pytest.fixture
def page() -> Iterator[Page]:
    """A page in Debian's Chromium."""
    program = shutil.which("chromium")
    assert program, "chromium is missing: scripts/system-packages.sh chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS.split())
        try:
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.set_default_timeout(PATIENCE)
            try:
                yield page
            finally:
                # Where the test fails, this shows what it saw.
                _shoot(page, "last")
        finally:
            browser.close()


def test_a_person_starts_a_drill_and_watches_it_to_its_end(stack: Stack, page: Page) -> None:
    expect.set_options(timeout=PATIENCE)
    stack.airflow.wait_for_dag("pictured")
    page.context.add_cookies([{"name": "_token", "value": stack.token("admin"), "url": stack.airflow.url}])
    page.goto(f"{stack.airflow.url}/dags/pictured")
    page.get_by_test_id("trigger-dag-button").first.click()
    for label in ("Mode", "Waves", "Point in time", "Skip scripts", "Keep drill instances"):
        expect(page.get_by_role("group").filter(has_text=label).first).to_be_visible()
    expect(page.get_by_text("Drill: rehearse, then clean up").first).to_be_visible()
    _shoot(page, "trigger-form")
    # What a drill has no use for is folded away.
    expect(page.get_by_text("type the plan's name, pictured").first).not_to_be_visible()
    page.get_by_text("Real recovery only").first.click()
    expect(page.get_by_role("group").filter(has_text="Confirm a real recovery").first).to_be_visible()
    expect(page.get_by_text("type the plan's name, pictured").first).to_be_visible()
    _shoot(page, "trigger-form-recovery")
    page.get_by_test_id("trigger-dag-submit").click()

    # The form leads to the run that it started.
    page.wait_for_url("**/dags/pictured/runs/*")
    run = unquote(urlsplit(page.url).path.rpartition("/")[2])
    page.get_by_label("Show Graph").first.click()
    for before, after in pairwise(("confirm", "preflight", "databases", "orders", "storefront", "terminate", "report")):
        expect(page.get_by_test_id(f"rf__node-{after}")).to_be_visible()
        expect(page.get_by_test_id(f"rf__edge-{before}-{after}")).to_be_attached()
    expect(page.get_by_test_id("rf__edge-databases-search")).to_be_attached()
    expect(page.get_by_test_id("rf__edge-databases-storefront")).not_to_be_attached()
    stack.until(lambda: "orders" in stack.seen("pictured", run).launches(), "the second level of waves")
    _shoot(page, "graph")
    page.get_by_label("Collapse Details Panel").click()
    page.set_viewport_size({"width": 1440, "height": 420})
    page.add_style_tag(content="[data-testid=rf__minimap] { display: none }")
    page.get_by_label("Fit View").click()
    _shoot(page, "dag")

    assert stack.wait("pictured", run) == "success"
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(page.url)
    expect(page.get_by_test_id("header-card").get_by_test_id("state-badge").first).to_contain_text("Success")
    _shoot(page, "end-of-run")
    assert stack.api.run("pictured", run)["conf"]["mode"] == "drill"
    seen = stack.seen("pictured", run)
    assert set(seen.launches()) == {"databases", "orders", "search", "storefront"}
    assert max(seen.ended("orders"), seen.ended("search")) <= seen.started("storefront")


def _shoot(page: Page, name: str) -> None:
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{name}.png")
