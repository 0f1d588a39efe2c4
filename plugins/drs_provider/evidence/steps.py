"""Scripts, health checks and rollback, each from what its task said, or from its state where it said nothing."""

from __future__ import annotations

from typing import Any

from drs_provider.evidence.facts import TaskFacts, step_state
from drs_provider.evidence.reading import events_of, first, integer, items, mapping, moment, text, texts
from drs_provider.evidence.record import HealthCheck, Instance, LeftInstance, Rollback, Script, ScriptInstance

__all__ = ["collect_check", "collect_rollback", "collect_script", "left_instances"]


def collect_script(script: Any, section: Any, task: TaskFacts) -> Script:
    """Put one script together, from the plan and from what its task said."""
    event = task.event
    execution = first(event.get("execution_id"), *map(task.returned.get, ("command_id", "automation_execution_id")))
    return Script(
        name=script.name,
        section=section,
        kind="automation" if script.automation else "run_command",
        document=str(script.automation or script.run_command),
        execution_id=text(execution),
        state=task.step,
        status=first(text(event.get("status")), text(task.returned.get("status"))),
        instances=_script_instances(first(event.get("instances"), task.returned.get("instances"))),
        output_tail=text(event.get("output_tail")),
        reason=text(event.get("reason")),
        started=task.began,
        ended=task.finished,
    )


def _script_instances(value: Any) -> list[ScriptInstance]:
    return [
        ScriptInstance(
            instance_id=instance_id,
            status=text(result.get("status")),
            exit_code=integer(result.get("exit_code")),
            output_tail=text(result.get("output_tail")),
        )
        for instance_id, result in ((str(key), mapping(item)) for key, item in mapping(value).items())
    ]


def collect_check(task: TaskFacts) -> HealthCheck:
    """Put one health check together."""
    event = task.event
    name = task.task_id.rpartition(".")[2]
    return HealthCheck(
        name=name,
        check=text(event.get("check")) or name.replace("_", " "),
        state=task.step,
        instances=[
            Instance(instance_id=key, status=text(result.get("status")), detail=text(result.get("detail")))
            for key, result in ((key, mapping(item)) for key, item in mapping(event.get("instances")).items())
        ],
        reason=text(event.get("reason")),
        started=task.began,
        ended=task.finished,
    )


def collect_rollback(task: TaskFacts) -> Rollback | None:
    """Put a wave's rollback together; None where the wave has none, or it had nothing to do."""
    state = task.step
    if state in ("skipped", "not_started") or (not task.known and not task.events):
        return None
    event = task.event
    if state == "success" and not event:
        # The task also ends well when its wave needed no rollback.
        return None
    return Rollback(
        state=state,
        terminated=texts(event.get("terminated")),
        left=left_instances(event.get("left")),
        scripts=[_rollback_script(script) for script in events_of(items(event.get("scripts")))],
        reason=text(event.get("reason")),
        started=task.began,
        ended=task.finished,
    )


def _rollback_script(event: Any) -> Script:
    return Script(
        name=text(event.get("name")) or "unnamed",
        section="rollback",
        kind="automation" if event.get("script_kind") == "automation" else "run_command",
        document=text(event.get("document")) or "",
        execution_id=text(event.get("execution_id")),
        state=step_state(text(event.get("status"))),
        status=text(event.get("status")),
        instances=_script_instances(event.get("instances")),
        output_tail=text(event.get("output_tail")),
        reason=text(event.get("reason")),
        started=moment(event.get("started")),
        ended=moment(event.get("ended")),
    )


def left_instances(value: Any) -> list[LeftInstance]:
    """Return the instances that run on, from an event's ``left``."""
    return [
        LeftInstance(
            instance_id=text(mapping(item).get("instance_id")) or text(item) or "unknown",
            reason=text(mapping(item).get("reason")) or "no reason was given",
        )
        for item in items(value)
    ]
