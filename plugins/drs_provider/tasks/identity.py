"""What tells this run's jobs in DRS from all others, as the run's first task recorded it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from drs_provider.aws.drs.run_identity import CLOCK_MARGIN, RunIdentity
from drs_provider.hooks.installation import installation
from drs_provider.runs.recovery_run import RecoveryRun, RunParameterError
from drs_provider.tasks.xcom import pulled

__all__ = ["IDENTITY_KEY", "identity_of", "jobs_since", "record_identity", "script_owner"]

IDENTITY_KEY = "identity"
"""XCom key under which the run's first task records the installation, and when the run began."""

_TAKEN_OVER = timedelta(days=30)
"""How far back the jobs of a lost installation are looked for."""


def record_identity(context: Mapping[str, Any], run: RecoveryRun) -> None:
    """Record which installation the run is of, and when it began; for the run's first task.

    :raises RunParameterError: when the run takes over what is its own.
    """
    ti, here = context["ti"], installation()
    if run.take_over == here:
        raise RunParameterError(f"take_over is {run.take_over!r}, which is this installation itself")
    # A second try may be that of a clear: what this run launched before is still its own.
    began = datetime.now(timezone.utc).isoformat() if ti.try_number == 1 else None
    ti.xcom_push(key=IDENTITY_KEY, value={"installation": here, "began": began})


def identity_of(context: Mapping[str, Any], run: RecoveryRun) -> RunIdentity:
    """Return the identity of the run that a task belongs to.

    :param run: the run, for its mode and for the installation that it takes over.
    """
    # Nothing is recorded in a run that began before there was a record, or that went around its first task.
    record = pulled(context, "confirm", IDENTITY_KEY) or {"installation": installation()}
    return RunIdentity.from_record(run.dag_id, run.run_id, run.mode, record, run.take_over)


def script_owner(context: Mapping[str, Any], run: RecoveryRun) -> tuple[str, ...]:
    """Return what tells the commands and automations of the run from those of others with the same run id.

    Nothing, in a run that began before there was a record: its earlier tries have sent scripts under its ids alone.
    """
    record = pulled(context, "confirm", IDENTITY_KEY)
    return (run.mode, run.take_over or str(record["installation"])) if record else ()


def jobs_since(context: Mapping[str, Any]) -> datetime:
    """Return a moment before which the run cannot have started a job.

    A clear of the run moves its start date, but not the time after which it might run; clocks may differ a little. Jobs
    that it takes over may be older.
    """
    dag_run = context["dag_run"]
    moments: list[datetime] = [moment for moment in (dag_run.run_after, dag_run.start_date) if moment is not None]
    since = min(moments) - CLOCK_MARGIN
    return since - _TAKEN_OVER if (context.get("params") or {}).get("take_over") else since
