"""The pause after a launch: its task in the DAG."""

from __future__ import annotations

from drs_provider.tasks.delegation import RecoveryTask

__all__ = ["SettleWave"]


class SettleWave(RecoveryTask):
    """Waits for ``settle`` after the wave's launch, in the triggerer."""

    work_path = "drs_provider.steps.settle.work.SettleWork"
