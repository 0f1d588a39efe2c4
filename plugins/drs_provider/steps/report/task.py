"""The report of a run: its task in the DAG."""

from __future__ import annotations

from datetime import timedelta

from drs_provider.links.report import RecoveryReportLink
from drs_provider.tasks.delegation import RecoveryTask

__all__ = ["WriteReport"]


class WriteReport(RecoveryTask):
    """Writes the report of the run, and fails when the run did.

    It is the run's last task and passes the verdict: it is the only leaf, so its state is the run's state.
    """

    work_path = "drs_provider.steps.report.work.ReportWork"
    operator_extra_links = (RecoveryReportLink(),)
    ends_the_run = True
    # What stands in its way, a full disk or a store that does not answer, passes: it is tried for longer than others.
    settings = {"retries": 12, "retry_delay": timedelta(seconds=10)}
