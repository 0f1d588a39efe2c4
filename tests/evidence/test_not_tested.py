"""What a good figure of a drill does not stand for: what a recovery does and the drill did not do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drs_provider.evidence.html import render_html
from drs_provider.evidence.markdown import render_markdown
from drs_provider.evidence.storage import write_report
from drs_provider.evidence.verdict import verdict
from drs_provider.plan import load_plan

SEIZE = """
      - {name: seize-roles, automation: Shop-SeizeRoles, modes: [recovery]}
      - {name: clean-drill, automation: Shop-Clean, modes: [drill]}
"""


@pytest.fixture
def partial(drill: Any, tmp_path: Path) -> Any:
    """The drill of a plan with a script for recoveries alone, and one with parameters of its own in a drill."""
    text = drill.loaded.path.read_text().replace(
        "    post_launch:\n      - {name: start-postgres", f"    post_launch:{SEIZE}      - {{name: start-postgres"
    )
    text = text.replace("[systemctl start postgresql]}", "[a]}, parameters_by_mode: {drill: {commands: [b]}}")
    text = text.replace("approvers: [alice], timeout: 1h}", "approvers: [alice], timeout: 1h, modes: [recovery]}")
    path = tmp_path / "three-tier-web.yaml"
    path.write_text(text + "recovery: {approval: {message: Go?}}\n")
    drill.loaded = load_plan(path)
    drill.tasks["database.post_launch.seize-roles"] = {"state": "skipped"}
    drill.task("database.post_launch.clean-drill", 481, 482)
    return drill


def test_what_a_drill_did_not_do_stands_beside_its_verdict(partial: Any, tmp_path: Path, run: Any) -> None:
    record = partial.record()
    assert verdict(record).badge == "RTO met"
    told = {each.label: each.reason for each in record.not_tested}
    assert told == {
        "approval of the recovery": "the plan does not ask for it in a drill",
        "server db-archive of database": "the launch template has no subnet",
        "script seize-roles of database": "the plan does not run it in a drill (modes: recovery)",
        "script start-postgres of database, as in a recovery": "it ran with the parameters of a drill: commands",
        "approval of app": "the plan does not ask for it in a drill",
    }
    skipped = next(each for each in record.waves[0].scripts if each.name == "seize-roles")
    assert (skipped.state, skipped.reason) == ("skipped", told["script seize-roles of database"])
    html = render_html(record)
    assert html.index("RTO met") < html.index("Not tested in this drill") < html.index("Timeline")
    assert "## Not tested in this drill\n\n- approval of the recovery" in render_markdown(record)

    write_report(record, str(tmp_path))
    arguments = ("history", "three-tier-web", "--reports-folder", tmp_path)
    shown = run(*arguments).output
    assert "Not tested in the newest drill: 5\n" in shown
    assert "  script seize-roles of database: the plan does not run it in a drill" in shown
    (row,) = json.loads(run(*arguments, "--format", "json").output)["runs"]
    assert [each["label"] for each in row["not_tested"]] == list(told)
    assert row["not_tested"][2]["what"] == "script"


def test_a_run_that_leaves_parts_out_names_each(partial: Any) -> None:
    partial.facts["parameters"] = {"mode": "drill", "waves": ["database", "app", "web"], "skip_scripts": True}
    partial.tasks["database.pre_launch.promote-replica"]["state"] = "skipped"
    told = {each.label: each.reason for each in partial.record().not_tested}
    assert told["wave cache"] == "this wave is not selected in this run"
    assert told["script promote-replica of database"] == "this run leaves all scripts out (skip_scripts)"


def test_a_recovery_lacks_no_script_that_is_for_drills(partial: Any) -> None:
    partial.facts["parameters"]["mode"] = "recovery"
    record = partial.record()
    labels = [each.label for each in record.not_tested]
    assert "script clean-drill of database" not in labels
    assert "approval of app" not in labels
    assert "Not done in this recovery" in render_html(record)


def test_what_a_failed_run_did_not_come_to(partial: Any) -> None:
    partial.fails("app.wait_for_launch", reason="1 of 2 servers launched")
    partial.never_started("web")
    told = {each.label: each.reason for each in partial.record().not_tested}
    assert told["wave web"] == "the run did not come to it"
