"""The run parameters: what is read, what is refused, and how the refusal reads."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from drs_provider.run_parameters import RUN_PARAMETERS
from drs_provider.runs.recovery_run import Override, RecoveryRun, RunParameterError
from drs_provider.tasks.recovery_work import describe_changes

PLAN: Any = SimpleNamespace(name="shop", waves=[SimpleNamespace(name="database"), SimpleNamespace(name="web")])


def run_with(**parameters: Any) -> RecoveryRun:
    return RecoveryRun.from_parameters("shop", "manual__1", parameters)


def refusal(run: RecoveryRun, conf: dict[str, Any] | None = None, *, scheduled: bool = False) -> str:
    with pytest.raises(RunParameterError) as caught:
        run.check(PLAN, conf or {}, scheduled=scheduled)
    return str(caught.value)


def test_nothing_given_is_a_drill_of_every_wave() -> None:
    run = run_with()
    assert run.is_drill
    assert run.selects("database")
    assert run.selects("web")
    run.check(PLAN, {}, scheduled=True)


def test_a_recovery_needs_the_name_of_the_plan() -> None:
    run_with(mode="recovery", confirm="shop").check(PLAN, {}, scheduled=False)
    assert "'shop'; it is empty" in refusal(run_with(mode="recovery"))
    assert "'shop'; it is 'Shop'" in refusal(run_with(mode="recovery", confirm="Shop"))


def test_the_schedule_never_starts_a_recovery() -> None:
    assert "always a drill" in refusal(run_with(mode="recovery", confirm="shop"), scheduled=True)


def test_every_mistake_is_reported_at_once_with_the_nearest_name() -> None:
    text = refusal(run_with(waves=["databse", "web"], mode="recovery"), {"wave": ["web"], "mode": "recovery"})
    assert "did you mean waves?" in text
    assert "did you mean database?" in text
    assert "confirm" in text


def test_a_drill_has_no_override() -> None:
    override = {"findings": ["replication-lag"], "reason": "the site is gone"}
    assert "override is for real recoveries" in refusal(run_with(override=override))
    run = run_with(mode="recovery", confirm="shop", override=override)
    run.check(PLAN, {}, scheduled=False)
    assert run.override == Override(frozenset({"replication-lag"}), "the site is gone")
    assert (
        run_with(override_findings=["replication-lag"], override_reason=" the site is gone ").override == run.override
    )
    both = run_with(override=override, override_findings="disconnected", override_reason="no agent").override
    assert both == Override(frozenset({"replication-lag", "disconnected"}), "the site is gone; no agent")
    assert "override is for real recoveries" in refusal(
        run_with(override_findings=["disconnected"], override_reason="x")
    )


def test_a_code_that_cannot_be_overridden_is_refused_before_anything_is_asked() -> None:
    asked = {"override_findings": ["hostname-ambiguous", "replicaton-lag"], "override_reason": "x"}
    text = refusal(run_with(mode="recovery", confirm="shop", **asked))
    assert "'hostname-ambiguous' cannot be overridden" in text
    assert "did you mean replication-lag?" in text


def test_the_same_run_can_be_started_again_from_its_parameters() -> None:
    """Advice leaves out nothing that the run was started with."""
    conf: dict[str, Any] = {
        "mode": "recovery",
        "confirm": "shop",
        "waves": ["web"],
        "snapshot_time": "2026-01-02T03:04:05+00:00",
        "skip_scripts": True,
        "replace_instances": ["i-0123456789abcdef0"],
        "override_findings": ["replication-lag"],
        "override_reason": "the site is gone",
        "break_glass": "nobody answers",
    }
    assert run_with(**conf).as_conf() == conf
    assert run_with().as_conf() == {}


def test_every_parameter_of_the_list_is_read_into_the_run() -> None:
    of_run = {field.name for field in fields(RecoveryRun)} - {"dag_id", "run_id"}
    assert {each.name for each in RUN_PARAMETERS} - {"override_findings", "override_reason"} == of_run


@pytest.mark.parametrize(
    "override", ["replication-lag", {"findings": []}, {"findings": ["a"], "reason": " "}, {"reason": "why"}, ["a"]]
)
def test_an_override_without_codes_or_reason_is_refused(override: Any) -> None:
    with pytest.raises(RunParameterError, match="findings"):
        run_with(override=override)


def test_the_point_in_time_is_read_as_utc_and_may_not_lie_in_the_future() -> None:
    assert run_with(snapshot_time="2026-01-02T03:04:05Z").snapshot_time == datetime(
        2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc
    )
    assert run_with(snapshot_time="2026-01-02T03:04").snapshot_time == datetime(2026, 1, 2, 3, 4, tzinfo=timezone.utc)
    assert run_with(snapshot_time="").snapshot_time is None
    tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
    assert "lies in the future" in refusal(run_with(snapshot_time=tomorrow.isoformat()))
    with pytest.raises(RunParameterError, match="yesterday"):
        run_with(snapshot_time="yesterday")


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(RunParameterError, match="drill or recovery"):
        run_with(mode="test")


def test_a_subset_selects_only_its_waves() -> None:
    run = run_with(waves=["web"])
    assert run.selects("web")
    assert not run.selects("database")


def test_changes_of_a_plan_are_named_by_path_and_wave() -> None:
    old = {"name": "shop", "waves": [{"name": "database", "retries": 1}, {"name": "web", "retries": 1}]}
    new = {"name": "shop", "waves": [{"name": "web", "retries": 3}, {"name": "app", "retries": 1}]}
    assert describe_changes(old, new) == [
        "waves.database: {'name': 'database', 'retries': 1} → absent",
        "waves.web.retries: 1 → 3",
        "waves.app: absent → {'name': 'app', 'retries': 1}",
    ]
    assert describe_changes(old, old) == []
