"""The tasks of a plan's DAG, and the operators that they hand their work to when they run."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.amazon.aws.links.base_aws import BaseAwsLink
from airflow.providers.common.compat.sdk import AirflowException, BaseOperator, TaskDeferred
from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR, ExecutorSafeguard, TriggerFailureReason
from airflow.serialization.serialized_objects import DagSerialization
from structlog.testing import capture_logs

from drs_provider.dag.factory import build_dag
from drs_provider.links.drs import DrsJobLink, DrsRecoveryInstancesLink
from drs_provider.links.ssm import SsmAutomationLink, SsmCommandLink
from drs_provider.operators.automation import SsmAutomationOperator
from drs_provider.operators.ssm import SsmScriptOperator
from drs_provider.sensors.drs import DrsJobSensor
from drs_provider.sensors.health import HttpHealthSensor, SsmAgentOnlineSensor
from drs_provider.tasks import delegation
from drs_provider.tasks.delegation import RecoveryTask, WorkLink
from drs_provider.triggers.drs import DrsJobTrigger
from tests.dag.plans import loaded_plan, wave

FULL = wave(
    "web",
    approval={"approvers": ["alice"]},
    pre_launch=[{"name": "fence", "automation": "Shop-Fence"}],
    settle="2m",
    post_launch=[{"name": "start", "run_command": "AWS-RunShellScript"}],
    health_checks=[
        {"type": "http", "path": "/", "via": "ssm"},
        {"type": "ssm_online"},
        {"type": "tcp", "port": 5432, "via": "worker"},
        {"type": "instance_status"},
    ],
    on_failure="rollback",
)

IMPORTED_AHEAD = """
import sys
from types import SimpleNamespace
from drs_provider.preload import PreloadListener
import drs_provider.preload
drs_provider.preload.read_plans_ahead = lambda: None
PreloadListener().on_starting(SimpleNamespace())
before = set(sys.modules)
from tests.tasks.test_delegation import FULL
ours = {name for name in set(sys.modules) - before if name.startswith("tests.")}
from drs_provider.dag.factory import build_dag
from tests.dag.plans import loaded_plan
before = set(sys.modules)
for task in build_dag(loaded_plan(FULL)).tasks:
    task.work
print(sorted(set(sys.modules) - before))
"""


class Work(BaseOperator):
    """Does what a test says."""

    def __init__(self, *, does: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.does = does
        self.killed = 0

    def execute(self, context: Any) -> Any:
        return self.does(self, context)

    def later(self, context: Any, event: Any = None, **kwargs: Any) -> Any:
        return "later", event, kwargs

    def on_kill(self) -> None:
        self.killed += 1


class Task(RecoveryTask):
    """A task whose work a test says."""

    does: Any = None

    def make_work(self) -> BaseOperator:
        return Work(task_id=self.task_id, does=self.does)


def task_that(does: Any = None) -> Task:
    task = Task(task_id="web.task", loaded=loaded_plan(wave("web")))
    task.does = does
    return task


def test_the_work_is_done_by_the_public_operators() -> None:
    dag = build_dag(loaded_plan(FULL))
    kinds: dict[str, type] = {
        "web.pre_launch.fence": SsmAutomationOperator,
        "web.wait_for_launch": DrsJobSensor,
        "web.post_launch.start": SsmScriptOperator,
        "web.health.http": HttpHealthSensor,
        "web.health.ssm_online": SsmAgentOnlineSensor,
    }
    for task_id, kind in kinds.items():
        assert isinstance(dag.get_task(task_id).work, kind)


def test_the_work_bears_the_name_of_its_task_and_is_in_no_dag() -> None:
    dag = build_dag(loaded_plan(FULL))
    for task in dag.tasks:
        assert isinstance(task, RecoveryTask)
        assert (task.work.task_id, task.work.has_dag()) == (task.task_id, False)
        assert task.work is task.work
    assert len(dag.tasks) == len(dag.task_ids) == 15


def test_the_work_gets_the_context_and_its_result_is_that_of_the_task() -> None:
    context: Any = {"ti": object()}
    assert task_that(lambda work, given: (work.task_id, given)).execute(context) == ("web.task", context)


def test_a_deferral_of_the_work_is_that_of_the_task_and_is_taken_up_by_the_work() -> None:
    trigger = DrsJobTrigger(job_ids=["drsjob-1"], timeout=60, deadline=4e9)
    with pytest.raises(TaskDeferred) as deferred:
        task_that(lambda work, _: work.defer(trigger=trigger, method_name="later", kwargs={"a": 1})).execute({})  # type: ignore[typeddict-item]
    assert (deferred.value.trigger, deferred.value.method_name) == (trigger, "later")
    # Another worker resumes it, and makes the work anew.
    resumed = task_that().resume_execution(
        "later", {"event": {"status": "success"}, **(deferred.value.kwargs or {})}, {}
    )  # type: ignore[arg-type]
    assert resumed == ("later", {"status": "success"}, {"a": 1})


def test_a_wait_whose_time_was_up_while_the_triggerer_was_away_is_looked_at_by_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task: Any = build_dag(loaded_plan(FULL)).get_task("web.wait_for_launch")
    monkeypatch.setattr(type(task.work), "go_on", lambda self, context: "looked")
    timed_out = {"error": TriggerFailureReason.TRIGGER_TIMEOUT}
    assert task.resume_execution(TRIGGER_FAIL_REPR, timed_out, {}) == "looked"


def test_what_the_work_raises_the_task_raises() -> None:
    def fails(work: Any, context: Any) -> None:
        raise AirflowException("no such server")

    with pytest.raises(AirflowException, match="no such server"):
        task_that(fails).execute({"ti": SimpleNamespace(try_number=1, max_tries=0)})  # type: ignore[typeddict-item]


def test_a_kill_reaches_the_work_that_has_begun_and_makes_none() -> None:
    task = task_that()
    task.on_kill()
    assert "work" not in vars(task)
    work: Any = task.work
    task.on_kill()
    assert work.killed == 1


def test_a_kill_during_a_wait_leaves_the_jobs_alone_and_says_so() -> None:
    task: Any = build_dag(loaded_plan(FULL)).get_task("web.wait_for_launch")
    task.work.job_ids = ["drsjob-1"]
    with capture_logs() as said:
        task.on_kill()
    assert [entry["event"] for entry in said] == ["The wait was ended; jobs go on in DRS: drsjob-1"]


def test_airflow_does_not_warn_of_an_operator_within_an_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExecutorSafeguard, "test_mode", False)
    task = task_that(lambda work, _: "done")
    # Airflow's guard warns of one by default; told so, it raises.
    task.allow_nested_operators = task.work.allow_nested_operators = False
    token = ExecutorSafeguard.tracker.set(task)
    try:
        assert task.execute({}) == "done"  # type: ignore[typeddict-item]
    finally:
        ExecutorSafeguard.tracker.reset(token)
    with pytest.raises(RuntimeError, match="outside of the Task Runner"):
        task.work.execute({})  # type: ignore[typeddict-item]


def test_the_end_of_the_work_is_told() -> None:
    pushed: dict[str, Any] = {}
    ti = SimpleNamespace(xcom_push=lambda key, value: pushed.update({key: value}))
    task_that().post_execute({"ti": ti})
    assert list(pushed) == ["ended"]


@pytest.mark.parametrize(
    ("link", "real"),
    [
        (delegation.JOB_LINK, DrsJobLink),
        (delegation.INSTANCES_LINK, DrsRecoveryInstancesLink),
        (delegation.COMMAND_LINK, SsmCommandLink),
        (delegation.AUTOMATION_LINK, SsmAutomationLink),
    ],
)
def test_links_are_those_of_the_work(link: WorkLink, real: type[BaseAwsLink], monkeypatch: pytest.MonkeyPatch) -> None:
    assert (link.name, link.xcom_key) == (real.name, real().xcom_key)
    monkeypatch.setattr(real, "get_link", lambda self, operator, *, ti_key: f"https://console/{self.key}/{ti_key}")
    assert link.get_link(task_that(), ti_key="key") == f"https://console/{real.key}/key"


def test_airflows_ui_knows_the_links_of_every_task() -> None:
    dag = DagSerialization.from_dict(DagSerialization.to_dict(build_dag(loaded_plan(FULL))))
    assert {task.task_id: list(task.extra_links) for task in dag.tasks if task.extra_links} == {
        "web.pre_launch.fence": ["SSM automation"],
        "web.launch": ["Recovery job in DRS"],
        "web.wait_for_launch": ["Recovery job in DRS"],
        "web.post_launch.start": ["SSM command"],
        "web.health.http": ["SSM command"],
        "web.rollback": ["Recovery instances in DRS"],
        "terminate": ["Recovery instances in DRS"],
        "report": ["Recovery report"],
    }


def test_a_process_that_forks_workers_has_imported_all_that_their_tasks_need() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTED_AHEAD], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
