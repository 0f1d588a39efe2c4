"""Which AWS actions one plan needs, in one mode: the part of the grants that preflight simulates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from drs_provider.plan.kinds import every_kind, kind_named, own_kinds
from drs_provider.plan.steps import rollback_scripts, run_steps, steps_of, undo_of
from drs_provider.readiness.findings import Mode
from drs_provider.readiness.grants import GRANTS

if TYPE_CHECKING:
    from drs_provider.plan import RecoveryPlan, Script, Wave
    from drs_provider.plan.statements import Grant
    from drs_provider.plan.steps import Step
    from drs_provider.plan.targets import NamedTarget

__all__ = [
    "checks_of_run",
    "needs_of",
    "required_actions",
    "required_grants",
    "scripts_of",
    "scripts_of_run",
    "steps_of_run",
]


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


def steps_of_run(
    plan: RecoveryPlan,
    mode: Mode,
    waves: Iterable[str] | None = None,
    *,
    skip_scripts: bool = False,
    place: NamedTarget | None = None,
) -> list[tuple[Step, Wave | None]]:
    """Every step that a run may do, each with its wave: those of the whole run, of its waves, and what undoes these.

    The parameters are those of :func:`required_grants`.
    """
    wanted = {wave.name for wave in plan.waves} if waves is None else set(waves)
    found: list[tuple[Step, Wave | None]] = []
    for wave in (wave for wave in plan.waves if wave.name in wanted):
        steps = [*steps_of(wave)]
        if undo := undo_of(wave, plan):
            steps += [undo, *rollback_scripts(wave)]
        here = [step for step in steps if place is None or plan.target_of(wave, step.script).key == place.key]
        found += [(step, wave) for step in here if step.takes_part(mode, skip_scripts=skip_scripts)]
    # What belongs to the whole run is done wherever something of it is launched.
    if any(step.kind == "launch" for step, _ in found):
        found += [(step, None) for group in run_steps(plan) for step in group.steps]
    return found


def checks_of_run(
    plan: RecoveryPlan,
    mode: Mode,
    waves: Iterable[str] | None = None,
    *,
    skip_scripts: bool = False,
    place: NamedTarget | None = None,
) -> list[str]:
    """The dotted paths of the preflight checks that the kinds of a run's steps name, each once.

    The parameters are those of :func:`required_grants`.
    """
    steps = steps_of_run(plan, mode, waves, skip_scripts=skip_scripts, place=place)
    return list(dict.fromkeys(filter(None, (kind_named(step.kind).checks for step, _ in steps))))


def needs_of(
    plan: RecoveryPlan,
    mode: Mode,
    waves: Iterable[str] | None = None,
    *,
    skip_scripts: bool = False,
    place: NamedTarget | None = None,
) -> set[str]:
    """What a run of a plan needs permissions for: values of :attr:`~drs_provider.plan.statements.Grant.need`.

    The parameters are those of :func:`required_grants`.
    """
    steps = steps_of_run(plan, mode, waves, skip_scripts=skip_scripts, place=place)
    needs = {need for step, wave in steps for need in kind_named(step.kind).needs(step, wave, plan, mode)}
    notifies = place is None or place.key == plan.default_target.key
    if notifies and any(getattr(target, "sns", None) for target in plan.notify):
        needs.add("notify")
    return needs


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
    # The shipped policies lack those of kinds from outside.
    added = [grant for kind in every_kind() if kind not in own_kinds() for grant in kind.grants]
    return [grant for grant in (*GRANTS, *added) if grant.need in needs and not grant.optional]


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
