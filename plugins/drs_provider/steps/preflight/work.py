"""The check of everything before anything is launched: one task, all findings at once, closed when in doubt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator, DownstreamTasksSkipped

from drs_provider.hooks.connection import connection_refusal, is_missing
from drs_provider.hooks.drs import DrsHook
from drs_provider.readiness import run_preflight
from drs_provider.readiness.connection import missing_connection, refused_connection
from drs_provider.steps.preflight.event import FoundFinding, PreflightEvent
from drs_provider.tasks.advice import what_to_do
from drs_provider.tasks.recovery_work import QUOTAS_KEY, RecoveryWork, aws_clients, utc_now
from drs_provider.tasks.refusal import refusal_skips_the_rest
from drs_provider.tasks.secret_values import secret_value

if TYPE_CHECKING:
    from airflow.sdk import Context

    from drs_provider.plan import LoadedPlan
    from drs_provider.runs.custody import Standing
    from drs_provider.runs.recovery_run import RecoveryRun

__all__ = ["PreflightWork"]


class PreflightWork(RecoveryWork, BaseOperator):
    """Checks servers, replication, snapshots, quotas, launch configuration, documents and rights.

    :param loaded: the plan.
    """

    template_fields = ()
    gates = ("confirm",)
    closed_by = ("confirm",)

    def __init__(self, *, loaded: LoadedPlan, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.loaded = loaded

    @property
    def longest_wait_for_aws(self) -> timedelta:
        """An hour at least: nothing is lost by the wait, and everything by a recovery that is not begun."""
        return max(super().longest_wait_for_aws, timedelta(hours=1))

    def execute(self, context: Context) -> dict[str, Any]:
        """Make every check, and go on only when nothing blocks.

        :returns: the findings, and for each wave its servers.
        :raises DownstreamTasksSkipped: with the tasks of waves that this run leaves out; the task succeeds.
        :raises AirflowFailException: with every finding, when one blocks that nobody overrode.
        """
        with refusal_skips_the_rest(self, context):
            return self._check(context)

    def _check(self, context: Context) -> dict[str, Any]:
        started = utc_now()
        try:
            run = self.begin(context)
        except AirflowFailException as error:
            event = PreflightEvent(started=started, ended=utc_now(), status="failed", findings=(), reason=str(error))
            self.leave_evidence(context, event)
            raise
        connection, ti = self.loaded.plan.default_target.aws_conn_id, context["ti"]
        missing = is_missing(connection)
        known = [missing_connection(connection)] if missing else []
        if refusal := connection_refusal(connection):
            finding = refused_connection(refusal)
            if finding.code not in run.overridden:
                # Not even a question is asked through it.
                self.leave_evidence(
                    context,
                    PreflightEvent(started=started, ended=utc_now(), status="failed", findings=[finding.as_dict()]),
                )
                raise AirflowFailException(f"{finding.message} {finding.remedy}")
            known.append(finding)
        if missing and ti.try_number <= ti.max_tries:
            # What Airflow cannot look up now may be there at the next try; the last one says that it is not.
            self.require_connection(run)
        result = run_preflight(
            self.loaded.plan,
            aws_clients(DrsHook(**self.aws)),
            mode=run.mode,
            waves=run.waves,
            snapshot_time=run.snapshot_time,
            own=self.identity(context),
            replace=run.replace_instances,
            skip_scripts=run.skip_scripts,
            lookup=secret_value,
            known=known,
        )
        if result.unanswered is not None and self.keeps_asking(result.unanswered):
            raise result.unanswered
        findings = result.findings
        blocking = findings.blocking(run.overridden)
        overridden = findings.overridden(run.overridden)
        self.leave_evidence(
            context,
            PreflightEvent(
                started=started,
                ended=utc_now(),
                status="failed" if blocking else "success",
                findings=[FoundFinding(**finding.as_dict()) for finding in findings],
                overridden=sorted({finding.code for finding in overridden}),
                override_reason=run.override.reason if run.override else None,
                override_by=context["dag_run"].triggering_user_name if run.override else None,
            ),
        )
        if result.quotas:
            context["ti"].xcom_push(key=QUOTAS_KEY, value=asdict(result.quotas))
        self.log.info("Findings of preflight:\n%s\n%s", findings.table(), result.scope)
        if blocking:
            waves = [wave.name for wave in self.loaded.plan.waves if run.selects(wave.name)]
            advice = what_to_do(self.loaded.plan, run, self.task_id, blocking, waves)
            raise AirflowFailException(f"{findings.message(run.overridden)}\n{advice}")
        if overridden and run.override:
            self.log.warning(
                "Going on in spite of %s, because: %s",
                ", ".join(sorted({finding.code for finding in overridden})),
                run.override.reason,
            )
        if left_out := self._left_out(run, context):
            context["ti"].xcom_push(key="return_value", value=result.as_dict())
            raise DownstreamTasksSkipped(tasks=left_out)  # type: ignore[no-untyped-call]
        return result.as_dict()

    def may_continue(self, context: Mapping[str, Any]) -> bool:
        """Look again: the launches that come next continue the run."""
        return True

    def note_continuing(self, context: Mapping[str, Any], standing: Standing) -> None:
        """Leave that to the launches: a look continues nothing."""

    def _left_out(self, run: RecoveryRun, context: Context) -> list[str]:
        """Return the tasks of waves that need not be waited for, so that none costs the start of a worker.

        Rollbacks stay: each waits for those of the waves that stand on it, and a run may have some of these.
        """
        waves = run.left_out_from_the_start(self.loaded.plan)
        return [
            task.task_id
            for task in context["dag"].tasks
            if (wave := getattr(task, "wave", None)) and wave.name in waves and task.task_id != f"{wave.name}.rollback"
        ]
