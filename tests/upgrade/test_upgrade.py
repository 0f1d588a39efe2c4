"""A run that began under an earlier version goes on under this one: its plan, its waits, its launches, its evidence.

Each folder here with a version's name holds what that version left behind; `record.py` wrote it.
"""

from __future__ import annotations

import asyncio
import copy
import importlib
import inspect
import json
import pkgutil
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timezone
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from airflow.exceptions import AirflowException
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent

import drs_provider.triggers
from drs_provider.aws.drs.launch_key import LaunchKey
from drs_provider.dag.factory import build_dag
from drs_provider.evidence.collect import collect_record
from drs_provider.evidence.facts import RunFacts
from drs_provider.evidence.storage import read_report, reports_of
from drs_provider.plan import RecoveryPlan, load_plan, plan_hash
from drs_provider.plan.kinds import load
from drs_provider.runs.custody import CUSTODY_KEY
from tests.dag.plans import passed
from tests.upgrade.identities import written_identities

HERE = Path(__file__).parent
VERSIONS = sorted(path.parent.name for path in HERE.glob("*/drill.json"))
DRILL = "whole-drill"
_NOW = datetime.now(timezone.utc).isoformat()


@cache
def recorded(version: str, name: str) -> Any:
    return json.loads((HERE / version / f"{name}.json").read_text())


@pytest.fixture(params=VERSIONS)
def old(request: pytest.FixtureRequest) -> str:
    """The version that a run began under."""
    return str(request.param)


def test_what_this_version_leaves_behind_is_recorded() -> None:
    now = version("airflow-provider-aws-drs")
    assert now in VERSIONS, "run python -m tests.upgrade.record"
    written = {each["path"] for each in [*recorded(now, "triggers"), *recorded(now, "drill")["deferrals"]]}
    assert written >= set(trigger_classes()), "record the new trigger: see other_triggers in record.py"


def trigger_classes() -> Iterator[str]:
    """The class paths of the package's triggers that can be made."""
    for module in pkgutil.iter_modules(drs_provider.triggers.__path__, "drs_provider.triggers."):
        for name, found in vars(importlib.import_module(module.name)).items():
            if isinstance(found, type) and issubclass(found, BaseTrigger) and found.__module__ == module.name:
                abstract = bool(getattr(found, "__abstractmethods__", None))
                if not abstract and not name.startswith("_"):
                    yield f"{module.name}.{name}"


# Plans


def test_plan_files_are_read_and_mean_the_same(old: str) -> None:
    for name, plan in recorded(old, "plans").items():
        loaded = load_plan(HERE / old / "plans" / f"{name}.yaml")
        assert loaded.hash == plan["hash"], name
        assert RecoveryPlan.model_validate(plan["plan"]) == loaded.plan
        assert loaded.is_recorded({"hash": plan["hash"], "plan": plan["plan"]})


def test_a_plan_is_the_same_by_its_meaning_whatever_its_hash_was(old: str) -> None:
    for name, plan in recorded(old, "plans").items():
        loaded = load_plan(HERE / old / "plans" / f"{name}.yaml")
        assert loaded.is_recorded({"hash": "of another kind", "plan": plan["plan"]})
        changed = json.loads(json.dumps(plan["plan"]))
        changed["waves"][0]["retries"] += 1
        assert not loaded.is_recorded({"hash": "of another kind", "plan": changed})
        assert not loaded.is_recorded({"hash": "of another kind", "plan": {**plan["plan"], "unheard_of": 1}})
        assert not loaded.is_recorded({"hash": "of another kind"})


def test_a_key_that_a_later_version_adds_changes_no_hash(old: str) -> None:
    class LaterPlan(RecoveryPlan):
        novelty: str = "as before"

    for plan in recorded(old, "plans").values():
        assert plan_hash(LaterPlan.model_validate(plan["plan"])) == plan["hash"]
        assert plan_hash(LaterPlan.model_validate({**plan["plan"], "novelty": "used"})) != plan["hash"]


def test_tasks_keep_their_ids(old: str) -> None:
    for name, plan in recorded(old, "plans").items():
        dag = build_dag(load_plan(HERE / old / "plans" / f"{name}.yaml"))
        assert plan["tasks"].keys() <= set(dag.task_ids), name


# Waits


def test_triggers_are_made_again(old: str) -> None:
    for each in [*recorded(old, "triggers"), *recorded(old, "drill")["deferrals"]]:
        path, arguments = remade(each).serialize()
        assert path == each["path"]
        assert each["arguments"].items() <= arguments.items()


def remade(each: dict[str, Any], **changed: Any) -> Any:
    module, _, name = each["path"].rpartition(".")
    return getattr(importlib.import_module(module), name)(**{**each["arguments"], **changed})


# Deadlines

MOVED = {
    "drs_provider.dag.alarm.rto_alarm": "drs_provider.runs.alarm.rto_alarm",
    "drs_provider.dag.run_watch.watch_run": "drs_provider.runs.run_watch.watch_run",
}
"""Where callbacks of deadlines were, and where they are. An old path stays for one minor release."""


def test_deadlines_of_before_call_what_those_of_now_call(old: str) -> None:
    now = {
        alert.callback.path
        for name in recorded(old, "plans")
        for alert in build_dag(load_plan(HERE / old / "plans" / f"{name}.yaml")).deadline or []
    }
    assert now == {each["path"] for each in recorded(old, "callbacks")} == set(MOVED.values())
    for path in MOVED:
        assert load(path) is load(MOVED[path])
    for each in recorded(old, "callbacks"):
        inspect.signature(load(each["path"])).bind(**each["arguments"], context={})


# A run that goes on


class TaskInstance:
    """A task instance of the recorded run, in its second try."""

    dag_id = DRILL
    map_index = -1
    try_number = 2

    def __init__(self, task: Any, run_id: str, xcoms: dict[str, dict[str, Any]]) -> None:
        self.task = task
        self.task_id = task.task_id
        self.run_id = run_id
        self.max_tries = task.retries
        self.xcoms = xcoms
        self.pushed: dict[str, Any] = {}

    def xcom_pull(self, task_ids: str, key: str = "return_value") -> Any:
        return self.xcoms.get(task_ids, {}).get(key)

    def get_task_states(self, dag_id: str, run_ids: list[str], task_ids: list[str]) -> dict[str, dict[str, str]]:
        return {run_ids[0]: dict.fromkeys(task_ids, "success")}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = json.loads(json.dumps(value))


class OldRun:
    """What a run of an earlier version did in AWS, done again in the simulator, and its tasks as they are now."""

    def __init__(self, old: str, simulator: Any) -> None:
        self.drill = copy.deepcopy(recorded(old, "drill"))
        self.simulator = simulator
        plan = load_plan(HERE / old / "plans" / f"{DRILL}.yaml")
        simulator.load(self.drill["scenario"], speed=600)
        self.dag = build_dag(plan)
        self.run_id = self.drill["run"]["dag_run_id"]
        # Recorded before gates left records.
        gates = {task: {CUSTODY_KEY: passed(plan)[CUSTODY_KEY]} for task in ("confirm", "app.approve")}
        gates["app.approve"][CUSTODY_KEY] |= {"decision": "approved", "answers": [{"name": "alice", "at": _NOW}]}
        for task, record in gates.items():
            self.drill["xcoms"][task] = {**record, **self.drill["xcoms"].get(task, {})}

    def client(self, service: str) -> Any:
        return boto3.client(service, region_name="us-west-2")

    def launched(self, wave: str, attempt: int = 1) -> str:
        """Launch a wave as the old version did, and return the job."""
        (call,) = [
            call
            for call in self.drill["sent"]["StartRecovery"]
            if call["tags"]["drs-provider:launch"].partition(f"/{wave}/g0/a{attempt}/")[2]
        ]
        return str(self.client("drs").start_recovery(**call)["job"]["jobID"])

    def context(self, task_id: str) -> dict[str, Any]:
        task = self.dag.get_task(task_id)
        now = datetime.now(timezone.utc)
        dag_run = SimpleNamespace(
            dag_id=DRILL, run_id=self.run_id, run_after=now, start_date=now, queued_at=now, conf={}, run_type="manual"
        )
        dag_run.triggering_user_name = "alice"
        return {
            "ti": TaskInstance(task, self.run_id, self.drill["xcoms"]),
            "task": task,
            "dag_run": dag_run,
            "run_id": self.run_id,
            "params": {"mode": "drill"},
        }

    def deferral(self, task_id: str) -> dict[str, Any]:
        (found,) = [each for each in self.drill["deferrals"] if each["task"] == task_id]
        return dict(found)

    def calls(self, operation: str) -> int:
        return Counter(entry.get("operation") for entry in self.simulator.log)[operation]


@pytest.fixture
def run(old: str, drs_simulator_server: Any, monkeypatch: pytest.MonkeyPatch) -> OldRun:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    return OldRun(old, drs_simulator_server)


def go_on(context: dict[str, Any], deferral: dict[str, Any], event: Any) -> Any:
    """Resume a task as a worker does."""
    arguments = {"event": event, **deferral["method_arguments"]}
    return context["task"].resume_execution(deferral["method"], arguments, context)


def event_of(trigger: BaseTrigger) -> Any:
    async def first() -> Any:
        return await anext(aiter(trigger.run()))

    return asyncio.run(first())


def test_a_launch_is_adopted(run: OldRun) -> None:
    job = run.launched("database")
    context = run.context("database.launch")
    done = context["task"].execute(context)
    assert run.calls("StartRecovery") == 1
    assert [(each["job_id"], each["adopted"]) for each in done["jobs"]] == [(job, True)]
    assert done.keys() >= run.drill["xcoms"]["database.launch"]["return_value"].keys()


def test_a_wait_for_jobs_goes_on(run: OldRun) -> None:
    job = run.launched("database")
    event = event_of(remade(run.deferral("database.wait_for_launch"), job_ids=[job]))
    assert isinstance(event, TaskSuccessEvent)
    old = json.loads(run.drill["xcoms"]["database.wait_for_launch"]["return_value"])
    now = event.xcoms["return_value"]  # type: ignore[index]
    assert now.keys() >= old.keys()
    assert {server: result["launch_status"] for server, result in now["servers"].items()} == {
        server: result["launch_status"] for server, result in old["servers"].items()
    }


def test_a_launch_that_fails_after_the_upgrade_is_judged(run: OldRun) -> None:
    deferral = run.deferral("web.wait_for_launch")
    for attempt in (1, 2):
        event = event_of(remade(deferral, job_ids=[run.launched("web", attempt)]))
        assert event.payload["status"] == "error"
    context = run.context("web.wait_for_launch")
    with pytest.raises(AirflowException, match="start a new drill: this one terminates what it launched"):
        go_on(context, deferral, event.payload)
    assert run.calls("StartRecovery") == 2, "both launches of the plan were used up before"
    assert {job["attempt"] for job in context["ti"].pushed["evidence"]["jobs"]} == {1, 2}


def test_scripts_are_adopted(run: OldRun) -> None:
    run.launched("database")
    wait = run.deferral("database.wait_for_launch")
    jobs = run.client("drs").describe_jobs(filters={})["items"]
    launched = event_of(remade(wait, job_ids=[jobs[0]["jobID"]])).xcoms["return_value"]
    run.drill = {**run.drill, "xcoms": {**run.drill["xcoms"], "database.wait_for_launch": {"return_value": launched}}}
    instances = [server["ec2_instance_id"] for server in launched["servers"].values()]
    ssm = run.client("ssm")
    (sent,) = [call for call in run.drill["sent"]["SendCommand"] if "start-postgres" in json.dumps(call)]
    command = ssm.send_command(**{**sent, "InstanceIds": instances})["Command"]["CommandId"]
    (started,) = [call for call in run.drill["sent"]["StartAutomationExecution"] if "Promote" in call["DocumentName"]]
    execution = ssm.start_automation_execution(**started)["AutomationExecutionId"]

    for task_id, known in (
        ("database.post_launch.start-postgres", command),
        ("database.pre_launch.promote-replica", execution),
    ):
        context = run.context(task_id)
        context["task"].work.deferrable = False
        assert known in json.dumps(context["task"].execute(context))
    assert [each["CommandId"] for each in ssm.list_commands()["Commands"]] == [command]
    executions = ssm.describe_automation_executions()["AutomationExecutionMetadataList"]
    assert [each["AutomationExecutionId"] for each in executions] == [execution]


def test_waits_for_scripts_go_on(run: OldRun) -> None:
    ssm = run.client("ssm")
    deferral = run.deferral("database.pre_launch.promote-replica")
    execution = ssm.start_automation_execution(DocumentName="Shop-PromoteReplica")["AutomationExecutionId"]
    event = event_of(remade(deferral, automation_execution_id=execution, deadline=4e9))
    assert isinstance(event, TaskSuccessEvent)
    assert event.xcoms["return_value"]["status"] == "Success"  # type: ignore[index]


def test_failures_reach_the_methods_that_waited_for_them(run: OldRun) -> None:
    for deferral in run.drill["deferrals"]:
        if ".ssm." in deferral["path"] or ".automation." in deferral["path"]:
            context = run.context(deferral["task"])
            event = {"status": "error", "message": "what the trigger saw", "timed_out": False}
            with pytest.raises(AirflowException, match="what the trigger saw"):
                go_on(context, deferral, event)


def test_the_end_of_a_drill_goes_on(run: OldRun) -> None:
    run.launched("database")
    deferral = run.deferral("terminate")
    event = event_of(remade(deferral, deadline=4e9))
    context = run.context("terminate")
    with pytest.raises(AirflowException, match="could not be ended"):
        go_on(context, deferral, event.payload)
    assert context["ti"].pushed["evidence"]["kind"] == "terminate"


# What is written in AWS


def test_identities_are_those_of_before(old: str) -> None:
    for each in recorded(old, "identities"):
        assert written_identities(**each["identity"]) == each
        identity = each["identity"]
        key = LaunchKey(identity["dag_id"], identity["run_id"], identity["wave"])
        found = key.of_job({"tags": each["tags"]})
        assert found is not None
        assert (found.generation, found.attempt) == (identity["generation"], identity["attempt"])


# Evidence


def test_the_evidence_of_a_run_that_goes_on_is_read(old: str) -> None:
    drill = recorded(old, "drill")
    xcoms = {task: {key: as_pulled(value) for key, value in found.items()} for task, found in drill["xcoms"].items()}
    facts = RunFacts(
        dag_id=DRILL,
        run_id=drill["run"]["dag_run_id"],
        state="failed",
        started=drill["run"]["start_date"],
        parameters={"mode": "drill"},
        tasks=drill["tasks"],
        xcoms=xcoms,
    )
    now = json.loads(collect_record(load_plan(HERE / old / "plans" / f"{DRILL}.yaml"), facts, None).to_json())
    then = drill["report"]
    assert now["plan"]["changed_to"] is None
    for part in ("state", "mode", "started", "ended"):
        assert now["run"][part] == then["run"][part], part
    assert now["approvals"] == then["approvals"]
    # A later version may add keys.
    assert {key: now["termination"][key] for key in then["termination"]} == then["termination"]
    for wave_now, wave_then in zip(now["waves"], then["waves"], strict=True):
        for check in wave_now["health_checks"]:
            # That version did not tell which instances had passed.
            check["instances"] = []
        for part in ("name", "state", "scripts", "health_checks"):
            assert wave_now[part] == wave_then[part], (wave_then["name"], part)
        undone = wave_then["rollback"]
        assert (wave_now["rollback"] is None) == (undone is None)
        assert {key: wave_now["rollback"][key] for key in undone or ()} == (undone or {}), wave_then["name"]
        for part in ("id", "ec2_instance_id", "critical"):
            assert [s.get(part) for s in wave_now["servers"]] == [s.get(part) for s in wave_then["servers"]], part


def as_pulled(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and value[:1] in ("{", "[", '"') else value


def test_reports_are_read(old: str, tmp_path: Path) -> None:
    run = tmp_path / DRILL / "a-run"
    run.mkdir(parents=True)
    (run / "report.json").write_text(json.dumps(recorded(old, "drill")["report"]))
    record = read_report(str(run))
    assert (record.run.state, record.plan.name) == ("failed", DRILL)
    assert reports_of(DRILL, str(tmp_path)) == ([record], [])
