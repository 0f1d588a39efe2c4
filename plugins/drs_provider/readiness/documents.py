"""Which SSM documents a run may use, and which of its scripts use them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from drs_provider.readiness.actions import scripts_of
from drs_provider.readiness.findings import Mode

if TYPE_CHECKING:
    from drs_provider.plan import RecoveryPlan, Script
    from drs_provider.plan.targets import NamedTarget

__all__ = ["documents_of"]


def documents_of(
    plan: RecoveryPlan, mode: Mode, waves: Iterable[str], place: NamedTarget | None = None
) -> dict[str, list[tuple[str, Script]]]:
    """The documents that a run may use: document name -> the (wave name, script) pairs that name it.

    :param plan: the plan.
    :param mode: ``drill`` or ``recovery``.
    :param waves: names of the waves that run.
    :param place: only those that scripts use in this target; None: in all.
    """
    wanted = set(waves)
    found: dict[str, list[tuple[str, Script]]] = {}
    for wave in plan.waves:
        if wave.name in wanted:
            for script in scripts_of(wave, mode, unwinds=plan.recovery.on_failure == "rollback"):
                if place is None or plan.target_of(wave, script).key == place.key:
                    found.setdefault(script.automation or script.run_command or "", []).append((wave.name, script))
    return found
