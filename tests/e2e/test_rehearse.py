"""`drs-plan rehearse` as a person runs it: a run that fails, a visit to the UI, and Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.e2e.stack import REGION, servers

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PLAN = """
version: 1
name: rehearsed
target: {region: us-west-2}
defaults: {retries: 0}
recovery: {approval: {message: Is the site lost?, approvers: [alice]}}
waves:
  - {name: web, servers: [{tags: {Tier: web}}], health_checks: [{type: tcp, port: 80}]}
  - {name: database, servers: [{tags: {Tier: bad}}]}
  - {name: app, depends_on: [database], servers: [{tags: {Tier: app}}]}
  - {name: mail, servers: [{tags: {Tier: mail}}]}
"""
SCENARIO = {
    "region": REGION,
    "account": "123456789012",
    "servers": [
        *servers("bad", 1, outcome="failed"),
        *(server for tier in ("web", "app", "mail") for server in servers(tier, 1)),
    ],
}


@contextmanager
def rehearsing(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A rehearsal of the plan above; its output goes into ``output.txt``."""
    (folder / "rehearsed.yaml").write_text(PLAN)
    (folder / "scenario.yaml").write_text(json.dumps(SCENARIO))
    command = [sys.executable, "-c", "from drs_provider.cli import main; main()", "rehearse", "rehearsed.yaml"]
    command += ["--scenario", "scenario.yaml", "--airflow-home", "home", *options]
    with (folder / "output.txt").open("w") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, text=True)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def left_over(folder: Path) -> list[str]:
    """Processes that have the folder in their command or environment."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), *process.environ().values()]
        except psutil.Error:
            continue
        if process.status() != psutil.STATUS_ZOMBIE and any(str(folder / "home") in word for word in words):
            found.append(" ".join(process.cmdline()))
    return found


def wait_for(process: subprocess.Popen[str], folder: Path, condition, what: str) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert process.poll() is None, (folder / "output.txt").read_text()
        assert time.monotonic() < deadline, f"{what} did not happen: {(folder / 'output.txt').read_text()}"
        time.sleep(0.2)


def test_a_run_that_fails_exits_1_and_says_where_after_a_visit_to_the_ui(tmp_path: Path) -> None:
    options = ["--speed", "60", "--mode", "recovery", "--conf", '{"waves": ["web", "database", "app"]}', "--keep"]
    options += ["--log", "calls.jsonl", "--reports", "evidence"]
    with rehearsing(tmp_path, *options) as process:
        output = tmp_path / "output.txt"
        wait_for(process, tmp_path, lambda: "stays open" in output.read_text(), "the end of the run")
        assert left_over(tmp_path)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 1
    shown = output.read_text()
    for line in ("web: done, 1/1 servers launched", "mail: skipped", "app: not reached"):
        assert line in shown.splitlines()
    assert "\ndatabase: failed" in shown
    end = shown[shown.index("rehearsed: not recovered: bad01 did not launch. Failed (simulated, 60×).") :]
    assert "\ndatabase.wait_for_launch failed:\n  " in end
    (cause,) = [line for line in end.splitlines() if "bad01 (s-" in line]
    assert end.count(cause) == 1
    assert "rehearse again" in end
    assert "::group::" not in shown
    assert "report failed" not in end
    assert "The run failed." in shown
    assert (next((tmp_path / "evidence" / "rehearsed").iterdir()) / "report.html").is_file()
    calls = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
    launches = [call["params"] for call in calls if call.get("operation") == "StartRecovery"]
    assert {launch["tags"]["drs-provider:wave"] for launch in launches} == {"web", "database"}
    assert [launch["isDrill"] for launch in launches] == [False, False]
    assert (tmp_path / "home" / "airflow.db").is_file(), "Airflow's folder is kept"
    assert left_over(tmp_path) == []


def test_ctrl_c_leaves_no_process_behind(tmp_path: Path) -> None:
    with rehearsing(tmp_path) as process:
        wait_for(process, tmp_path, lambda: len(left_over(tmp_path)) >= 3, "the start of Airflow")
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert left_over(tmp_path) == []
    assert "Stopped." in (tmp_path / "output.txt").read_text()
