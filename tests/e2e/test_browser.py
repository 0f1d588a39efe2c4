"""A drill started by hand in Airflow's UI, as a person does it: the form, the graph, the end of the run.

Screenshots go to ``artifacts/``, which git ignores.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

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
    page.goto(f"{stack.airflow.url}/dags/pictured")
    page.get_by_test_id("trigger-dag-button").first.click()
    # The form names what a tired person must not confuse.
    for label in ("Mode", "Confirm a real recovery", "Waves", "Point in time", "Skip scripts", "Keep drill instances"):
        expect(page.get_by_text(label, exact=True).first).to_be_visible()
    expect(page.get_by_text("type the plan's name, pictured").first).to_be_visible()
    _shoot(page, "trigger-form")
    page.get_by_test_id("trigger-dag-submit").click()

    stack.until(lambda: _runs(stack), "the run that the form starts")
    (run,) = _runs(stack)
    assert run["conf"]["mode"] == "drill"
    page.goto(f"{stack.airflow.url}/dags/pictured/runs/{run['dag_run_id']}")
    page.get_by_label("Show Graph").or_(page.get_by_title("Show Graph")).first.click()
    for node in ("confirm", "preflight", "databases", "orders", "search", "storefront", "terminate", "report"):
        expect(page.locator(".react-flow__node", has_text=node).first).to_be_visible()
    _shoot(page, "graph")

    assert stack.wait("pictured", run["dag_run_id"]) == "success"
    expect(page.get_by_test_id("dag-run-state").or_(page.get_by_text("Success")).first).to_contain_text("Success")
    _shoot(page, "end-of-run")
    seen = stack.seen("pictured", run["dag_run_id"])
    assert set(seen.launches()) == {"databases", "orders", "search", "storefront"}
    assert max(seen.ended("orders"), seen.ended("search")) <= seen.started("storefront")


def _runs(stack: Stack) -> list[dict]:
    return list(stack.api.call("GET", "/dags/pictured/dagRuns")["dag_runs"])


def _shoot(page: Page, name: str) -> None:
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{name}.png")
