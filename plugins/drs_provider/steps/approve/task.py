"""The approval before a wave: its task in the DAG."""

from __future__ import annotations

from drs_provider.tasks.delegation import QUESTIONS, RecoveryTask

__all__ = ["ApproveWave"]


class ApproveWave(RecoveryTask):
    """Waits until a person says go before a wave."""

    work_path = "drs_provider.steps.approve.work.ApproveWork"
    # It asks again as often as a question may be lost.
    settings = {"retries": QUESTIONS}
