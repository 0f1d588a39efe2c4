"""The launch of a wave: its task in the DAG."""

from __future__ import annotations

from drs_provider.tasks.delegation import JOB_LINK, RecoveryTask

__all__ = ["LaunchWave"]


class LaunchWave(RecoveryTask):
    """Resolves the wave's servers, checks their lag, and launches each exactly once."""

    work_path = "drs_provider.steps.launch.work.LaunchWork"
    operator_extra_links = (JOB_LINK,)
