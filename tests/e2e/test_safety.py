"""Approvals, refusals, cancelled runs, rollback, clean-up, notifications and evidence, on a real Airflow.

All runs go on side by side; each has a flow that acts at the right moments, as people would, and a test that judges
afterwards what the simulator saw and what the report says.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any

import boto3
import httpx
import jsonschema
import pytest

from drs_provider.rehearsal.airflow_api import FINISHED_STATES
from tests.e2e.safety_plans import HEALTH_PORT, MISSING_TOPIC, PLANS, TOPIC
from tests.e2e.stack import REGION, Stack, servers

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

Flow = Iterator[Callable[[], Any]]


class Runs:
    """The runs of this module, and what is asked of each of them.

    :param stack: Airflow and the simulator.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.ids: dict[str, str] = {}
        self.seen: dict[str, Any] = {}
        self.aws = {
            service: boto3.client(
                service,
                region_name=REGION,
                endpoint_url=stack.simulator.endpoint_url,
                aws_access_key_id="testing",
                aws_secret_access_key="testing",
            )
            for service in ("drs", "ec2")
        }

    def start(self, name: str, dag_id: str | None = None, user: str = "admin", **conf: Any) -> None:
        dag_id = dag_id or name
        self.stack.airflow.wait_for_dag(dag_id)
        self.ids[name] = self.stack.as_user(user).trigger(dag_id, conf)

    def dag_id(self, name: str) -> str:
        return name.partition("-")[0]

    def state(self, name: str) -> str:
        return str(self.stack.api.run(self.dag_id(name), self.ids[name])["state"])

    def ended(self, name: str) -> Callable[[], bool]:
        return lambda: self.state(name) in FINISHED_STATES

    def tasks(self, name: str) -> dict[str, str | None]:
        return self.stack.states(self.dag_id(name), self.ids[name])

    def waits(self, name: str, task: str) -> Callable[[], bool]:
        """Whether a task has been waiting for an answer for a moment: people are slower than a worker that gives up its
        task, and Airflow takes an answer in between for the end of a task that it has queued again."""
        first_seen: list[float] = []

        def condition() -> bool:
            if self.tasks(name)[task] not in ("awaiting_input", "deferred"):
                first_seen.clear()
            elif not first_seen:
                first_seen.append(time.monotonic())
            asked = task in self.stack.api.pending_approvals(self.dag_id(name), self.ids[name])
            return bool(asked and first_seen and time.monotonic() - first_seen[0] > 3)

        return condition

    def answer(self, user: str, name: str, task: str, option: str = "Approve") -> None:
        self.stack.as_user(user).answer_approval(self.dag_id(name), self.ids[name], task, option)

    def report(self, name: str) -> dict[str, Any]:
        return self.stack.report(self.dag_id(name), self.ids[name])

    def launches(self, name: str) -> dict[str, list[str]]:
        return self.stack.seen(self.dag_id(name), self.ids[name]).launches()

    def log(self, name: str, task: str) -> str:
        return self.stack.log_of(self.dag_id(name), self.ids[name], task)

    def instances(self, tier: str) -> list[dict[str, Any]]:
        """The recovery instances of a tier's one server, as DRS shows them."""
        (server,) = servers(tier, 1)
        answer = self.aws["drs"].describe_recovery_instances(filters={"sourceServerIDs": [server["id"]]})
        return list(answer["items"])

    def terminations(self) -> list[str]:
        """The recovery instances that were asked to end, in the order of the calls."""
        calls = self.stack.simulator.log.calls("TerminateRecoveryInstances")
        return [one for call in calls if not call["error"] for one in call["params"]["recoveryInstanceIDs"]]


def guarded(runs: Runs) -> Flow:
    """bob starts a recovery, alice approves it; its last wave fails, and the whole recovery is unwound."""
    runs.start("guarded", user="bob", mode="recovery", confirm="guarded")
    yield runs.waits("guarded", "confirm")
    with pytest.raises(httpx.HTTPStatusError) as refused:
        runs.answer("carol", "guarded", "confirm")
    runs.seen["carol"] = refused.value.response.status_code
    runs.answer("alice", "guarded", "confirm")
    yield runs.ended("guarded")
    runs.seen["before"] = len(runs.terminations())
    task = f"/dags/guarded/dagRuns/{runs.ids['guarded']}/taskInstances"
    clear = {"dry_run": False, "dag_run_id": runs.ids["guarded"], "only_failed": False}
    runs.stack.api.call(
        "POST", "/dags/guarded/clearTaskInstances", json={**clear, "task_ids": ["middle.rollback", "top.rollback"]}
    )
    runs.seen["task"] = task
    yield runs.ended("guarded")


def second(runs: Runs) -> Flow:
    """alice starts a recovery and tries to approve it herself."""
    runs.start("second", user="alice", mode="recovery", confirm="second")
    yield runs.waits("second", "confirm")
    runs.answer("alice", "second", "confirm")
    yield runs.ended("second")


def gated(runs: Runs) -> Flow:
    """Before its waves: nobody answers, alice rejects, and carol approves where anyone may."""
    runs.start("gated", user="bob")
    yield runs.waits("gated", "refused.approve")
    runs.answer("alice", "gated", "refused.approve", "Reject")
    yield runs.waits("gated", "approved.approve")
    runs.answer("carol", "gated", "approved.approve")
    yield runs.ended("gated")


def checked(runs: Runs) -> Flow:
    """A drill that is not ready, and then a recovery that goes on in spite of one finding."""
    runs.start("checked")
    yield runs.ended("checked")
    override = {"findings": ["replication-lag"], "reason": "the site is gone"}
    conf = {"mode": "recovery", "confirm": "checked", "waves": ["lagging"], "override": override}
    runs.start("checked-2", "checked", user="carol", **conf)
    yield runs.ended("checked-2")


def cancelled(runs: Runs) -> Flow:
    """Somebody marks the run as failed while its first wave is in its job."""
    runs.start("cancelled")
    yield lambda: runs.launches("cancelled")
    yield lambda: runs.tasks("cancelled")["first.wait_for_launch"] == "deferred"
    runs.stack.api.call("PATCH", f"/dags/cancelled/dagRuns/{runs.ids['cancelled']}", json={"state": "failed"})
    yield lambda: runs.tasks("cancelled")["report"] in ("failed", "success", "skipped", "upstream_failed")


def marked(runs: Runs) -> Flow:
    """Somebody marks the wait of one wave as failed and that of the other as a success, in the middle of their jobs."""
    runs.start("marked")
    for wave, state in (("failed", "failed"), ("succeeded", "success")):
        task = f"{wave}.wait_for_launch"
        yield lambda task=task: runs.tasks("marked")[task] == "deferred"  # type: ignore[misc]
        path = f"/dags/marked/dagRuns/{runs.ids['marked']}/taskInstances/{task}"
        runs.stack.api.call("PATCH", path, json={"new_state": state})
    yield runs.ended("marked")


def healthy(runs: Runs) -> Flow:
    """A drill with every kind of health check, one of which fails, that keeps its instances a while."""
    runs.start("healthy")
    yield runs.ended("healthy")


def stuck(runs: Runs) -> Flow:
    """A drill whose instance cannot be terminated until somebody gives the role the right to do it."""
    runs.start("stuck")
    yield lambda: runs.instances("stuck")
    (instance,) = runs.instances("stuck")
    fault = {"operation": "TerminateRecoveryInstances", "contains": instance["recoveryInstanceID"]}
    answer = runs.stack.simulator.control("POST", "/faults", {**fault, "error": "AccessDeniedException"})
    yield runs.ended("stuck")
    runs.seen["stuck"] = (instance["ec2InstanceID"], runs.report("stuck"), runs.log("stuck", "terminate"))
    runs.stack.simulator.control("DELETE", f"/faults?id={answer['id']}")
    body = {
        "dry_run": False,
        "dag_run_id": runs.ids["stuck"],
        "only_failed": False,
        "task_ids": ["terminate", "report"],
    }
    runs.stack.api.call("POST", "/dags/stuck/clearTaskInstances", json=body)
    yield lambda: not runs.ended("stuck")()
    yield runs.ended("stuck")


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
    flows = {flow.__name__: flow(runs) for flow in (guarded, second, gated, checked, cancelled, marked, healthy, stuck)}
    waiting: dict[str, Callable[[], Any]] = {name: next(flow) for name, flow in flows.items()}

    def all_over() -> bool:
        for name, condition in list(waiting.items()):
            if condition():
                step = next(flows[name], None)
                if step is None:
                    del waiting[name]
                else:
                    waiting[name] = step
        return not waiting

    try:
        stack.until(all_over, f"the end of {', '.join(PLANS)}", 420)
        yield runs
    finally:
        server.shutdown()
        server.server_close()


def test_a_recovery_starts_only_when_a_named_approver_who_did_not_start_it_says_so(runs: Runs) -> None:
    assert runs.seen["carol"] == 403, "carol is no approver, and Airflow turns her away"
    (approval,) = runs.report("guarded")["approvals"]
    assert (approval["where"], approval["approver"], approval["decision"]) == ("recovery", "alice", "approved")
    assert approval["ended"]
    first_launch = min(call["t"] for call in runs.stack.seen_of_plan("guarded"))
    assert first_launch > _epoch(approval["ended"])


def test_who_started_a_recovery_cannot_approve_it(runs: Runs) -> None:
    assert runs.state("second") == "failed"
    assert runs.launches("second") == {}
    decisions = [(each["approver"], each["decision"]) for each in runs.report("second")["approvals"]]
    assert decisions == [("alice", "refused: they started this run, and the plan asks for a second person")]
    assert "Clear this task to ask again" in runs.log("second", "confirm")


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
    assert [each for each in what if each not in alarms] == [
        "started",
        "approval wanted before the recovery starts",
        "wave top failed",
        "FAILED",
    ]
    assert sorted(each for each in what if each in alarms) == sorted(alarms), "each once"
    told = runs.report("guarded")["notifications"]
    sent = {(each["event"], each["to"]): each for each in told}
    for event in ("started", "approval_wanted", "wave_failed", "rto_at_risk", "rto_missed", "ended"):
        assert sent[event, TOPIC]["state"] == "success", sent
        assert "NotFound" in sent[event, MISSING_TOPIC]["reason"]
        assert "is not an Airflow notifier" in sent[event, "airflow.sdk.BaseOperator"]["reason"]


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
        if name not in ("cancelled", "marked"):
            # A task that a person ended cannot tell what it did; the report says so.
            assert report["unread"] == [], name


def _epoch(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
