"""Waves that a run leaves out cost it nothing, unless they pass on a wait."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DownstreamTasksSkipped
from hypothesis import given, settings
from hypothesis import strategies as st

from drs_provider.dag.factory import build_dag
from drs_provider.plan import LoadedPlan
from drs_provider.readiness import FindingsReport, PreflightResult
from drs_provider.runs.recovery_run import RecoveryRun
from drs_provider.steps.preflight import work as preflight
from drs_provider.tasks.recovery_work import RecoveryWork
from tests.dag.plans import loaded_plan, wave

CHAIN = loaded_plan(
    wave("database", on_failure="rollback"),
    wave("app", "database", post_launch=[{"name": "warm", "run_command": "AWS-RunShellScript"}]),
    wave("web", "app"),
    wave("mail"),
)


def left_out(plan: LoadedPlan, *waves: str) -> set[str]:
    run = RecoveryRun.from_parameters("shop", "manual__1", {"waves": list(waves)})
    return set(run.left_out_from_the_start(plan.plan))


@pytest.mark.parametrize(
    ("selected", "expected"),
    [
        ((), set()),
        (("web",), {"database", "app", "mail"}),
        # web waits for database, and app between them passes that on.
        (("database", "web"), {"mail"}),
        (("database",), {"mail"}),
        (("app",), {"database", "mail"}),
        (("mail",), {"database", "app", "web"}),
    ],
)
def test_a_wave_is_left_out_from_the_start_unless_a_wave_of_the_run_comes_before_it(
    selected: tuple[str, ...], expected: set[str]
) -> None:
    assert left_out(CHAIN, *selected) == expected


@settings(deadline=None)
@given(st.data())
def test_between_two_waves_of_a_run_no_task_is_skipped_from_the_start(data: st.DataObject) -> None:
    names = [f"w{number}" for number in range(data.draw(st.integers(1, 8)))]
    needed = {name: data.draw(st.sets(st.sampled_from(names[:at]))) if at else set() for at, name in enumerate(names)}
    plan = loaded_plan(*(wave(name, *needed[name]) for name in names))
    selected = data.draw(st.sets(st.sampled_from(names), min_size=1))
    skipped = left_out(plan, *selected)
    assert not skipped & selected
    dag = build_dag(plan)
    for name in selected:
        behind = dag.get_task(f"{name}.wait_for_launch").get_flat_relative_ids(upstream=False)
        assert not {one for one in behind if one.partition(".")[0] in skipped}


def check(monkeypatch: pytest.MonkeyPatch, *waves: str) -> tuple[Any, dict[str, Any]]:
    """Run the preflight of the chain, with no findings; return what it returned or raised, and its XComs."""
    monkeypatch.setattr(preflight, "aws_clients", lambda hook: None)
    monkeypatch.setattr(preflight, "run_preflight", lambda *_, **__: PreflightResult(FindingsReport("drill"), {}))
    monkeypatch.setattr(RecoveryWork, "before_acting", lambda self, context: None)
    xcoms: dict[str, Any] = {}
    ti = SimpleNamespace(xcom_push=lambda key, value: xcoms.update({key: value}), xcom_pull=lambda **_: None)
    dag = build_dag(CHAIN)
    run = SimpleNamespace(dag_id="shop", run_id="manual__1", triggering_user_name="alice")
    context: Any = {"ti": ti, "dag": dag, "dag_run": run, "params": {"waves": list(waves)}}
    try:
        return dag.get_task("preflight").execute(context), xcoms
    except DownstreamTasksSkipped as skipped:
        return skipped, xcoms


def test_preflight_skips_their_tasks_but_no_rollback(monkeypatch: pytest.MonkeyPatch) -> None:
    skipped, xcoms = check(monkeypatch, "web")
    assert sorted(skipped.tasks) == [
        "app.launch",
        "app.post_launch.warm",
        "app.wait_for_launch",
        "database.launch",
        "database.wait_for_launch",
        "mail.launch",
        "mail.wait_for_launch",
    ]
    assert xcoms["return_value"] == PreflightResult(FindingsReport("drill"), {}).as_dict()


def test_preflight_of_a_whole_plan_skips_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    result, _ = check(monkeypatch)
    assert result == PreflightResult(FindingsReport("drill"), {}).as_dict()
