"""``drs-plan run`` against a stand-in for Airflow's REST API, over HTTP; a real Airflow answers it in tests/e2e."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from click.testing import Result
from typer.testing import CliRunner

from drs_provider.cli import app
from drs_provider.requests.model import BELL, RunRequest, request_key

DRILL = {"dag_run_id": "manual__1", "state": "running", "conf": {}}


class Airflow:
    """What the stand-in holds, and what it was asked."""

    def __init__(self) -> None:
        self.runs: list[dict[str, Any]] = []
        self.variables: dict[str, str] = {}
        self.calls: list[tuple[str, str]] = []
        self.tokens: list[str | None] = []
        self.states = ["queued", "running"]
        self.forbidden: tuple[str, ...] = ()
        trigger = {"classpath": "drs_provider.triggers.availability.AwsAvailableTrigger", "kwargs": "{}"}
        self.silent: dict[str, Any] = {"task_id": "b.launch", "state": "deferred", "trigger": trigger}

    def answer(self, method: str, path: str, body: Any, token: str | None) -> tuple[int, Any]:
        self.calls.append((method, path))
        self.tokens.append(token)
        if path == "/auth/token":
            return (201, {"access_token": "made"}) if body.get("password") == "alice" else (401, {"detail": "no"})
        if any(path.startswith(each) for each in self.forbidden):
            return 403, {"detail": "Forbidden"}
        path = path.removeprefix("/api/v2")
        if path.startswith("/variables"):
            key = path.removeprefix("/variables/")
            if method == "PATCH" and key not in self.variables:
                return 404, {"detail": "no such variable"}
            self.variables[body["key"]] = body["value"]
            return 200, {}
        if path == "/dags/shop/dagRuns" and method == "POST":
            self.runs.append({**body, "state": "queued"})
            return 200, body
        if path == "/dags/shop/dagRuns":
            return 200, {"dag_runs": [run for run in self.runs if run["state"] == "running"]}
        if path.endswith("/taskInstances"):
            tasks = [{"task_id": "a.wait_for_launch", "state": "deferred"}, self.silent]
            return 200, {"task_instances": tasks, "total_entries": len(tasks)}
        for run in self.runs:
            if path == f"/dags/shop/dagRuns/{run['dag_run_id']}":
                if method == "PATCH":
                    run |= body
                elif run["state"] == "queued" and len(self.states) > 1:
                    self.states.pop(0)
                    return 200, {**run, "state": "queued"}
                elif run["state"] == "queued":
                    run["state"] = self.states[0]
                return 200, run
        return 404, {"detail": "not found"}


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Airflow]:
    made = Airflow()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            path = unquote(urlsplit(self.path).path)
            status, answer = made.answer(self.command, path, body, self.headers.get("Authorization"))
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - the names that the base class calls

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("DRS_PLAN_AIRFLOW_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("DRS_PLAN_AIRFLOW_USERNAME", "alice")
    monkeypatch.setenv("DRS_PLAN_AIRFLOW_PASSWORD", "alice")
    monkeypatch.setattr("drs_provider.commands.run._POLL_SECONDS", 0.01)
    yield made
    server.shutdown()
    server.server_close()


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["run", "shop", *arguments])


RECOVERY = ("--mode", "recovery", "--confirm", "shop")


def test_a_drill_is_started_with_its_parameters(airflow: Airflow) -> None:
    result = invoke("--wave", "a", "--wave", "b", "--skip-scripts", "--param", 'ticket="CHG-1"')
    assert result.exit_code == 0, result.output
    (run,) = airflow.runs
    assert run["conf"] == {"mode": "drill", "waves": ["a", "b"], "skip_scripts": True, "ticket": "CHG-1"}
    assert run["dag_run_id"].startswith("drill__")
    assert airflow.tokens[1:] == ["Bearer made"] * (len(airflow.tokens) - 1)


def test_a_recovery_is_named_so_and_asks_a_drill_in_progress_to_stop(airflow: Airflow) -> None:
    airflow.runs.append(dict(DRILL))
    override = (
        "--override-finding",
        "replication-lag",
        "--override-finding",
        "disconnected",
        "--override-reason",
        "fire",
    )
    result = invoke(*RECOVERY, "--stop-drill", "--note", "the site is gone", "--ticket", "INC-7", *override)
    assert result.exit_code == 0, result.output
    recovery = airflow.runs[1]
    assert recovery["dag_run_id"].startswith("recovery__")
    assert recovery["conf"] == {
        "mode": "recovery",
        "confirm": "shop",
        "stop_drill": True,
        "override_findings": ["replication-lag", "disconnected"],
        "override_reason": "fire",
        "ticket": "INC-7",
    }
    assert recovery["note"] == "RECOVERY, started by drs-plan run, INC-7: the site is gone"
    request = RunRequest.model_validate_json(airflow.variables[request_key("stop_drill", "shop")])
    assert (request.from_run, request.by) == (recovery["dag_run_id"], "alice")
    assert airflow.variables[BELL]
    assert "Asked to stop: manual__1" in result.output
    assert f"{recovery['dag_run_id']}: waits for manual__1, at a.wait_for_launch" in result.output
    assert airflow.runs[0]["state"] == "running", "the drill fails by itself, no task of it is killed"


def test_who_may_write_no_variable_marks_the_drill_as_failed(airflow: Airflow) -> None:
    airflow.runs.append(dict(DRILL))
    airflow.forbidden = ("/api/v2/variables",)
    result = invoke(*RECOVERY, "--stop-drill")
    assert result.exit_code == 0, result.output
    assert airflow.runs[0]["state"] == "failed"
    assert airflow.runs[0]["note"] == f"Stopped for {airflow.runs[1]['dag_run_id']}"


def test_a_recovery_in_progress_is_never_stopped(airflow: Airflow) -> None:
    airflow.runs.append({**DRILL, "conf": {"mode": "recovery"}})
    airflow.forbidden = ("/api/v2/variables",)
    result = invoke(*RECOVERY, "--stop-drill")
    assert airflow.runs[0]["state"] == "running"
    assert airflow.variables == {}
    assert "No drill of the plan is in progress" in result.output


def test_nothing_is_asked_to_stop_without_the_option(airflow: Airflow) -> None:
    airflow.runs.append(dict(DRILL))
    assert invoke(*RECOVERY).exit_code == 0
    assert airflow.variables == {}
    assert airflow.runs[0]["state"] == "running"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--mode", "recovery"), "give --confirm shop"),
        (("--mode", "recovery", "--confirm", "Shop"), "not confirmed"),
        (("--mode", "real"), "expected drill, recovery"),
        (("--stop-drill",), "is for recoveries"),
        (("--param", "ticket=CHG-1"), "expected NAME=JSON"),
        (("--param", 'tiket="CHG-1"'), "did you mean ticket?"),
        (("--param", 'mode="recovery"'), "have options of their own"),
        (("--wait", "long"), "expected no, begun, ended"),
    ],
)
def test_what_is_wrong_starts_nothing(airflow: Airflow, arguments: tuple[str, ...], why: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert why in result.output
    assert airflow.calls == []


@pytest.mark.parametrize(("states", "code"), [(["queued", "success"], 0), (["queued", "failed"], 1)])
def test_waiting_for_the_end_tells_how_it_ended(airflow: Airflow, states: list[str], code: int) -> None:
    airflow.states = states
    assert invoke("--wait", "ended").exit_code == code


def test_a_task_that_waits_for_aws_is_named(airflow: Airflow) -> None:
    assert "b.launch (AWS does not answer)" in invoke("--wait", "ended", "--timeout", "0.05").output


def test_a_run_that_does_not_begin_in_time_is_an_answer(airflow: Airflow) -> None:
    airflow.states = ["queued"] * 1000
    result = invoke("--timeout", "0.05")
    assert result.exit_code == 1
    assert "Is the plan paused?" in result.output


def test_who_is_refused_and_an_airflow_that_is_away_cannot_run(
    airflow: Airflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRS_PLAN_AIRFLOW_PASSWORD", "wrong")
    result = invoke()
    assert (result.exit_code, "Airflow refuses: 401" in result.output) == (2, True)
    assert invoke("--token", "issued", "--password", "").exit_code == 0
    assert airflow.tokens[-1] == "Bearer issued"
    airflow.forbidden = ("/api/v2/dags/shop/dagRuns",)
    assert invoke("--token", "issued").exit_code == 2
    result = invoke("--url", "http://127.0.0.1:9")
    assert (result.exit_code, "does not answer" in result.output) == (2, True)
