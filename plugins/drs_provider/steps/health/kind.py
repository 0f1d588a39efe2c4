"""The health checks of a wave, as everything but their tasks knows them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from drs_provider.plan.kinds import Place, StepGroup, StepKind
from drs_provider.plan.steps import Step
from drs_provider.steps.health.event import HealthEvent

if TYPE_CHECKING:
    from drs_provider.plan.models import RecoveryPlan
    from drs_provider.plan.waves import Wave

__all__ = ["KIND"]

# Checks of the instance itself come before the scripts that need it; checks of the service on it come after those that
# start the service.
_INSTANCE_CHECKS = frozenset({"instance_status", "ssm_online"})


class CheckHealth(StepKind):
    """``health_checks`` of a wave: those of the instances side by side, later those of the services."""

    name = "health"
    task = "drs_provider.steps.health.task.CheckHealth"
    event = HealthEvent
    phase = "health"
    forecast = "drs_provider.steps.health.forecast.forecast_check"

    def groups(self, wave: Wave) -> Iterator[StepGroup]:
        """Return the checks of the instances, and those of the services."""
        steps = [
            Step(f"health.{name}", self.name, check.timeout, check=check)
            for name, check in wave.checks_by_name().items()
        ]
        of_instance = tuple(step for step in steps if step.check and step.check.type in _INSTANCE_CHECKS)
        yield StepGroup(Place.INSTANCE, of_instance)
        yield StepGroup(Place.SERVICE, tuple(step for step in steps if step not in of_instance))

    def needs(self, step: Step, wave: Wave | None, plan: RecoveryPlan, mode: str) -> Iterable[str]:
        """Return the permission to run commands, where the check asks SSM or by it."""
        by_ssm = step.check and (getattr(step.check, "via", None) == "ssm" or step.check.type == "ssm_online")
        return ("run_command",) if by_ssm else ()

    def activity(self, title: str) -> str:
        """Return what the wave does meanwhile."""
        return f"health check {title}"

    def counted(self, steps: int) -> str:
        """Return how many checks the wave has."""
        return f"{steps} check{'s' * (steps != 1)}"


KIND = CheckHealth()
