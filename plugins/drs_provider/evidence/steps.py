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
    status = first(text(event.get("status")), text(task.returned.get("status")))
    state = task.step
    if state == "success" and status is not None and step_state(status) == "failed":
        # The plan says to go on after this script; it failed all the same.
        state = "failed"
    execution = first(event.get("execution_id"), *map(task.returned.get, ("command_id", "automation_execution_id")))
    return Script(
        name=script.name,
        section=section,
        kind="automation" if script.automation else "run_command",
        document=str(script.automation or script.run_command),
        execution_id=text(execution),
        state=state,
        status=status,
        instances=_script_instances(first(event.get("instances"), task.returned.get("instances"))),
        output_tail=first(text(event.get("output_tail")), _outputs(task.returned.get("outputs"))),
        reason=first(text(event.get("reason")), text(task.returned.get("reason"))),
        started=task.began,
        ended=task.finished,
    )


def _outputs(value: Any) -> str | None:
    """Return an automation's outputs as lines, the first 20."""
    lines = [f"{key}: {', '.join(texts(found)) or text(found) or ''}" for key, found in mapping(value).items()]
    return "\n".join(lines[:20]) or None


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


def collect_check(name: str, check: Any, task: TaskFacts) -> HealthCheck:
    """Put one health check together.

    :param name: its name in the wave: ``tcp``, ``tcp_2``.
    :param check: as the plan has it.
    """
    event = task.event
    instances = {key: mapping(item) for key, item in mapping(event.get("instances")).items()}
    return HealthCheck(
        name=name,
        check=text(event.get("check")) or _asked(check),
        state=task.step,
        instances=[
            Instance(instance_id=key, status=text(item.get("status")), detail=text(item.get("detail")))
            for key, item in instances.items()
        ],
        reason=text(event.get("reason")),
        started=task.began,
        ended=task.finished,
    )


def _asked(check: Any) -> str:
    """Say what a health check of the plan asks: ``tcp 5432``, ``http :8080/healthz → 200``."""
    port = getattr(check, "effective_port", None) or getattr(check, "port", None)
    if check.type == "http":
        return f"{getattr(check, 'scheme', 'http')} :{port}{check.path} → {check.expect}"
    return f"{check.type} {port}" if port else str(check.type).replace("_", " ")


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
        stopped=texts(event.get("stopped")),
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
