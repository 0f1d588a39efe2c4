"""A plan file is data: nothing in it is a template, code or the name of a file to read; no secret of it is shown."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException
from airflow.sdk import DAG, BaseOperator, Connection
from airflow.serialization.serialized_objects import DagSerialization
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

import drs_provider
from drs_provider.dag.factory import build_dag
from drs_provider.evidence.pages import pages
from drs_provider.plan import LoadedPlan, Script
from drs_provider.provider_info import get_provider_info
from drs_provider.steps.confirm.task import ConfirmRun
from drs_provider.steps.script.work import script_work
from drs_provider.tasks import secret_values as script_secrets
from tests.dag.plans import loaded_plan, wave

PACKAGE = Path(drs_provider.__file__).parent
TEMPLATE = "{{ 7 * 7 }}{% for x in ().__class__.__subclasses__() %}x{% endfor %}{{ conn.aws_default.password }}"
SECRET = "hunter2-correct-horse"


def parameters(value: str) -> dict[str, Any]:
    return {"one": value, "many": [value, f"-{value}-"]}


def every_text(value: str, parameter: str | None = None) -> LoadedPlan:
    """A plan whose every free text is ``value``, and every parameter of a script ``parameter``."""
    command = {"run_command": "AWS-RunShellScript", "parameters": parameters(parameter or value)}
    automation = {"automation": "Shop-Run", "parameters": parameters(parameter or value)}
    full = wave(
        "web",
        description=value,
        servers=[{"tags": {value: value}}, {"hostname": "web.corp.example"}],
        approval={"message": value, "approvers": [value]},
        settle="2s",
        pre_launch=[
            {"name": "a", **automation},
            {"name": "b", **command, "targets": {"tags": {value: value}}},
        ],
        post_launch=[{"name": "c", **command}, {"name": "d", **automation}],
        health_checks=[{"type": "http", "path": "/healthz", "via": "ssm"}, {"type": "tcp", "port": 1}],
        on_failure="rollback",
        rollback=[{"name": "e", **automation}, {"name": "f", **command, "targets": {"tags": {value: value}}}],
    )
    return loaded_plan(
        full,
        description=value,
        owner=value,
        tags=[value],
        objectives={"rto": "45m", "rpo": "5m"},
        notify=[{"notifier": "shop.notifiers.Pager", "args": {"text": value}}],
        recovery={"approval": {"message": value, "approvers": [value]}},
    )


def scripts(dag: DAG) -> list[BaseOperator]:
    return [task for task in dag.tasks if hasattr(task, "script")]


def test_no_task_of_a_plan_has_template_fields() -> None:
    dag = build_dag(every_text(TEMPLATE))
    assert {task.task_id: tuple(task.template_fields) for task in dag.tasks if task.template_fields} == {}
    assert {task.task_id for task in dag.tasks if task.template_ext} == set()


def test_scripts_of_a_rollback_have_no_template_fields() -> None:
    loaded = every_text(TEMPLATE)
    (own,) = loaded.plan.waves
    for script in own.rollback:
        work = script_work(script, task_id=script.name, section="rollback", loaded=loaded, wave=own)
        assert tuple(work.template_fields) == ()


def test_what_looks_like_a_template_arrives_as_it_stands() -> None:
    dag = build_dag(every_text(TEMPLATE))
    for task in dag.tasks:
        task.render_template_fields({"conn": {"aws_default": {"password": SECRET}}, "params": {}}, None)  # type: ignore[arg-type]
    assert len(scripts(dag)) == 4
    for task in scripts(dag):
        assert task.work.parameters == {"one": (TEMPLATE,), "many": (TEMPLATE, f"-{TEMPLATE}-")}  # type: ignore[attr-defined]
    assert dag.get_task("web.approve").work.body == TEMPLATE  # type: ignore[attr-defined]
    assert dag.get_task("confirm").work.body == TEMPLATE  # type: ignore[attr-defined]
    assert dag.get_task("web.pre_launch.b").work.target_tags == {TEMPLATE: TEMPLATE}  # type: ignore[attr-defined]
    assert SECRET not in json.dumps(DagSerialization.to_dict(dag), default=str)


@pytest.mark.parametrize("name", ["/etc/hostname.md", "/etc/passwd", "file:///etc/passwd"])
def test_a_text_that_names_a_file_is_not_read(name: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.md"
    secret.write_text(SECRET)
    for text in (name, str(secret)):
        dag = build_dag(every_text(text))
        assert SECRET not in json.dumps(DagSerialization.to_dict(dag), default=str)


def test_parameters_of_scripts_are_not_shown() -> None:
    loaded = every_text("text", SECRET)
    dag = build_dag(loaded)
    assert scripts(dag)[0].work.parameters["one"] == (SECRET,)  # type: ignore[attr-defined]
    # What the API server and the UI know of a DAG is its serialised form, and what tasks leave in XCom.
    assert SECRET not in json.dumps(DagSerialization.to_dict(dag), default=str)
    assert SECRET not in json.dumps(loaded.record())


def test_confirm_records_the_plan_without_the_values_of_parameters() -> None:
    pushed: dict[str, Any] = {}

    class Instance:
        dag_id, run_id, task_id, try_number, max_tries = "shop", "manual__1", "confirm", 1, 0
        task = SimpleNamespace(retries=0)

        def xcom_push(self, key: str, value: Any) -> None:
            pushed[key] = value

        def xcom_pull(self, task_ids: str, key: str) -> Any:
            return None

    class Run:
        dag_id, run_id, run_type, conf = "shop", "manual__1", "manual", {}
        triggering_user_name = "alice"

    loaded = loaded_plan(
        wave("web", post_launch=[{"name": "a", "automation": "Shop-Run", "parameters": {"Password": SECRET}}])
    )
    task = ConfirmRun(task_id="confirm", loaded=loaded)
    task.execute({"dag_run": Run(), "params": {"mode": "drill"}, "ti": Instance()})  # type: ignore[arg-type]
    assert SECRET not in json.dumps(pushed)
    assert loaded.is_recorded(pushed["plan"])
    # A value that changed is seen all the same.
    (own,) = loaded.plan.waves
    script = Script(name="a", automation="Shop-Run", parameters={"Password": "other"})
    changed = loaded.plan.model_copy(update={"waves": (own.model_copy(update={"post_launch": (script,)}),)})
    assert not LoadedPlan(changed, loaded.path, "1" * 64).is_recorded(pushed["plan"])


REFERENCE = "{{connection:drs_secret_shop.password}}"


def test_a_reference_is_looked_up_only_in_what_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    masked: list[str] = []
    monkeypatch.setattr(script_secrets, "mask_secret", masked.append)
    monkeypatch.setenv("AIRFLOW_CONN_DRS_SECRET_SHOP", f"generic://:{SECRET}@localhost")
    automation = {"name": "a", "automation": "Shop-Run", "parameters": {"P": REFERENCE, "Q": ["x", REFERENCE]}}
    loaded = loaded_plan(wave("web", post_launch=[automation, {**automation, "name": "b", "automation": "Shop-Two"}]))
    dag = build_dag(loaded)
    kept = {"P": (REFERENCE,), "Q": ("x", REFERENCE)}
    for task in scripts(dag):
        assert task.work.sent_parameters(task.work.parameters) == {"P": [SECRET], "Q": ["x", SECRET]}  # type: ignore[attr-defined]
        assert task.work.parameters == kept  # type: ignore[attr-defined]
    assert set(masked) == {SECRET}
    assert REFERENCE in json.dumps(loaded.record())
    assert SECRET not in json.dumps([DagSerialization.to_dict(dag), loaded.record()], default=str)


@pytest.mark.parametrize("connection", [None, "generic://login@localhost"])
def test_a_secret_that_is_not_there_is_named(connection: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script_secrets.BaseHook, "get_connection", lambda name: _found(name, connection))
    with pytest.raises(script_secrets.MissingSecret, match="drs_secret_shop"):
        script_secrets.with_secrets({"P": [REFERENCE]})


def _found(name: str, uri: str | None) -> Connection:
    if uri is None:
        raise AirflowNotFoundException(name)
    return Connection(conn_id=name, uri=uri)


def test_every_http_route_asks_for_the_right_to_see_the_run() -> None:
    """The report's page is the only application of ours: nobody gets past it without a login."""
    info = get_provider_info()
    assert not {"plugins", "auth-managers", "api-apps"} & set(info)
    found = set()
    for path in PACKAGE.rglob("*.py"):
        if "simulator" in path.parts:  # A server of its own on the loopback interface, never inside Airflow.
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = {getattr(node, "id", None), getattr(node, "attr", None), getattr(node, "name", None)}
            if names & {"fastapi_apps", "fastapi_root_middlewares", "flask_blueprints", "FastAPI"}:
                found.add(path.relative_to(PACKAGE).as_posix())
    assert found == {"reports_plugin.py", "evidence/pages.py"}
    routes = [route for route in pages().routes if isinstance(route, APIRoute)]
    assert [route.path for route in routes] == ["/{dag_id}/{run_id:path}"]
    client = TestClient(pages())
    for address in ("/shop/manual__1", "/shop/manual__1?as=json", "/shop/../../etc/passwd", "/docs", "/openapi.json"):
        assert client.get(address).status_code in (401, 404), address
    assert client.get("/shop/manual__1").status_code == 401
