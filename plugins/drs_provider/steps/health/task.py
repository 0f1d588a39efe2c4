"""A health check: its task in the DAG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drs_provider.plan import HttpCheck, TcpCheck
from drs_provider.tasks.delegation import COMMAND_LINK, RecoveryTask

if TYPE_CHECKING:
    from drs_provider.plan import HealthCheck
    from drs_provider.plan.steps import Step

__all__ = ["CheckHealth"]


class CheckHealth(RecoveryTask):
    """Waits until every instance of the wave passes a check.

    :param check: the check, as the plan says it.
    """

    work_path = "drs_provider.steps.health.work.health_work"

    def __init__(self, *, check: HealthCheck, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.check = check
        if isinstance(check, (TcpCheck, HttpCheck)) and check.via == "ssm":
            self.operator_extra_links = (COMMAND_LINK,)

    @classmethod
    def of(cls, step: Step, **kwargs: Any) -> RecoveryTask:
        """Return the task of one check."""
        known: dict[str, Any] = {"check": step.check}
        return cls(**known, **kwargs)

    @property
    def work_arguments(self) -> dict[str, Any]:
        """What the work needs to know beside the plan and the wave."""
        return {"check": self.check}
