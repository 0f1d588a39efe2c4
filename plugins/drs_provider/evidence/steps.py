"""Scripts, health checks, rollback, steps of the whole run: each from what its task said, else from its state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from drs_provider.evidence.events import InstanceLeft
from drs_provider.evidence.facts import RunFacts, TaskFacts, step_state
from drs_provider.evidence.record import HealthCheck, Instance, LeftInstance, Rollback, RunStep, Script, ScriptInstance
from drs_provider.plan.kinds import kind_named
from drs_provider.plan.steps import run_steps
from drs_provider.steps.health.event import HealthEvent, HealthResult
from drs_provider.steps.rollback.event import RollbackEvent
from drs_provider.steps.script.event import InstanceOutput, ScriptEvent, ScriptResult

if TYPE_CHECKING:
    from drs_provider.plan import RecoveryPlan

__all__ = ["collect_check", "collect_rollback", "collect_run_steps", "collect_script", "left_instances"]


def collect_script(script: Any, section: Any, task: TaskFacts, left_out: str | None = None) -> Script:
    """Put one script together, from the plan and from what its task said: its event, or else what it returned.

    :param left_out: why the run leaves it out; None where it does not.
    """
    said = task.last(ScriptEvent) or task.result(ScriptResult)
    state = task.step
    if state == "success" and said.status is not None and step_state(said.status) == "failed":
        # The plan says to go on after this script; it failed all the same.
        state = "failed"
    return Script(
        name=script.name,
        section=section,
        kind="automation" if script.automation else "run_command",
        document=str(script.automation or script.run_command),
        execution_id=said.execution_id,
        state=state,
        status=said.status,
        instances=_script_instances(said.instances),
        output_tail=_outputs(said.outputs),
        reason=said.reason or (left_out if state in ("skipped", "not_started") else None),
        started=task.began,
        ended=task.finished,
    )


def _outputs(outputs: Mapping[str, Iterable[str]]) -> str | None:
    """Return an automation's outputs as lines, the first 20."""
    return "\n".join([f"{name}: {', '.join(found)}" for name, found in outputs.items()][:20]) or None


def _script_instances(results: Mapping[str, InstanceOutput]) -> list[ScriptInstance]:
    return [
        ScriptInstance(
            instance_id=instance_id,
            status=result.status,
            exit_code=result.exit_code,
            output_tail=result.output_tail,
        )
        for instance_id, result in results.items()
    ]


def collect_check(name: str, check: Any, task: TaskFacts) -> HealthCheck:
    """Put one health check together: of one that has passed, what each instance answered.

    :param name: its name in the wave: ``tcp``, ``tcp_2``.
    :param check: as the plan has it.
    """
    event = task.last(HealthEvent)
    passed = task.result(HealthResult).instances if task.step == "success" else {}
    return HealthCheck(
        name=name,
        check=event.check if event else _asked(check),
        state=task.step,
        instances=[Instance(instance_id=each, status="passed", detail=detail) for each, detail in passed.items()],
        reason=event.reason if event else None,
        started=task.began,
        ended=task.finished,
    )


def _asked(check: Any) -> str:
    """Say what a health check of the plan asks: ``tcp 5432``, ``http :8080/healthz → 200``."""
    port = getattr(check, "effective_port", None) or getattr(check, "port", None)
    if check.type == "http":
        return f"{getattr(check, 'scheme', 'http')} :{port}{check.path} → {check.expect}"
    return f"{check.type} {port}" if port else str(check.type).replace("_", " ")


def collect_run_steps(plan: RecoveryPlan, facts: RunFacts) -> list[RunStep]:
    """Put the steps of the whole run together that have no part of their own in the report."""
    found = []
    for step in (step for group in run_steps(plan) for step in group.steps):
        kind, task = kind_named(step.kind), facts.task(step.name)
        if not getattr(kind, "in_report", True):
            continue
        event = task.last(kind.event) if kind.event is not None else None
        found.append(
            RunStep(
                name=step.name,
                label=kind.activity(step.name.partition(".")[2]),
                state=task.step,
                reason=getattr(event, "reason", None) if task.step == "failed" else None,
                started=task.began,
                ended=task.finished,
            )
        )
    return found


def collect_rollback(task: TaskFacts) -> Rollback | None:
    """Put a wave's rollback together; None where the wave has none, or it had nothing to do."""
    state = task.step
    if state in ("skipped", "not_started") or (not task.known and not task.events):
        return None
    if state == "success" and not task.events:
        # The task also ends well when its wave needed no rollback.
        return None
    event = task.last(RollbackEvent)
    return Rollback(
        state=state,
        terminated=event.terminated if event else [],
        stopped=event.stopped if event else [],
        left=left_instances(event.left if event else ()),
        scripts=[_rollback_script(script) for script in (event.scripts if event else ())],
        reason=event.reason if event else None,
        started=task.began,
        ended=task.finished,
    )


def _rollback_script(event: ScriptEvent) -> Script:
    return Script(
        name=event.name,
        section="rollback",
        kind=event.script_kind,
        document=event.document,
        execution_id=event.execution_id,
        state=step_state(event.status),
        status=event.status,
        instances=_script_instances(event.instances),
        output_tail=_outputs(event.outputs),
        reason=event.reason,
        started=event.started,
        ended=event.ended,
    )


def left_instances(left: Iterable[InstanceLeft]) -> list[LeftInstance]:
    """Return the instances that run on, from an event's ``left``."""
    return [LeftInstance(instance_id=each.instance_id, reason=each.reason or "no reason was given") for each in left]
