"""Which AWS actions one plan needs, in one mode: the part of the grants that preflight simulates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from drs_provider.plan.kinds import every_kind
from drs_provider.plan.steps import run_steps, steps_of
from drs_provider.readiness.findings import Mode
from drs_provider.readiness.grants import GRANTS, Grant

if TYPE_CHECKING:
    from drs_provider.plan import RecoveryPlan, Script, Wave
    from drs_provider.plan.targets import NamedTarget

__all__ = ["needs_of", "required_actions", "required_grants", "scripts_of", "scripts_of_run"]


def scripts_of(wave: Wave, mode: Mode, *, unwinds: bool = False) -> list[Script]:
    """The scripts that a wave may run in a mode, in the order of the plan, each with its parameters in that mode.

    :param wave: the wave.
    :param mode: ``drill`` or ``recovery``.
    :param unwinds: whether the plan unwinds its waves, whatever they say themselves (``recovery.on_failure``).
    """
    rollback = wave.rollback if unwinds or wave.on_failure == "rollback" else ()
    scripts = (*wave.pre_launch, *wave.post_launch, *rollback)
    return [script.in_mode(mode) for script in scripts if mode in script.modes]


def scripts_of_run(
    plan: RecoveryPlan,
    mode: Mode,
    waves: Iterable[str] | None = None,
    *,
    skip_scripts: bool = False,
    place: NamedTarget | None = None,
) -> list[Script]:
    """The scripts that a run of a plan may run, wave by wave; the parameters are those of :func:`required_grants`."""
    wanted = None if waves is None else set(waves)
    chosen = [] if skip_scripts else [wave for wave in plan.waves if wanted is None or wave.name in wanted]
    unwinds = plan.recovery.on_failure == "rollback"
    return [
        script
        for wave in chosen
        for script in scripts_of(wave, mode, unwinds=unwinds)
        if place is None or plan.target_of(wave, script).key == place.key
    ]


def needs_of(
    plan: RecoveryPlan,
    mode: Mode,
    waves: Iterable[str] | None = None,
    *,
    skip_scripts: bool = False,
    place: NamedTarget | None = None,
) -> set[str]:
    """What a plan needs rights for: the values of :attr:`Grant.need`; the parameters are those of
    :func:`required_grants`."""
    wanted = {wave.name for wave in plan.waves} if waves is None else set(waves)
    chosen = _launched(plan, wanted, place)
    needs = {"launch"} if chosen else set()
    unwinds = plan.recovery.on_failure == "rollback" or any(wave.on_failure == "rollback" for wave in chosen)
    if chosen and (unwinds or (mode == "drill" and plan.drill.terminate != "never")):
        needs.add("terminate")
    for script in scripts_of_run(plan, mode, wanted, skip_scripts=skip_scripts, place=place):
        needs |= {"scripts", "automation" if script.automation else "run_command"}
        if script.parameters.get("AutomationAssumeRole"):
            needs.add("automation_role")
    for wave in chosen:
        if any(getattr(check, "via", None) == "ssm" or check.type == "ssm_online" for check in wave.health_checks):
            needs.add("run_command")
    notifies = place is None or place.key == plan.default_target.key
    if notifies and any(getattr(target, "sns", None) for target in plan.notify):
        needs.add("notify")
    return needs


def _launched(plan: RecoveryPlan, waves: set[str], place: NamedTarget | None) -> list[Wave]:
    """Return those of some waves that are launched in a target; None: in any."""
    here = [wave for wave in plan.waves if wave.name in waves]
    return [wave for wave in here if place is None or plan.target_of(wave).key == place.key]


def required_grants(
    plan: RecoveryPlan,
    mode: Mode,
    waves: Iterable[str] | None = None,
    *,
    skip_scripts: bool = False,
    place: NamedTarget | None = None,
) -> list[Grant]:
    """The grants that a run of this plan needs, without the optional ones.

    :param plan: the plan.
    :param mode: ``drill`` or ``recovery``.
    :param waves: names of the waves that run; None means all.
    :param skip_scripts: whether the run leaves the scripts out.
    :param place: what is needed in this target alone; None: in all of them.
    """
    needs = needs_of(plan, mode, waves, skip_scripts=skip_scripts, place=place)
    wanted = {wave.name for wave in plan.waves} if waves is None else set(waves)
    steps = {step.kind for wave in _launched(plan, wanted, place) for step in steps_of(wave)}
    steps |= {step.kind for group in run_steps(plan) for step in group.steps}
    return [
        *(grant for grant in GRANTS if grant.need in needs and not grant.optional),
        *(
            Grant(f"Step{kind.name.title().replace('_', '')}", "steps", kind.permissions, f"The steps {kind.name}.")
            for kind in every_kind()
            if kind.name in steps and kind.permissions
        ),
    ]


def required_actions(plan: RecoveryPlan, mode: Mode, waves: Iterable[str] | None = None) -> dict[str, str]:
    """The IAM actions that a run of this plan needs, and why: action -> reason of the first grant that has it.

    :param plan: the plan.
    :param mode: ``drill`` or ``recovery``.
    :param waves: names of the waves that run; None means all.
    """
    actions: dict[str, str] = {}
    for grant in required_grants(plan, mode, waves):
        for action in grant.actions:
            actions.setdefault(action, grant.reason)
    return actions
