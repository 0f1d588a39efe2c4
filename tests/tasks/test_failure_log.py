"""What the log of a task says before it fails, and which tracebacks are left out."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from airflow.providers.common.compat.sdk import AirflowException

from drs_provider.aws.drs.outcome import failure_table, judge
from drs_provider.runs.recovery_run import RecoveryRun
from drs_provider.tasks.advice import after_failure, what_to_do
from drs_provider.tasks.failure_log import TaskFailedError, failure_lines, failures_in_log
from tests.dag.plans import loaded_plan

PLAN = loaded_plan({"name": "web", "servers": [{"id": "s-00000000000000001"}]}).plan
OUTCOMES = {
    "s-00000000000000001": {"hostname": "web01", "launch_status": "LAUNCHED", "job_id": "drsjob-1"},
    "s-00000000000000002": {
        "hostname": "web02",
        "launch_status": "FAILED",
        "job_id": "drsjob-1",
        "critical": True,
        "reason": "no subnet",
    },
}


def instance(try_number: int = 1) -> Any:
    return SimpleNamespace(try_number=try_number, max_tries=3)


def run_of(mode: str, **parameters: Any) -> RecoveryRun:
    context = {
        "params": {"mode": mode, **parameters},
        "dag_run": SimpleNamespace(run_type="manual", run_id="run0", dag_id="shop"),
        "ti": SimpleNamespace(dag_id="shop", run_id="run0"),
    }
    return RecoveryRun.from_context(context, PLAN)


@pytest.fixture
def log() -> Iterator[Any]:
    """Airflow's way of logging what a task raised: structured, with a processor that writes tracebacks."""
    before, written = structlog.get_config(), io.StringIO()
    structlog.configure(
        processors=[structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()],
        logger_factory=structlog.WriteLoggerFactory(written),
    )

    def lines(error: Exception) -> list[dict[str, Any]]:
        task = SimpleNamespace(task_id="web.wait_for_launch", log=structlog.get_logger("drs_provider"))
        runner = structlog.get_logger("task")
        try:
            with failures_in_log(task, {"ti": instance()}):  # type: ignore[arg-type]
                raise error
        except Exception:
            runner.error("Task failed with exception", exc_info=True)
        return [json.loads(line) for line in written.getvalue().splitlines()]

    yield lines
    structlog.configure(**before)


def test_a_failed_launch_is_told_in_short_lines_and_without_a_traceback(log: Any) -> None:
    why = f"{judge(OUTCOMES).message}\n{failure_table(OUTCOMES)}"
    lines = log(TaskFailedError(why, after_failure(PLAN, run_of("drill"), "web")))
    assert [line["event"] for line in lines[:-1]] == [
        "FAILED: launching in the wave web (task web.wait_for_launch)",
        "Why: 1 of 2 servers launched; required and not launched: web02 (s-00000000000000002)",
        "  web02 (s-00000000000000002): FAILED, required, job drsjob-1: no subnet",
        "Do this: Fix the cause, then start a new drill: this one terminates what it launched, and writes its report.",
    ]
    assert lines[-1] == {"event": "Task failed: the lines above say why"}


def test_what_nobody_foresaw_keeps_its_traceback(log: Any) -> None:
    lines = log(KeyError("jobID"))
    assert "This was not foreseen: the traceback follows." in json.dumps(lines[:-1])
    assert lines[-1]["exception"][0]["exc_type"] == "KeyError"
    assert lines[-1]["exception"][0]["frames"]


def test_a_try_that_airflow_repeats_says_so() -> None:
    lines = failure_lines("terminate", instance(2), AirflowException("1 left:\n- i-1: EC2 says running"))
    assert lines == [
        "FAILED: terminating the drill's instances (task terminate, try 2 of 4)",
        "Why: 1 left:",
        "- i-1: EC2 says running",
        "Do this: nothing yet. Airflow tries again in a moment.",
    ]


@pytest.mark.parametrize(
    ("mode", "parameters", "said"),
    [
        ("drill", {}, "start a new drill: this one terminates what it launched"),
        ("drill", {"keep_drill_instances": True}, "start a new drill: this one leaves its instances running"),
        ("recovery", {"confirm": "shop"}, "clear the task web.launch with its downstream tasks: servers that are up"),
    ],
)
def test_the_remedy_fits_the_mode(mode: str, parameters: dict[str, Any], said: str) -> None:
    run = run_of(mode, **parameters)
    assert said in after_failure(PLAN, run, "web")
    assert ("override" in what_to_do(PLAN, run, "web.launch", [], ["web"])) is (mode == "recovery")
    assert PLAN.waves[0].launch_timeout > timedelta(0)
