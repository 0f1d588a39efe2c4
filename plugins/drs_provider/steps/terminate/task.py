"""The end of a drill: its task in the DAG."""

from __future__ import annotations

from drs_provider.tasks.delegation import INSTANCES_LINK, RecoveryTask

__all__ = ["TerminateDrill"]


class TerminateDrill(RecoveryTask):
    """Terminates the instances that this drill launched, as ``drill.terminate`` and ``drill.keep_for`` say."""

    work_path = "drs_provider.steps.terminate.work.TerminateWork"
    operator_extra_links = (INSTANCES_LINK,)
    ends_the_run = True
