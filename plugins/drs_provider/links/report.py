"""The link from a run's last task to its report, as the API server shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.providers.common.compat.sdk import conf
from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

__all__ = ["REPORTS_PREFIX", "RecoveryReportLink", "report_url"]

REPORTS_PREFIX = "/drs-reports"
"""Where the API server shows reports; :mod:`drs_provider.reports_plugin` mounts it there."""


def report_url(dag_id: str, run_id: str) -> str:
    """Return the address of a run's report in Airflow; without a host where ``[api] base_url`` is not set.

    :param dag_id: the DAG, which is the plan's name.
    :param run_id: Airflow's run id.
    """
    base = (conf.get("api", "base_url", fallback="") or "").rstrip("/")
    return f"{base}{REPORTS_PREFIX}/{quote(dag_id, safe='')}/{quote(run_id, safe='')}"


class RecoveryReportLink(BaseOperatorLink):
    """The report of the run."""

    name = "Recovery report"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Return the address; the task that wrote the report stores it, whether the run failed or not."""
        return report_url(ti_key.dag_id, ti_key.run_id)
