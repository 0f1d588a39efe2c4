"""What `drs-plan rehearse` refuses before it starts anything, and what it prints of a run."""

from __future__ import annotations

import io
import socket
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from drs_provider.cli import app
from drs_provider.commands.rehearse import _parameters, _print_result, _watch
from drs_provider.plan import load_plan, read_plans
from drs_provider.rehearsal.progress import RunProgress
from drs_provider.rehearsal.rehearsal import FailedTask, Rehearsal, RehearsalResult

PLAN = "version: 1\nname: shop\ntarget: {region: us-west-2}\nwaves: [{name: web, servers: [{hostname: web01}]}]\n"


@pytest.fixture
def plan_file(tmp_path: Path) -> Path:
    """A small valid plan file."""
    path = tmp_path / "shop.yaml"
    path.write_text(PLAN)
    return path


def rehearse(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["rehearse", *map(str, arguments)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--conf", "{mode"], "--conf is not JSON"),
        (["--conf", "[]"], "--conf must be a JSON object"),
        (["--mode", "test"], "drill or recovery"),
        (["--speed", "0"], "--speed"),
        (["--scenario", "nowhere.yaml"], "--scenario nowhere.yaml: no such file"),
    ],
)
def test_options_that_cannot_be_used_exit_2_at_once(plan_file: Path, options: list[str], message: str) -> None:
    result = rehearse(plan_file, *options)
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize("text", ["servers: [{id: 7}]", "servers: ["])
def test_a_scenario_that_is_not_valid_is_found_before_airflow_starts(
    plan_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.delattr(Rehearsal, "running")
    (tmp_path / "scenario.yaml").write_text(text)
    result = rehearse(plan_file, "--scenario", tmp_path / "scenario.yaml")
    assert result.exit_code == 2
    assert "scenario.yaml:1" in result.stderr


def test_a_plan_that_is_not_valid_exits_2_with_its_problems(plan_file: Path) -> None:
    plan_file.write_text(PLAN.replace("us-west-2", "mars"))
    result = rehearse(plan_file)
    assert result.exit_code == 2
    assert "shop.yaml:3:18" in result.stderr


def test_the_home_of_an_airflow_that_somebody_uses_is_left_alone(plan_file: Path, tmp_path: Path) -> None:
    (tmp_path / "airflow").mkdir()
    (tmp_path / "airflow" / "airflow.cfg").touch()
    result = rehearse(plan_file, "--airflow-home", tmp_path / "airflow")
    assert result.exit_code == 2
    assert "not of a rehearsal" in result.stderr
    assert [path.name for path in (tmp_path / "airflow").iterdir()] == ["airflow.cfg"]


def test_a_port_where_somebody_else_listens_is_refused_before_anything_starts(plan_file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        result = rehearse(plan_file, "--port", str(other.getsockname()[1]))
    assert result.exit_code == 2
    assert "cannot be used: Address already in use; choose another" in result.stderr


def test_a_run_that_airflow_refuses_exits_2_with_airflows_words(
    plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as for a run parameter of the wrong type. Exit code 1 would say that the plan had failed."""

    def refuse(*_: object) -> str:
        request = httpx.Request("POST", "http://127.0.0.1")
        response = httpx.Response(400, request=request)
        raise httpx.HTTPStatusError("'web' is not of type 'array'", request=request, response=response)

    monkeypatch.setattr(Rehearsal, "running", nullcontext)
    monkeypatch.setattr(Rehearsal, "start_run", refuse)
    result = rehearse(plan_file, "--conf", '{"waves": "web"}')
    assert result.exit_code == 2
    assert "could not be run: 'web' is not of type 'array'" in result.stderr


def test_a_recovery_confirms_itself_unless_told_otherwise() -> None:
    assert _parameters("{}", "drill", "shop") == {"mode": "drill"}
    assert _parameters('{"waves": ["web"]}', "recovery", "shop") == {
        "mode": "recovery",
        "confirm": "shop",
        "waves": ["web"],
    }
    assert _parameters('{"confirm": ""}', "recovery", "shop")["confirm"] == ""


@pytest.mark.parametrize("name", ["shop.yaml.new", ".shop.yaml", "shop-2.yml"])
def test_a_plan_file_of_any_name_is_what_airflow_reads(tmp_path: Path, name: str) -> None:
    """Also where an earlier rehearsal in the same folder left a plan of that name."""
    (tmp_path / name).write_text(PLAN.replace("web01", "web02"))
    (tmp_path / "home" / "plans").mkdir(parents=True)
    (tmp_path / "home" / "plans" / "a.yaml").write_text(PLAN)
    Rehearsal(load_plan(tmp_path / name), tmp_path / "home", {"servers": []})
    found = read_plans(tmp_path / "home" / "plans").plans["shop"].plan
    assert found.waves[0].servers[0].hostname == "web02"


# Airflow's answers, one after the other, as the rehearsal asks for them.
STATES: list[tuple[str, dict[str, str | None]]] = [
    ("running", {"web.launch": None}),
    ("running", {"web.launch": "running"}),
    ("failed", {"web.launch": "failed", "report": "failed"}),
]


class Airflow:
    """An Airflow whose run fails."""

    def __init__(self) -> None:
        self.look = -1

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        self.look += 1
        return {"state": STATES[self.look][0]}

    def task_instances(self, dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
        return {
            task: {"task_id": task, "state": state, "try_number": 1, "start_date": f"2026-11-28T07:00:0{number}Z"}
            for number, (task, state) in enumerate(STATES[self.look][1].items())
        }

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int) -> list[str]:
        return [f"{task_id} line {number}" for number in range(30)] + [""]

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str) -> str:
        return "file:///reports/shop/run"

    def pending_approvals(self, dag_id: str, run_id: str) -> list[str]:
        return []


@pytest.fixture
def rehearsal(plan_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rehearsal:
    """A rehearsal on the Airflow above; nothing of it is started."""
    monkeypatch.setattr("drs_provider.rehearsal.rehearsal._POLL_SECONDS", 0)
    made = Rehearsal(load_plan(plan_file), tmp_path / "rehearsal", {"servers": []})
    made.airflow.api = Airflow()  # type: ignore[assignment]
    return made


def test_a_failed_run_names_its_failed_tasks_with_the_end_of_their_logs(rehearsal: Rehearsal) -> None:
    seen: list[list[str]] = []
    result = rehearsal.watch("run", lambda progress: seen.append(progress.lines()))
    assert seen == [["web: waiting"], ["web: launching"], ["web: failed", "writing the report"]]
    assert not result.succeeded
    assert result.report == Path("/reports/shop/run")
    assert [task.task_id for task in result.failed] == ["web.launch"], "the report fails with its run"
    assert result.failed[0].log == tuple(f"web.launch line {number}" for number in range(24, 30))


def test_where_there_is_no_terminal_each_change_is_a_line_of_its_own(rehearsal: Rehearsal) -> None:
    console = Console(file=io.StringIO(), width=60)
    _watch(console, rehearsal, "run", approve=True)
    shown = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert shown == ["web: waiting", "web: launching", "web: failed", "writing the report"]


def test_the_end_shows_the_timeline_the_report_the_failures_and_the_verdict(tmp_path: Path) -> None:
    (tmp_path / "summary.md").write_text("# shop: recovered in 2 m\n")
    console = Console(file=io.StringIO(), width=60)
    _print_result(
        console,
        RehearsalResult(
            "run", "failed", (FailedTask("web.launch", ("[ERROR] full",)),), tmp_path, ("DescribeJobs (reset)",)
        ),
    )
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "shop: recovered in 2 m" in shown
    assert "Whether the objectives are met, only a drill on AWS tells." in " ".join(shown.split())
    assert f"Report: {tmp_path / 'report.html'}" in shown.replace("\n", "")
    assert "web.launch failed:\n  [ERROR] full\n" in shown
    assert "rehearse again" in shown
    assert "The fault DescribeJobs (reset) never struck" in shown
    assert shown.endswith("The run failed.\n")


def test_progress_of_an_unknown_task_changes_nothing(plan_file: Path) -> None:
    progress = RunProgress(load_plan(plan_file).plan)
    progress.update({"confirm": "success", "somebody.elses": "running"}, [{"event": "JOB_END", "job": "x"}])
    assert progress.lines() == ["web: waiting"]
