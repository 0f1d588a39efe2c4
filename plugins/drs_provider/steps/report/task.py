"""The report of a run: its task in the DAG."""

from __future__ import annotations

from drs_provider.links.report import RecoveryReportLink
from drs_provider.tasks.delegation import RecoveryTask

__all__ = ["WriteReport"]


class WriteReport(RecoveryTask):
    """Writes the report of the run, and fails when the run did."""

    work_path = "drs_provider.steps.report.work.ReportWork"
    operator_extra_links = (RecoveryReportLink(),)
    ends_the_run = True
