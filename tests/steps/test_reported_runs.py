"""What the report says of runs that people had a hand in, from the tasks' own evidence to the pages."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from drs_provider.dag.factory import build_dag
from drs_provider.evidence.html import render_html
from drs_provider.evidence.record import RunRecord
from drs_provider.evidence.verdict import verdict
from drs_provider.plan import LoadedPlan
from drs_provider.simulator.simulation import Simulation
from drs_provider.steps.launch.work import LaunchWork
from drs_provider.steps.rollback.work import RollbackWork
from tests.chaos.in_process import InProcessRun, quick_aws
from tests.dag.plans import loaded_plan

DB, WEB = "s-00000000000000001", "s-00000000000000002"
PLAN = loaded_plan(
    {"name": "db", "servers": [{"id": DB}]},
    {
        "name": "web",
        "depends_on": ["db"],
        "servers": [{"id": WEB}],
        "post_launch": [{"name": "dns", "automation": "Switch-Dns"}],
    },
    objectives={"rto": "8h", "rpo": "5m"},
)


def scenario(**web: Any) -> dict[str, Any]:
    servers = [{"id": DB, "hostname": "db"}, {"id": WEB, "hostname": "web", **web}]
    documents = {"Switch-Dns": {"kind": "Automation", "duration": 1}}
    return {"region": "us-west-2", "servers": servers, "documents": documents}


@pytest.fixture
def report(drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Run the plan, and return the state of the run and the JSON of its report."""
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__REPORTS_FOLDER", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    drs_simulator.load(scenario(), speed=60)

    class Run(InProcessRun):
        """A run some of whose tasks do not run: they get a state by hand."""

        by_hand: dict[str, str]

        def _run(self, task: Any) -> None:
            if task.task_id in self.by_hand:
                self.states[task.task_id] = self.by_hand[task.task_id]
            else:
                super()._run(task)

    def go(
        by_hand: dict[str, str] | None = None,
        plan: LoadedPlan = PLAN,
        cleared: tuple[str, ...] = (),
        run_type: str = "manual",
        note: str | None = None,
        **parameters: Any,
    ) -> tuple[str, dict[str, Any]]:
        run = Run(build_dag(plan), {"mode": "drill", **parameters}, random.Random(1))
        run.by_hand = by_hand or {}
        run._dag_run.run_type = run_type
        run._dag_run.note = note
        with quick_aws(monkeypatch):
            state = run.go()
            if cleared:
                # Afterwards: a person clears these, and they run.
                run.by_hand = {}
                run.states |= dict.fromkeys(cleared)
                state = run.go()
        folder = Path(str(run.xcoms["report"]["report_folder"]).removeprefix("file://"))
        return state, json.loads((folder / "report.json").read_text())

    return go


def test_a_finding_that_only_a_launch_met_is_listed_among_what_a_person_went_on_with(
    report: Any, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    # After so many seconds of AWS, which pass sixty times as fast.
    stalls = [{"after": "30m", "replication": "STALLED", "lag": "1h"}]
    drs_simulator.load(scenario(changes=stalls), speed=60)
    look = LaunchWork._look_again

    def later(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.wave.name == "web":
            drs_simulator.advance(30)
        return look(self, *args, **kwargs)

    monkeypatch.setattr(LaunchWork, "_look_again", later)
    override = {"findings": ["replication-state", "replication-lag"], "reason": "the source site is gone"}
    state, found = report(mode="recovery", confirm="shop", override=override)
    assert state == "success"
    assert not any(finding["overridden"] for finding in found["preflight"]["findings"])
    assert {each["finding"]: (each["reason"], each["by"]) for each in found["overrides"]} == dict.fromkeys(
        ("replication-lag", "replication-state"), ("the source site is gone", "alice")
    )
    assert all(each["at"] > found["preflight"]["ended"] for each in found["overrides"])
    assert (found["rpo"]["server"], found["rpo"]["met"]) == (WEB, False)


def test_a_run_that_a_person_ended_before_its_last_script_did_not_recover(report: Any) -> None:
    state, found = report({"web.post_launch.dns": "skipped"})
    assert state == "failed"
    assert (found["run"]["state"], found["recovered"], found["rto"]["met"]) == ("failed", None, False)
    assert found["waves"][1]["reason"] == "it was ended before these tasks were done: post_launch.dns"
    assert found["run"]["cancelled"] == "never begun: web.post_launch.dns"


def test_a_run_that_a_person_ended_between_two_tasks_says_where(report: Any) -> None:
    left = ("web.launch", "web.wait_for_launch", "web.post_launch.dns")
    # As Airflow leaves a run that is marked as failed: what was in progress is killed, what was to come is skipped.
    state, found = report({"db.wait_for_launch": "failed"} | dict.fromkeys(left, "skipped"), note="wrong site")
    assert found["run"]["note"] == "wrong site"
    assert found["run"]["cancelled"] == f"stopped while in progress: db.wait_for_launch; never begun: {', '.join(left)}"
    record = RunRecord.model_validate(found)
    assert verdict(record).title == "Cancelled"
    assert "Note on the run: wrong site." in render_html(record)
    left = ("db.wait_for_launch", *left)
    state, found = report(dict.fromkeys(left, "skipped"))
    assert state == "failed"
    assert [wave["state"] for wave in found["waves"]] == ["failed", "not_started"]
    assert found["waves"][0]["reason"] == "it was ended before these tasks were done: wait_for_launch"


def test_a_wave_whose_tasks_a_person_marked_as_a_success_did_not_recover(report: Any) -> None:
    state, found = report({"db.launch": "success", "db.wait_for_launch": "success"})
    assert state == "failed"
    assert [wave["state"] for wave in found["waves"]] == ["failed", "success"]
    assert (found["run"]["state"], found["rto"]["met"]) == ("failed", False)


def test_neither_job_of_a_wave_that_failed_twice_is_adopted(report: Any, drs_simulator: Simulation) -> None:
    drs_simulator.load(scenario(outcome=["failed", "failed"]), speed=60)
    state, found = report()
    assert state == "failed"
    jobs = found["waves"][1]["jobs"]
    assert [(job["attempt"], job["adopted"]) for job in jobs] == [(1, False), (2, False)]
    assert found["run"]["cancelled"] is None, "the tasks behind were not reached, and nobody skipped them"


def test_a_run_that_was_refused_says_why(report: Any) -> None:
    state, found = report(mode="recovery", confirm="shpo")
    assert state == "failed"
    assert "'shop'; it is 'shpo'" in found["run"]["refused"]
    assert found["run"]["cancelled"] is None
    assert found["overrides"] == []


def test_a_plan_whose_connection_does_not_exist_launches_nothing_as_somebody_else(
    report: Any, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = {"region": "us-west-2", "aws_conn_id": "aws_recovery_account"}
    plan = loaded_plan({"name": "db", "servers": [{"id": DB}]}, target=target)
    state, found = report(plan=plan, mode="recovery", confirm="shop")
    assert state == "failed"
    assert [finding["code"] for finding in found["preflight"]["findings"]] == ["connection-missing"]
    assert not [entry for entry in drs_simulator.log if entry.get("operation") == "StartRecovery"]
    override = {"findings": ["connection-missing"], "reason": "the connections were in the lost site"}
    # The worker's own role is somebody else: nobody can decide that it will do.
    state, found = report(plan=plan, mode="recovery", confirm="shop", override=override)
    assert state == "failed"
    assert "'connection-missing' cannot be overridden" in found["run"]["refused"]
    assert not [entry for entry in drs_simulator.log if entry.get("operation") == "StartRecovery"]
    monkeypatch.setenv("AIRFLOW_CONN_AWS_RECOVERY_ACCOUNT", "aws://")
    assert report(plan=plan, mode="recovery", confirm="shop")[0] == "success"


@pytest.mark.parametrize(
    ("connection", "allowed", "reason"),
    [
        ("http://user:password@hooks.example.com", None, "is of type http; plans need type aws"),
        ("aws://", "aws_dr_* aws_drill", "[drs_provider] connections does not allow plans the connection"),
    ],
    ids=["another type", "not in the list"],
)
def test_a_connection_that_plans_may_not_use_is_not_used(
    connection: str,
    allowed: str | None,
    reason: str,
    report: Any,
    drs_simulator: Simulation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PAGER", connection)
    if allowed:
        monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__CONNECTIONS", allowed)
    target = {"region": "us-west-2", "aws_conn_id": "pager"}
    plan = loaded_plan({"name": "db", "servers": [{"id": DB}]}, target=target)
    state, found = report(plan=plan, mode="recovery", confirm="shop")
    assert state == "failed"
    (finding,) = found["preflight"]["findings"]
    assert finding["code"] == "connection-not-allowed"
    assert reason in finding["message"]
    asked = {str(entry.get("operation")) for entry in drs_simulator.log}
    assert not asked & {"DescribeSourceServers", "SimulatePrincipalPolicy", "StartRecovery"}


def test_a_script_that_is_cleared_after_the_end_of_the_drill_recovers_nothing(report: Any) -> None:
    failed = {"web.post_launch.dns": "failed"}
    state, found = report(failed, cleared=("web.post_launch.dns", "terminate", "report"))
    assert (state, found["run"]["state"], found["rto"]["met"]) == ("failed", "failed", False)
    waves = {wave["name"]: wave for wave in found["waves"]}
    assert "To continue it, clear the task web.launch with everything downstream" in waves["web"]["reason"]


def test_the_end_of_a_drill_that_is_cleared_changes_nothing(report: Any) -> None:
    state, found = report(cleared=("terminate", "report"))
    assert (state, found["run"]["state"], found["rto"]["met"]) == ("success", "success", True)


def test_a_script_that_is_cleared_after_the_recovery_was_unwound_recovers_nothing(
    report: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RollbackWork, "require_approval", lambda *_: None)
    plan = loaded_plan(*(each.model_dump(mode="json") for each in PLAN.plan.waves), recovery={"on_failure": "rollback"})
    cleared = ("web.post_launch.dns", "web.rollback", "db.rollback", "terminate", "report")
    state, found = report(
        {"web.post_launch.dns": "failed"}, plan=plan, cleared=cleared, mode="recovery", confirm="shop"
    )
    assert (state, found["run"]["state"], found["recovered"]) == ("failed", "failed", None)


def test_a_scheduled_drill_has_the_waves_and_the_scripts_the_parameters_of_its_mode(
    report: Any, drs_simulator: Simulation
) -> None:
    dns = {
        "name": "dns",
        "automation": "Switch-Dns",
        "parameters": {"Zone": "shop.example", "Name": "www"},
        "parameters_by_mode": {"drill": {"Zone": "test.example"}},
    }
    plan = loaded_plan(
        {"name": "db", "servers": [{"id": DB}]},
        {"name": "web", "depends_on": ["db"], "servers": [{"id": WEB}], "post_launch": [dns]},
        drill={"schedule": "@weekly", "waves": ["web"]},
        objectives={"rto": "8h"},
    )

    def sent() -> list[Any]:
        calls = [entry for entry in drs_simulator.log if entry.get("operation") == "StartAutomationExecution"]
        return [call["params"]["Parameters"] for call in calls]

    state, found = report(plan=plan, run_type="scheduled", ticket="CHG-1")
    assert state == "success"
    assert {wave["name"]: wave["state"] for wave in found["waves"]} == {"db": "skipped", "web": "success"}
    assert found["run"]["parameters"]["waves"] == ["web"]
    assert found["run"]["ticket"] == "CHG-1"
    assert found["rto"]["met"] is None, "a partial drill does not show that the RTO is met"
    assert sent() == [{"Zone": ["test.example"], "Name": ["www"]}]
    drs_simulator.load(scenario(), speed=60)
    state, found = report(plan=plan, mode="recovery", confirm="shop")
    assert state == "success"
    assert {wave["state"] for wave in found["waves"]} == {"success"}, "a person chooses the waves of other runs"
    assert sent()[-1] == {"Zone": ["shop.example"], "Name": ["www"]}


def test_a_run_that_is_refused_for_half_an_override_has_a_report(report: Any, drs_simulator: Simulation) -> None:
    state, found = report(mode="recovery", confirm="shop", override_findings=["replication-lag"])
    assert state == "failed"
    assert "override_findings needs override_reason" in found["run"]["refused"]
    assert not [entry for entry in drs_simulator.log if entry.get("operation") == "StartRecovery"]
