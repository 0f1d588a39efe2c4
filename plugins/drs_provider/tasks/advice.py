"""What a person can do about a run that findings hold up, in words that can be followed while the run exists.

The parameters of a run cannot be changed: to go on in spite of a finding takes a new run, whose parameters are written
out here, ready to be pasted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drs_provider.plan import RecoveryPlan
    from drs_provider.readiness import Finding
    from drs_provider.runs.recovery_run import RecoveryRun

__all__ = ["after_failure", "what_to_do"]


def after_failure(plan: RecoveryPlan, run: RecoveryRun, wave: str) -> str:
    """Say how to go on after a wave failed. A drill ends, and a recovery can be continued.

    :param plan: the plan.
    :param run: the run.
    :param wave: the name of the wave.
    """
    if not run.is_drill:
        return (
            f"When the cause is fixed, clear the task {wave}.launch with its downstream tasks: servers that are up are "
            "kept, the others are launched again."
        )
    kept = run.keep_drill_instances or plan.drill.terminate != "always"
    end = "this one leaves its instances running" if kept else "this one terminates what it launched"
    return f"Fix the cause, then start a new drill: {end}, and writes its report."


def what_to_do(
    plan: RecoveryPlan, run: RecoveryRun, task_id: str, blocking: Iterable[Finding], waves: Iterable[str]
) -> str:
    """Say how to go on.

    :param plan: the plan.
    :param run: the run that is held up.
    :param task_id: the task that failed.
    :param blocking: the findings that hold it up.
    :param waves: the waves that are still to be recovered, in the order of the plan; all waves of the plan: none named.
    """
    wave, _, step = task_id.partition(".")
    if run.is_drill and step:
        return after_failure(plan, run, wave)
    clear = f"When the cause is gone, clear the task {task_id} with its downstream tasks."
    found = list(blocking)
    if run.is_drill or not all(finding.overridable for finding in found):
        return clear
    codes = sorted({finding.code for finding in found} | run.overridden)
    parameters = run.as_conf() | {"override_findings": codes}
    parameters.setdefault("override_reason", "...")
    left = list(waves)
    if len(left) < len(plan.waves):
        parameters["waves"] = left
    return (
        f"{clear}\nTo go on in spite of it, start a new run when this one has ended, since the parameters of a run "
        f"cannot be changed: {json.dumps(parameters)}"
    )
