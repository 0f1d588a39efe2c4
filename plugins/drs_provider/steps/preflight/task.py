"""The readiness checks as they stand in the DAG."""

from __future__ import annotations

from drs_provider.tasks.delegation import RecoveryTask

__all__ = ["Preflight"]


class Preflight(RecoveryTask):
    """Checks servers, replication, snapshots, quotas, launch configuration, documents and permissions."""

    work_path = "drs_provider.steps.preflight.work.PreflightWork"
