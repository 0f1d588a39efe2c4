"""The approval before a wave: its task in the DAG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drs_provider.tasks.delegation import QUESTIONS, RecoveryTask

if TYPE_CHECKING:
    from drs_provider.plan.steps import Step

__all__ = ["ApproveWave"]


class ApproveWave(RecoveryTask):
    """Waits until a person says go before a wave."""

    work_path = "drs_provider.steps.approve.work.ApproveWork"

    @classmethod
    def of(cls, step: Step, **kwargs: Any) -> RecoveryTask:
        """Return the task, which asks again as often as a question may be lost."""
        return cls(retries=QUESTIONS, **kwargs)
