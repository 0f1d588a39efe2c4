"""How long a health check takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drs_provider.estimate.likely import Likely
from drs_provider.plan.health import InstanceStatusCheck, SsmOnlineCheck

if TYPE_CHECKING:
    from drs_provider.estimate.likely import Case
    from drs_provider.estimate.work import Moment, TimedStep, Workload
    from drs_provider.plan.steps import Step
    from drs_provider.plan.waves import Wave

__all__ = ["forecast_check"]


def forecast_check(load: Workload, wave: Wave, step: Step, case: Case) -> TimedStep | None:
    """Return the check; one of the instance itself holds once it has booted, or its agent is online."""
    check = step.check
    if check is None:
        return None
    history = load.durations.history
    learnt = history.check(load.plan.name, wave.name, step.title) if history else None
    until: Moment | None = None
    of_instance = isinstance(check, (InstanceStatusCheck, SsmOnlineCheck))
    work = Likely.exactly(0.0) if of_instance else load.durations.service(check)
    if isinstance(check, InstanceStatusCheck):
        until = "boots"
    elif isinstance(check, SsmOnlineCheck) or getattr(check, "via", "worker") == "ssm":
        until = "agents"
    return load.waited("health", step.title, learnt, work, case, until)
