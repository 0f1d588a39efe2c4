"""Approvals, refusals, cancelled runs, rollback, clean-up, notifications and evidence, on a real Airflow.

All runs go on side by side; each has a flow that acts at the right moments, as people would, and a test that judges
afterwards what the simulator saw and what the report says.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from tests.e2e.safety_plans import HEALTH_PORT, MISSING_TOPIC, PLANS, TOPIC
from tests.e2e.safety_runs import ALL, Runs
from tests.e2e.stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]


class _Up(BaseHTTPRequestHandler):
    """What the recovered servers are said to serve: /up is well, anything else is not there."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/up" else 404)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def runs(stack: Stack) -> Iterator[Runs]:
    """Every run of this module, ended."""
    server = ThreadingHTTPServer(("127.0.0.1", HEALTH_PORT), _Up)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    runs = Runs(stack)
    try:
        stack.go_through({flow.__name__: flow(runs) for flow in ALL}, f"the end of {', '.join(PLANS)}", 900)
        yield runs
    finally:
        server.shutdown()
        server.server_close()


def test_a_recovery_starts_only_when_a_named_approver_who_did_not_start_it_says_so(runs: Runs) -> None:
    assert runs.seen["carol"] == 403, "carol is no approver, and Airflow turns her away"
    approval, rollback = runs.report("guarded")["approvals"]
    assert (rollback["where"], rollback["approver"], rollback["decision"]) == ("rollback", "alice", "approved")
    assert runs.seen["unanswered"] == 0, "nothing was terminated before somebody said so"
    assert (approval["where"], approval["approver"], approval["decision"]) == ("recovery", "alice", "approved")
    assert approval["ended"]
    first_launch = min(call["t"] for call in runs.stack.seen_of_plan("guarded"))
    assert first_launch > _epoch(approval["ended"])


def test_gates_that_somebody_marks_as_success_launch_nothing_and_the_report_says_so(runs: Runs) -> None:
    assert runs.state("bypassed") == "failed"
    assert runs.launches("bypassed") == {}
    assert runs.stack.seen_of_plan("bypassed") == []
    assert "it was marked by hand" in runs.log("bypassed", "only.launch")
    report = runs.report("bypassed")
    assert {gate["gate"]: gate["state"] for gate in report["gates"]} == {
        "confirm": "marked by hand",
        "preflight": "marked by hand",
        "only.approve": "marked by hand",
    }
    assert (report["run"]["state"], report["recovered"], report["rto"]["met"]) == ("failed", None, None)


def test_a_run_that_is_over_launches_and_terminates_nothing(runs: Runs) -> None:
    assert runs.seen["over"] == "success"
    states = runs.seen["over checked"]
    assert (states["only.health.tcp"], states["only.rollback"]) == ("failed", "skipped")
    assert runs.terminations_of("over") == []
    (instance,) = runs.instances("over")
    assert instance["ec2InstanceState"] == "RUNNING"
    assert runs.state("over") == "failed"
    assert runs.tasks("over")["only.launch"] == "failed"
    assert len(runs.launches("over")["only"]) == 1
    assert "this run ended with success" in runs.log("over", "only.launch")


def test_who_started_a_recovery_cannot_approve_it(runs: Runs) -> None:
    assert runs.state("second") == "failed"
    assert runs.launches("second") == {}
    decisions = [(each["approver"], each["decision"]) for each in runs.report("second")["approvals"]]
    assert decisions == [("alice", "refused: they started this run, and the plan asks for a second person")]
    assert "Clear this task to ask again" in runs.log("second", "confirm")


def test_two_people_approve_where_the_plan_asks_for_two(runs: Runs) -> None:
    assert runs.seen["pair"] == {}, "however often one person approves"
    assert runs.state("pair") == "success", runs.tasks("pair")
    report = runs.report("pair")
    assert [(each["approver"], each["decision"]) for each in report["approvals"]] == [
        ("alice", "approved"),
        ("carol", "approved"),
    ]
    (gate,) = [gate for gate in report["gates"] if gate["gate"] == "confirm"]
    assert (gate["state"], gate["by"]) == ("passed", ["alice", "carol"])
    last = max(_epoch(each["ended"]) for each in report["approvals"])
    assert all(call["t"] > last for call in runs.stack.seen_of_plan("pair"))


def test_only_who_may_breaks_the_glass_and_the_report_begins_with_it(runs: Runs) -> None:
    state, launches, log = runs.seen["glass"]
    assert (state, launches) == ("failed", {})
    assert "only the users of [drs_provider] break_glass_users may break the glass" in log
    assert runs.state("glass") == "success", runs.tasks("glass")
    assert set(runs.launches("glass")) == {"only"}
    report = runs.report("glass")
    assert {gate["gate"]: (gate["state"], gate["by"], gate["reason"]) for gate in report["gates"][::2]} == {
        "confirm": ("break glass", ["dora"], "alice does not answer"),
        "only.approve": ("not required", [], "the glass was broken for the whole run"),
    }
    folder = Path(runs.stack.api.xcom("glass", runs.ids["glass"], "report", "report_folder")[7:])
    first = (folder / "summary.md").read_text().partition("\n## ")[0]
    assert "BREAK GLASS" in first
    assert "dora" in first
    assert "alice does not answer" in first
    told = [call["params"] for call in runs.stack.simulator.log.calls("Publish")]
    (message,) = [one for one in told if "glass: BREAK GLASS" in one["Subject"]]
    assert "dora started the recovery glass WITHOUT the approvals" in message["Message"]


def test_a_recovery_waits_for_an_aws_that_throttles_and_not_for_one_that_refuses(runs: Runs) -> None:
    assert runs.seen["throttled"] == {}
    assert runs.state("throttled") == "success", runs.tasks("throttled")
    (call,) = runs.stack.seen_of_plan("throttled")
    assert len(call["params"]["sourceServers"]) == 1
    log = runs.log("throttled", "only.launch")
    assert "Waiting for AWS to answer " in log
    assert "ThrottlingException" in log
    assert runs.state("denied") == "failed"
    log = runs.log("denied", "only.launch")
    assert "AccessDenied" in log
    assert "begins again when it answers" not in log


def test_no_answer_and_a_rejection_fail_their_own_branch_and_no_other(runs: Runs) -> None:
    assert set(runs.launches("gated")) == {"approved"}
    states = runs.tasks("gated")
    assert states["late.approve"] == states["refused.approve"] == "failed"
    assert states["behind.launch"] == "upstream_failed"
    assert states["approved.wait_for_launch"] == "success"
    assert "Nobody approved the wave late within 4s" in runs.log("gated", "late.approve")
    assert "alice rejected the wave refused" in runs.log("gated", "refused.approve")
    decisions = {each["where"]: (each["approver"], each["decision"]) for each in runs.report("gated")["approvals"]}
    assert decisions == {
        "late": (None, "timed out"),
        "refused": ("alice", "rejected"),
        "approved": ("carol", "approved"),
    }


def test_preflight_says_all_that_is_wrong_at_once_and_nothing_is_launched(runs: Runs) -> None:
    assert runs.state("checked") == "failed"
    assert runs.launches("checked") == {}
    codes = {finding["code"] for finding in runs.report("checked")["preflight"]["findings"]}
    assert {"replication-lag", "disconnected", "selection-empty"} <= codes, codes
    log = runs.log("checked", "preflight")
    for code in codes:
        assert code in log


def test_a_person_goes_on_in_spite_of_a_finding_and_the_report_says_who_and_why(runs: Runs) -> None:
    assert runs.state("checked-2") == "success", runs.tasks("checked-2")
    assert set(runs.launches("checked-2")) == {"lagging"}
    (override,) = runs.report("checked-2")["overrides"]
    assert (override["finding"], override["reason"], override["by"]) == ("replication-lag", "the site is gone", "carol")
    assert override["at"]


def test_a_failed_recovery_is_unwound_dependents_first_and_nothing_else_is_touched(runs: Runs) -> None:
    assert runs.state("guarded") == "failed"
    assert set(runs.launches("guarded")) == {"base", "middle", "top"}
    report = {wave["name"]: wave for wave in runs.report("guarded")["waves"]}
    ended = {name: wave["rollback"]["terminated"] for name, wave in report.items()}
    assert {name: len(instances) for name, instances in ended.items()} == {"base": 1, "middle": 1, "top": 1}
    assert [wave["rollback"]["state"] for wave in report.values()] == ["success"] * 3
    assert [script["name"] for script in report["base"]["rollback"]["scripts"]] == ["undo"]
    order = [one for one in runs.terminations() if any(one in each for each in ended.values())]
    assert order == [*ended["top"], *ended["middle"], *ended["base"]], "and once each, although two were done again"
    (automation,) = [
        call
        for call in runs.stack.simulator.log.calls("StartAutomationExecution")
        if call["params"]["DocumentName"] == "Undo-Base"
    ]
    assert automation["error"] is None
    for tier in ("oldrec", "olddrl"):
        (instance,) = runs.instances(tier)
        assert instance["ec2InstanceState"] == "RUNNING"
    (kept,) = runs.instances("lagged")
    assert kept["ec2InstanceState"] == "RUNNING", "the instances of another recovery stay"


def test_every_channel_is_told_in_order_and_a_broken_one_hurts_nothing(runs: Runs) -> None:
    calls = [call for call in runs.stack.simulator.log.calls("Publish") if "guarded" in call["params"]["Subject"]]
    subjects = [call["params"]["Subject"] for call in calls if call["params"]["TargetArn"] == TOPIC]
    assert all(call["error"] for call in calls if call["params"]["TargetArn"] == MISSING_TOPIC)
    what = [subject.removeprefix("[RECOVERY] guarded: ") for subject in subjects]
    alarms = {"RTO at risk", "RTO missed"}
    # A question that Airflow asks again is told again.
    assert [each for each, _ in itertools.groupby(each for each in what if each not in alarms)] == [
        "started",
        "approval wanted before the recovery starts",
        "wave top failed",
        "approval wanted before anything is rolled back",
        "FAILED (simulated, 60×)",
    ]
    assert sorted(each for each in what if each in alarms) == sorted(alarms), "each once"
    told = runs.report("guarded")["notifications"]
    sent = {(each["event"], each["to"]): each for each in told}
    for event in ("started", "approval_wanted", "wave_failed", "rto_at_risk", "rto_missed", "ended"):
        assert sent[event, TOPIC]["state"] == "success", sent
        assert "NotFound" in sent[event, MISSING_TOPIC]["reason"]
        assert "is not an Airflow notifier" in sent[event, "airflow.sdk.BaseOperator"]["reason"]
        # Its import exits. The alarms are told by the triggerer, which lives on, with the waits of every run in it.
        assert "cannot be imported" in sent[event, "unittest.__main__.Pager"]["reason"]
        smtp = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"
        assert "is not allowed by [drs_provider] notifiers" in sent[event, smtp]["reason"]


def test_a_cancelled_drill_is_cleaned_up_and_reported(runs: Runs) -> None:
    assert runs.state("cancelled") == "failed"
    assert set(runs.launches("cancelled")) == {"first"}
    assert runs.instances("cancel") == []
    report = runs.report("cancelled")
    assert report["run"]["state"] == "failed"
    assert len(report["termination"]["terminated"]) == 1
    assert report["termination"]["left"] == []


def test_a_drill_with_marked_tasks_is_cleaned_up_and_is_no_success(runs: Runs) -> None:
    assert runs.state("marked") == "failed"
    assert runs.instances("markfl") == runs.instances("markok") == []
    assert len(runs.report("marked")["termination"]["terminated"]) == 2


def test_a_recovery_that_waits_for_a_drill_starts_when_the_drill_is_marked_failed(runs: Runs) -> None:
    assert runs.state("urgent") == "failed"
    assert runs.state("urgent-2") == "success", runs.tasks("urgent-2")
    (ended,) = runs.report("urgent")["termination"]["terminated"]
    (terminated,) = [
        call["t"]
        for call in runs.stack.simulator.log.calls("TerminateRecoveryInstances")
        if ended in call["params"]["recoveryInstanceIDs"]
    ]
    assert runs.stack.seen("urgent", runs.ids["urgent-2"]).started("only") > terminated


def test_a_recovery_need_not_wait_until_a_drill_has_ended_its_instances(runs: Runs) -> None:
    assert runs.seen["hurried"] == "queued"
    assert runs.state("hurried") == "failed"
    assert runs.state("hurried-2") == "success", runs.tasks("hurried-2")
    assert set(runs.launches("hurried-2")) == {"only"}


def test_health_checks_of_every_kind(runs: Runs) -> None:
    report = {wave["name"]: wave for wave in runs.report("healthy")["waves"]}
    checks = {check["name"]: check for check in report["web"]["health_checks"]}
    assert len(checks) == 6
    assert {check["state"] for check in checks.values()} == {"success"}, checks
    assert report["web"]["state"] == "success"
    assert report["sick"]["state"] == "failed"
    assert "404" in report["sick"]["health_checks"][0]["reason"]


def test_a_drill_keeps_its_instances_as_long_as_the_plan_says(runs: Runs) -> None:
    report = runs.report("healthy")
    last = max(job["ended"] for wave in report["waves"] for job in wave["jobs"])
    terminated = set(report["termination"]["terminated"])
    assert len(terminated) == 2
    asked = [
        call["t"]
        for call in runs.stack.simulator.log.calls("TerminateRecoveryInstances")
        if set(call["params"]["recoveryInstanceIDs"]) & terminated
    ]
    assert min(asked) - _epoch(last) >= 12


def test_what_cannot_be_ended_is_listed_and_fails_and_is_ended_when_the_task_is_cleared(runs: Runs) -> None:
    instance, report, log = runs.seen["stuck"]
    assert report["run"]["state"] == "failed"
    (left,) = report["termination"]["left"]
    assert left["instance_id"] == instance
    assert "AccessDenied" in left["reason"]
    assert instance in log
    assert runs.state("stuck") == "success", runs.tasks("stuck")
    assert runs.report("stuck")["termination"] == {**runs.report("stuck")["termination"], "terminated": [instance]}
    assert runs.instances("stuck") == []


def test_the_report_is_linked_from_its_run_and_shown_to_who_may_see_it(runs: Runs) -> None:
    run = runs.ids["guarded"]
    links = runs.stack.api.call("GET", f"/dags/guarded/dagRuns/{run}/taskInstances/report/links")
    address = links["extra_links"]["Recovery report"]
    assert address.startswith(runs.stack.airflow.url)
    token = runs.stack.token("carol")
    with httpx.Client(trust_env=False, timeout=30) as client:
        assert client.get(address).status_code == 401
        # As a browser does, that is logged in to Airflow's UI.
        page = client.get(address, headers={"Cookie": f"_token={token}"})
        assert page.status_code == 200
        assert "guarded" in page.text
        assert "sandbox" in page.headers["Content-Security-Policy"]
        again = client.get(f"{address}?as=json", headers={"Authorization": f"Bearer {token}"})
        assert again.json() == runs.report("guarded")
        missing = client.get(address.replace("/guarded/", "/healthy/"), headers={"Authorization": f"Bearer {token}"})
        assert missing.status_code == 404


def test_every_run_left_its_evidence_valid_and_complete(runs: Runs) -> None:
    schema = json.loads(files("drs_provider.evidence").joinpath("report.schema.json").read_text())
    for name in runs.ids:
        report = runs.report(name)
        jsonschema.validate(report, schema)
        folder = Path(runs.stack.api.xcom(runs.dag_id(name), runs.ids[name], "report", "report_folder")[7:])
        assert {"report.html", "summary.md"} <= {file.name for file in folder.iterdir()}
        if name not in ("bypassed", "cancelled", "marked", "urgent", "hurried"):
            # A task that a person ended cannot tell what it did; the report says so.
            assert report["unread"] == [], name


def _epoch(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
