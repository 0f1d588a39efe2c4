"""The confirmation of a run: its task in the DAG."""

from __future__ import annotations

from drs_provider.tasks.delegation import QUESTIONS, RecoveryTask

__all__ = ["ConfirmRun"]


class ConfirmRun(RecoveryTask):
    """The run's first task: checks its parameters, records the plan, and holds a real recovery until it is approved."""

    work_path = "drs_provider.steps.confirm.work.ConfirmWork"
    settings = {"retries": QUESTIONS}
