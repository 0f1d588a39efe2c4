"""A kind of step from outside of the package: it is named as an entry point, and no other file is touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

KIND = '''
from datetime import timedelta
from typing import Literal

from pydantic import Field

from drs_provider.evidence.events import Event, Text
from drs_provider.plan.kinds import Place, StepGroup, StepKind
from drs_provider.plan.scalars import PlanModel, Span
from drs_provider.plan.statements import Grant
from drs_provider.plan.steps import Step


class SmokeTest(PlanModel):
    """A page that must answer."""

    page: str = Field(description="The address of the page.")
    timeout: Span = Field(timedelta(minutes=3), description="How long it may take.")


class SmokeEvent(Event):
    kind: Literal["smoke_test"] = "smoke_test"
    wave: str
    reason: Text = None


class Smoke(StepKind):
    name = "smoke_test"
    task = "smoke_task.SmokeTask"
    event = SmokeEvent
    phase = "health"
    grants = (Grant("ReadCanaries", "smoke_test", ("synthetics:GetCanaryRuns",), "Asks the canary."),)
    checks = "smoke_checks.smoke_checks"
    keys = {"smoke_test": (SmokeTest | None, Field(None, description="A page that must answer once the wave is up."))}

    def groups(self, wave):
        if wave.smoke_test:
            step = Step("smoke_test", self.name, wave.smoke_test.timeout, detail=wave.smoke_test)
            yield StepGroup(Place.SERVICE + 1, (step,))

    def activity(self, title):
        return "smoke test"

    def counted(self, steps):
        return "smoke test"


KIND = Smoke()
'''
RUN_KIND = '''
from datetime import timedelta
from typing import Literal

from pydantic import Field

from drs_provider.evidence.events import Event, Text
from drs_provider.plan.kinds import Place, RunKind, StepGroup
from drs_provider.plan.scalars import PlanModel
from drs_provider.plan.statements import Grant
from drs_provider.plan.steps import Step


class Freeze(PlanModel):
    """Whom to tell."""

    pipeline: str = Field(description="The pipeline that is held.")


class FreezeEvent(Event):
    kind: Literal["freeze"] = "freeze"
    reason: Text = None


class FreezeKind(RunKind):
    """Holds deployments before the waves, looks at them after, and lets them go at the end of every run."""

    name = "freeze"
    prefixes = ("hold", "look", "release")
    task = "freeze_task.FreezeTask"
    event = FreezeEvent
    grants = (Grant("HoldPipeline", "freeze", ("codepipeline:DisableStageTransition",), "Holds the pipeline."),)
    keys = {"freeze": (Freeze | None, Field(None, description="A pipeline that is held during a run."))}

    def groups(self, plan):
        if plan.freeze:
            places = {"hold": Place.PREFLIGHT + 1, "look": Place.SERVICE + 1, "release": Place.REPORT - 1}
            for name, place in places.items():
                yield StepGroup(place, (Step(name, self.name, timedelta(seconds=90), detail=plan.freeze),))

    def activity(self, title):
        return "holding deployments"


KIND = FreezeKind()
'''
RUN_TASK = '''
from drs_provider.tasks.delegation import RecoveryTask


class FreezeTask(RecoveryTask):
    """Holds a pipeline."""

    work_path = "freeze_work.FreezeWork"
    settings = {"retries": 7}
'''
TASK = '''
from drs_provider.tasks.delegation import RecoveryTask


class SmokeTask(RecoveryTask):
    """Asks a page."""

    work_path = "smoke_work.SmokeWork"
'''
WORK = """
from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

from drs_provider.tasks.recovery_work import RecoveryWork
from smoke_kind import SmokeEvent


class SmokeWork(RecoveryWork, BaseOperator):
    def __init__(self, *, loaded, wave, **kwargs):
        super().__init__(**kwargs)
        self.loaded, self.wave = loaded, wave

    def execute(self, context):
        reason = f"{self.wave.smoke_test.page} answered 503"
        event = SmokeEvent(**self.times(context), status="failed", wave=self.wave.name, reason=reason)
        self.leave_evidence(context, event)
        raise AirflowFailException(reason)
"""
CHECKS = """
from drs_provider.readiness.side_by_side import Check
from drs_provider.readiness.findings import Finding


def smoke_checks(look):
    pages = [wave.smoke_test.page for wave in look.plan.waves if wave.name in look.waves]
    found = Finding.of("check-failed", f"No page at {pages[0]} in a {look.mode}.", "Put it back.")
    yield Check("the page", lambda: [found])
"""
PLAN = """
version: 1
name: shop
target: {region: us-west-2}
freeze: {pipeline: shop-deploy}
recovery: {on_failure: rollback}
waves:
  - name: web
    servers: [{id: s-00000000000000001}]
    settle: 30s
    health_checks: [{type: tcp, port: 443}]
    smoke_test: {page: https://shop.example/, timeout: 4m}
"""
RUN_SCRIPT = """
import json
from types import SimpleNamespace

from drs_provider.plan import load_plan, read_plans
loaded = load_plan("shop.yaml")

from drs_provider.dag.factory import build_dag
from drs_provider.evidence.collect import RunFacts, collect_record
from drs_provider.evidence.html import render_html
from drs_provider.evidence.markdown import render_markdown
from drs_provider.estimate.durations import Durations
from drs_provider.estimate.forecast import forecast
from drs_provider.estimate.overhead import USUAL
from drs_provider.estimate.site import scenario_site
from drs_provider.plan.keys_page import keys_page
from drs_provider.plan.schema import plan_schema
from drs_provider.readiness.actions import required_actions
from drs_provider.steps.report.work import ReportWork
from pathlib import Path

dag = build_dag(loaded)
of = {one.task_id: one for one in dag.tasks}
states = {one.task_id: {"state": "success"} for one in dag.tasks} | {"look": {"state": "failed"}}
times = dict.fromkeys(("started", "ended"), "2026-11-21T11:00:00+00:00")
event = {"kind": "freeze", "status": "failed", "reason": "a deployment got through", **times}
facts = RunFacts("shop", "manual__1", state="failed", tasks=states, xcoms={"look": {"evidence": event}})
record = collect_record(loaded, facts, None)
report = ReportWork(task_id="report", loaded=loaded)
ti = SimpleNamespace(xcom_pull=lambda **_: None)
dag_run = SimpleNamespace(dag_id="shop", run_id="r", run_type="manual")
context = {"ti": ti, "params": {"mode": "drill"}, "dag_run": dag_run}
done = {name: "success" for name in of if name != "look"} | {"look": "skipped"}
site = scenario_site(Path("scenario.yaml"), loaded.plan)
print(json.dumps({
    "upstream": {name: sorted(task.upstream_task_ids) for name, task in of.items()},
    "rules": {name: of[name].trigger_rule.value for name in ("hold", "look", "release")},
    "teardown": [name for name, task in of.items() if task.is_teardown],
    "retries": of["hold"].retries,
    "watched": sorted(of["web.rollback"].watched),
    "steps": [[step.name, step.label, step.state, step.reason] for step in record.steps],
    "state": record.run.state,
    "pages": ["look (holding deployments) failed: a deployment got through" in page
        for page in (render_markdown(record),)] + ["a deployment got through" in render_html(record)],
    "not done": report.failure(context, done),
    "begin": forecast(loaded.plan, Durations(site), overhead=USUAL.scaled(0)).waves[0].times.started,
    "schema": "freeze" in plan_schema()["properties"],
    "keys": [line for line in keys_page().splitlines() if "pipeline that is held" in line],
    "action": required_actions(loaded.plan, "drill").get("codepipeline:DisableStageTransition"),
    "taken": [problem.message for problem in read_plans("taken").problems],
}))
"""
SCENARIO = "region: us-west-2\nservers: [{id: s-00000000000000001, hostname: web01}]\n"
SCRIPT = """
import json, sys
from pathlib import Path

from drs_provider.plan import load_plan
loaded = load_plan("shop.yaml")
light = sorted(name for name in sys.modules if name.startswith(("airflow", "boto", "smoke_task")))

from types import SimpleNamespace
from drs_provider.dag.factory import build_dag
from drs_provider.estimate.durations import Durations
from drs_provider.estimate.forecast import forecast
from drs_provider.estimate.overhead import USUAL
from drs_provider.estimate.site import scenario_site
from drs_provider.evidence.collect import RunFacts, collect_record
from drs_provider.evidence.html import render_html
from drs_provider.plan.drawing import draw
from drs_provider.plan.keys_page import keys_page
from drs_provider.plan.schema import plan_schema
from drs_provider.plan.kinds import load
from drs_provider.readiness.actions import checks_of_run, required_actions
from drs_provider.readiness.side_by_side import Look

dag = build_dag(loaded)
task = dag.get_task("web.smoke_test")
heavy = "smoke_work" in sys.modules
pushed = {}
push = lambda key, value: pushed.update({key: value})
ti = SimpleNamespace(task_id=task.task_id, xcom_pull=lambda **_: None, xcom_push=push)
try:
    task.work.execute({"ti": ti})
except Exception as error:
    said = str(error)
xcoms = {task.task_id: json.loads(json.dumps(pushed))}
states = {one.task_id: {"state": "success"} for one in dag.tasks} | {task.task_id: {"state": "failed"}}
record = collect_record(loaded, RunFacts("shop", "manual__1", state="failed", tasks=states, xcoms=xcoms), None)
(wave,) = record.waves
durations = Durations(scenario_site(Path("scenario.yaml"), loaded.plan))
times = forecast(loaded.plan, durations, overhead=USUAL.scaled(0)).waves[0].times
print(json.dumps({
    "light": light,
    "heavy": heavy,
    "after": sorted(task.upstream_task_ids),
    "rule": task.trigger_rule.value,
    "said": said,
    "reason": wave.reason,
    "phases": [[phase.kind, phase.name] for phase in wave.phases],
    "page": "smoke test: https://shop.example/ answered 503" in render_html(record),
    "health": times.spent["health"],
    "drawing": draw(loaded.plan, "text").splitlines()[2],
    "schema": plan_schema()["$defs"]["Wave"]["properties"]["smoke_test"],
    "keys": [line for line in keys_page().splitlines() if "smoke_test" in line or "address of the page" in line],
    "action": required_actions(loaded.plan, "drill").get("synthetics:GetCanaryRuns"),
    "found": [
        one.message
        for path in checks_of_run(loaded.plan, "drill")
        for check in load(path)(Look(loaded.plan, None, "drill", ["web"], loaded.plan.default_target))
        for one in check.make()
    ],
    "hash": load_plan("plain.yaml").hash,
}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the modules of a distribution that has a kind of step, and with a plan that uses it."""
    folder = tmp_path_factory.mktemp("smoke")
    info = folder / "smoke-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: smoke\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[drs_provider.steps]\nsmoke_test = smoke_kind:KIND\nfreeze = freeze_kind:KIND\n"
    )
    for name, text in (("kind", KIND), ("task", TASK), ("work", WORK), ("checks", CHECKS)):
        (folder / f"smoke_{name}.py").write_text(text)
    for name, text in (("kind", RUN_KIND), ("task", RUN_TASK)):
        (folder / f"freeze_{name}.py").write_text(text)
    (folder / "taken").mkdir()
    (folder / "taken" / "shop.yaml").write_text(PLAN.replace("name: web", "name: hold"))
    (folder / "shop.yaml").write_text(PLAN)
    (folder / "plain.yaml").write_text(
        "\n".join(line for line in PLAN.splitlines() if "smoke" not in line and "freeze" not in line)
    )
    (folder / "scenario.yaml").write_text(SCENARIO)
    return folder


def run(folder: Path, script: str) -> Any:
    environment = {**os.environ, "PYTHONPATH": str(folder), "AIRFLOW_HOME": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_kind_from_outside_is_seen_everywhere(installed: Path) -> None:
    from drs_provider.plan import load_plan

    found = run(installed, SCRIPT)
    assert found["light"] == [], "the plan is read without Airflow, AWS and what stands in the DAG"
    assert found["heavy"] is False, "the DAG is made without the work"
    assert (found["after"], found["rule"]) == (["web.health.tcp"], "none_failed")
    assert found["said"] == "https://shop.example/ answered 503"
    assert found["reason"] == "smoke test: https://shop.example/ answered 503"
    assert ["health", None] in found["phases"]
    assert found["page"]
    assert found["health"] >= 240
    assert found["drawing"].split(", ")[:3] == ["  * web  1 selector", "1 check", "smoke test"]
    assert found["schema"]["description"] == "A page that must answer once the wave is up."
    assert len(found["keys"]) == 2
    assert found["action"] == "Asks the canary."
    assert found["found"] == ["No page at https://shop.example/ in a drill."]
    assert found["hash"] == load_plan(installed / "plain.yaml").hash, "a plan that does not use it means the same"


def test_a_kind_of_step_of_the_whole_run_is_seen_everywhere(installed: Path) -> None:
    found = run(installed, RUN_SCRIPT)
    upstream = found["upstream"]
    assert (upstream["hold"], upstream["web.launch"]) == (["preflight"], ["hold"])
    assert upstream["look"] == ["web.smoke_test"]
    assert "look" in upstream["web.rollback"] and "look" in found["watched"], "its failure unwinds the recovery"
    assert (upstream["release"], upstream["report"]) == (["terminate"], ["release"])
    assert found["rules"] == {"hold": "all_success", "look": "none_failed", "release": "all_done_setup_success"}
    assert found["teardown"] == ["terminate", "release", "report"]
    assert found["retries"] == 7
    assert [state for _, _, state, _ in found["steps"]] == ["success", "failed", "success"]
    assert found["steps"][1] == ["look", "holding deployments", "failed", "a deployment got through"]
    assert (found["state"], found["pages"]) == ("failed", [True, True])
    assert found["not done"] == "it was ended before these tasks were done: look"
    assert found["begin"] == 90
    assert found["schema"] and len(found["keys"]) == 2
    assert found["action"] == "Holds the pipeline."
    assert any("may not be called hold" in problem for problem in found["taken"])


def test_a_kind_that_cannot_be_loaded_is_a_problem_of_the_plan_that_uses_it(installed: Path, tmp_path: Path) -> None:
    for file in installed.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_text(file.read_text())
    info = tmp_path / "smoke-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: smoke\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[drs_provider.steps]\nsmoke_test = smoke_kind:ABSENT\n")
    script = """
import json
from drs_provider.plan import read_plans
found = read_plans(".")
print(json.dumps([sorted(found.plans), [problem.message for problem in found.problems]]))
"""
    plans, problems = run(tmp_path, script)
    assert plans == ["shop"], "the plan that needs no kind from outside is read"
    assert any("cannot be loaded: AttributeError" in problem for problem in problems)
