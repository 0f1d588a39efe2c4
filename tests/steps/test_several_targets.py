"""A plan in several accounts and regions: every call arrives where its wave or script says."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from drs_provider.dag.factory import build_dag
from drs_provider.plan import LoadedPlan
from drs_provider.simulator.simulation import Simulation
from drs_provider.steps.terminate.work import TerminateWork
from tests.chaos.in_process import InProcessRun, quick_aws
from tests.dag.plans import loaded_plan

HOME, PAYMENTS = "123456789012", "210987654321"
WEB, LEDGER, TOKYO = "s-00000000000000001", "s-00000000000000002", "s-00000000000000003"
ROLE = f"arn:aws:iam::{PAYMENTS}:role/drs-plan/recovery"
TARGETS: dict[str, Any] = {
    "payments": {"region": "us-west-2", "aws_conn_id": "aws_payments", "account": PAYMENTS},
    "tokyo": {"region": "ap-northeast-1", "aws_conn_id": "aws_payments"},
}
PLACES = {WEB: (HOME, "us-west-2"), LEDGER: (PAYMENTS, "us-west-2"), TOKYO: (PAYMENTS, "ap-northeast-1")}
SCENARIO: dict[str, Any] = {
    "region": "us-west-2",
    "account": HOME,
    # The same tags and the same host name in each: a server is (account, region, id).
    "servers": [{"id": WEB, "hostname": "shop01", "tags": {"Application": "shop"}}],
    "accounts": [
        {"account": PAYMENTS, "servers": [{"id": LEDGER, "hostname": "shop01", "tags": {"Application": "shop"}}]},
        {
            "account": PAYMENTS,
            "region": "ap-northeast-1",
            "servers": [{"id": TOKYO, "hostname": "shop01", "tags": {"Application": "shop"}}],
        },
    ],
    "roles": [{"arn": ROLE, "external_id": "shop"}, "arn:aws:iam::333333333333:role/other"],
    "documents": {"Shop-Promote": {"kind": "Automation", "duration": 1}},
}


def plan_of(targets: dict[str, Any] = TARGETS, **keys: Any) -> LoadedPlan:
    servers = [{"tags": {"Application": "shop"}}]
    promote = {"name": "promote", "automation": "Shop-Promote", "target": "tokyo"}
    return loaded_plan(
        {"name": "ledger", "target": "payments", "servers": servers, "pre_launch": [promote]},
        {"name": "web", "depends_on": ["ledger"], "servers": [{"hostname": "shop01"}]},
        {"name": "far", "target": "tokyo", "servers": servers},
        targets=targets,
        **keys,
    )


def connection(role: str) -> str:
    extra = {"role_arn": role, "assume_role_kwargs": {"ExternalId": "shop"}}
    return json.dumps({"conn_type": "aws", "extra": extra})


@pytest.fixture
def go(drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Run a plan; return the state of the run, the JSON of its report, and the run."""
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__REPORTS_FOLDER", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    monkeypatch.setenv("AIRFLOW_CONN_AWS_PAYMENTS", connection(ROLE))
    drs_simulator.load(SCENARIO, speed=60)

    def run(plan: LoadedPlan | None = None, before: Any = None, **parameters: Any) -> tuple[str, dict[str, Any], Any]:
        class Run(InProcessRun):
            def _run(self, task: Any) -> None:
                if before is not None:
                    before(task.task_id)
                super()._run(task)

        made = Run(build_dag(plan or plan_of()), {"mode": "drill", **parameters}, random.Random(1))
        with quick_aws(monkeypatch):
            state = made.go()
        folder = Path(str(made.xcoms["report"]["report_folder"]).removeprefix("file://"))
        return state, json.loads((folder / "report.json").read_text()), made

    return run


def calls(simulator: Simulation, operation: str) -> list[dict[str, Any]]:
    return [entry for entry in simulator.log if entry.get("operation") == operation]


def launched(simulator: Simulation) -> list[tuple[str, tuple[str, str]]]:
    return [
        (server["sourceServerID"], (call["account"], call["region"]))
        for call in calls(simulator, "StartRecovery")
        for server in call["params"]["sourceServers"]
    ]


def test_a_drill_acts_and_cleans_up_in_each_account_and_region(go: Any, drs_simulator: Simulation) -> None:
    state, report, run = go()
    assert state == "success", run.xcoms
    assert Counter(launched(drs_simulator)) == Counter(PLACES.items())
    (script,) = calls(drs_simulator, "StartAutomationExecution")
    assert (script["account"], script["region"]) == (PAYMENTS, "ap-northeast-1")
    terminated = {(call["account"], call["region"]) for call in calls(drs_simulator, "TerminateRecoveryInstances")}
    assert terminated == set(PLACES.values())
    servers = {server["source_server_id"]: server for wave in report["waves"] for server in wave["servers"]}
    assert {name: (server["account"], server["region"]) for name, server in servers.items()} == PLACES
    assert report["termination"]["left"] == []
    assert len(report["termination"]["terminated"]) == 3
    assert {(one["name"], one["account"], one["region"]) for one in report["preflight"]["targets"]} == {
        ("default", HOME, "us-west-2"),
        ("payments", PAYMENTS, "us-west-2"),
        ("tokyo", PAYMENTS, "ap-northeast-1"),
    }
    assert any("assumed-role/recovery" in one["caller"] for one in report["preflight"]["targets"])


def test_a_connection_to_another_account_is_refused_before_anything_is_launched(
    go: Any, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_PAYMENTS", connection("arn:aws:iam::333333333333:role/other"))
    override = {"findings": ["account-unconfirmed"], "reason": "x"}
    state, report, _ = go(mode="recovery", confirm="shop", override=override)
    assert state == "failed"
    findings = {(one["code"], one["target"], one["severity"]) for one in report["preflight"]["findings"]}
    # One connection is of one account: what one target states goes for the other too.
    assert findings == {("account-mismatch", "payments", "error"), ("account-mismatch", "tokyo", "error")}
    assert launched(drs_simulator) == []
    # In another account nothing was asked but who it is.
    assert {call["operation"] for call in drs_simulator.log if call.get("account") == "333333333333"} == {
        "GetCallerIdentity"
    }


def test_a_role_that_may_not_be_assumed_or_a_missing_connection_launches_nothing(
    go: Any, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_PAYMENTS", json.dumps({"conn_type": "aws", "extra": {"role_arn": ROLE}}))
    state, report, _ = go()
    assert state == "failed"
    assert {one["code"] for one in report["preflight"]["findings"]} == {"account-unconfirmed"}
    monkeypatch.delenv("AIRFLOW_CONN_AWS_PAYMENTS")
    state, report, _ = go(mode="recovery", confirm="shop")
    assert state == "failed"
    assert [one["code"] for one in report["preflight"]["findings"]] == ["connection-missing"]
    assert launched(drs_simulator) == []


@pytest.mark.parametrize("stated", [True, False])
def test_a_connection_that_is_edited_after_preflight_is_noticed_at_the_launch(
    go: Any, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, stated: bool
) -> None:
    targets = {name: {k: v for k, v in one.items() if stated or k != "account"} for name, one in TARGETS.items()}

    def edited(task_id: str) -> None:
        if task_id == "ledger.launch":
            monkeypatch.setenv("AIRFLOW_CONN_AWS_PAYMENTS", connection("arn:aws:iam::333333333333:role/other"))

    state, report, run = go(plan_of(targets), before=edited)
    assert state == "failed"
    assert not [place for _, place in launched(drs_simulator) if place[0] == "333333333333"]
    assert "ledger" not in {server for server, _ in launched(drs_simulator)}
    ledger = next(wave for wave in report["waves"] if wave["name"] == "ledger")
    assert "leads to account 333333333333" in ledger["reason"]
    # The end of the drill asks no stranger either: it says what it could not look at.
    assert run.states["terminate"] == "failed"
    assert any("333333333333" in str(left["reason"]) for left in report["termination"]["left"])


def test_what_one_account_does_not_answer_keeps_no_other_from_being_cleaned_up(
    go: Any, drs_simulator: Simulation
) -> None:
    order: list[str] = []

    def throttled(task_id: str) -> None:
        if task_id == "terminate":
            for operation in ("DescribeJobs", "TerminateRecoveryInstances"):
                drs_simulator.add_fault(operation, account=PAYMENTS, error="ThrottlingException", times=60)

    state, report, _ = go(before=throttled)
    order += [call["account"] for call in calls(drs_simulator, "TerminateRecoveryInstances") if not call.get("error")]
    assert order[0] == HOME, "the account that answers is cleaned up first"
    assert set(order) == {HOME, PAYMENTS}
    assert report["termination"]["left"] == []
    assert state == "success"


def test_a_connection_that_vanishes_while_instances_end_is_no_success(
    go: Any, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker's own account knows none of the instances, and would let them pass for terminated."""
    original = TerminateWork._finished

    def gone(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.target.name == "tokyo":
            monkeypatch.delenv("AIRFLOW_CONN_AWS_PAYMENTS", raising=False)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(TerminateWork, "_finished", gone)
    state, report, _ = go()
    assert state == "failed"
    reasons = [left["reason"] for left in report["termination"]["left"]]
    assert any("no connection aws_payments" in reason for reason in reasons), reasons
