"""What a recovery of the plan does and a run did not do, each with the reason: a good figure says nothing of these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from drs_provider.evidence.record import NotTested, RunState, Script, Wave

if TYPE_CHECKING:
    from drs_provider.plan import RecoveryPlan
    from drs_provider.plan import Script as PlanScript
    from drs_provider.plan import Wave as PlanWave

__all__ = ["collect_not_tested", "why_left_out"]

_NOT_REACHED = "the run did not come to it"


def why_left_out(script: PlanScript, mode: str, *, skip_scripts: bool) -> str | None:
    """Return why a run leaves a script of the plan out; None where it does not.

    :param script: the script of the plan.
    :param mode: ``drill`` or ``recovery``.
    :param skip_scripts: whether the run leaves all scripts out.
    """
    if mode not in script.modes:
        return f"the plan does not run it in a {mode} (modes: {', '.join(sorted(script.modes))})"
    return "this run leaves all scripts out (skip_scripts)" if skip_scripts else None


def collect_not_tested(
    plan: RecoveryPlan, waves: Sequence[Wave], mode: str, state: RunState, parameters: Mapping[str, Any]
) -> list[NotTested]:
    """Return what a recovery of the whole plan would have done and this run did not do, in the order of the plan.

    :param plan: the plan.
    :param waves: the waves as the run left them.
    :param mode: ``drill`` or ``recovery``.
    :param state: what became of the run. Of one that was not held, or has launched nothing, there is nothing to say.
    :param parameters: the run parameters.
    """
    if state == "missed" or not any(wave.jobs or wave.servers for wave in waves):
        return []
    found: list[NotTested] = []
    approval = plan.recovery.approval
    if approval and "recovery" in (approval.modes or ("recovery",)) and mode not in (approval.modes or ("recovery",)):
        found.append(NotTested(what="approval", reason=f"the plan does not ask for it in a {mode}"))
    skip = parameters.get("skip_scripts") is True
    for planned, wave in zip(plan.waves, waves, strict=True):
        if wave.state == "skipped":
            found.append(NotTested(what="wave", wave=wave.name, reason="this wave is not selected in this run"))
        elif wave.state == "not_started":
            found.append(NotTested(what="wave", wave=wave.name, reason=_NOT_REACHED))
        else:
            found += _of_wave(planned, wave, mode, skip)
    return found


def _of_wave(planned: PlanWave, wave: Wave, mode: str, skip: bool) -> Iterator[NotTested]:
    approval = planned.approval
    asked_in = (approval.modes if approval else None) or ("drill", "recovery")
    if approval and "recovery" in asked_in and mode not in asked_in:
        yield NotTested(what="approval", wave=wave.name, reason=f"the plan does not ask for it in a {mode}")
    for left in wave.left_out:
        yield NotTested(what="server", wave=wave.name, name=left.server, reason=left.reason)
    for server in wave.servers:
        launched = server.ec2_instance_id or server.launch_status in ("LAUNCHED", "TERMINATED")
        if (launched and not server.reason) or (not launched and server.critical and wave.state != "success"):
            # The latter was tried, and is why the wave failed.
            continue
        why = server.reason or f"it was not launched ({(server.launch_status or 'unknown').lower()})"
        yield NotTested(
            what="server", wave=wave.name, name=server.hostname or server.source_server_id, reason=why.splitlines()[0]
        )
    recorded = {(script.section, script.name): script for script in wave.scripts}
    for section in ("pre_launch", "post_launch"):
        for script in getattr(planned, section):
            if "recovery" in script.modes:
                yield from _of_script(script, recorded.get((section, script.name)), wave, mode, skip)
    for check in wave.health_checks:
        if check.state in ("skipped", "not_started"):
            yield NotTested(what="health_check", wave=wave.name, name=check.name, reason=check.reason or _NOT_REACHED)


def _of_script(script: PlanScript, ran: Script | None, wave: Wave, mode: str, skip: bool) -> Iterator[NotTested]:
    why = why_left_out(script, mode, skip_scripts=skip)
    if why is None and ran is not None and ran.state in ("skipped", "not_started"):
        why = ran.reason or _NOT_REACHED
    if why:
        yield NotTested(what="script", wave=wave.name, name=script.name, reason=why)
        return
    here, there = script.in_mode(mode).parameters, script.in_mode("recovery").parameters
    if others := sorted(name for name in {*here, *there} if here.get(name) != there.get(name)):
        reason = f"it ran with the parameters of a {mode}: {', '.join(others)}"
        yield NotTested(what="parameters", wave=wave.name, name=script.name, reason=reason)
