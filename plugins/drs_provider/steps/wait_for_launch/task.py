"""The wait for a wave's DRS jobs: its task in the DAG."""

from __future__ import annotations

from drs_provider.tasks.delegation import JOB_LINK, RecoveryTask

__all__ = ["WaitForLaunch"]


class WaitForLaunch(RecoveryTask):
    """Waits until every job of the wave has ended, judges its servers, and launches failed ones again."""

    work_path = "drs_provider.steps.wait_for_launch.work.WaitForLaunchWork"
    operator_extra_links = (JOB_LINK,)
