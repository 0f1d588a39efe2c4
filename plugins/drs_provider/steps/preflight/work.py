"""The check of everything before anything is launched: one task, all findings at once, closed when in doubt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    BaseOperator,
    DownstreamTasksSkipped,
)

from drs_provider.hooks.connection import connection_refusal, is_missing
from drs_provider.hooks.drs import DrsHook
from drs_provider.readiness import run_preflight
from drs_provider.readiness.connection import missing_connection, refused_connection
from drs_provider.readiness.findings import Finding
from drs_provider.readiness.notifiers import silent_topics
from drs_provider.readiness.whereabouts import places_of_run
from drs_provider.steps.preflight.event import FoundFinding, FoundTarget, PreflightEvent
from drs_provider.tasks.accounts import ACCOUNTS_KEY, place_key
from drs_provider.tasks.advice import what_to_do
from drs_provider.tasks.recovery_work import RecoveryWork, aws_clients, quotas_key, utc_now
from drs_provider.tasks.refusal import refusal_skips_the_rest
from drs_provider.tasks.secret_values import secret_value

if TYPE_CHECKING:
    from airflow.sdk import Context

    from drs_provider.plan import LoadedPlan
    from drs_provider.plan.targets import NamedTarget
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
        plan = self.loaded.plan
        selected = [wave.name for wave in plan.waves if run.selects(wave.name)]
        places = places_of_run(plan, run.mode, selected, skip_scripts=run.skip_scripts)
        known = self._check_connections(context, run, places, started)
        result = run_preflight(
            plan,
            lambda place: aws_clients(DrsHook(aws_conn_id=place.aws_conn_id, region_name=place.region)),
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
                targets=[
                    FoundTarget(
                        name=one.identity.name,
                        region=one.identity.region,
                        account=one.identity.account,
                        caller=one.identity.caller,
                    )
                    for one in result.targets
                ],
                overridden=sorted({finding.code for finding in overridden}),
                override_reason=run.override.reason if run.override else None,
                override_by=context["dag_run"].triggering_user_name if run.override else None,
            ),
        )
        seen = {}
        for place, looked in zip(places, result.targets, strict=False):
            if looked.quotas:
                context["ti"].xcom_push(key=quotas_key(plan, place), value=asdict(looked.quotas))
            if looked.identity.account:
                seen[place_key(place)] = looked.identity.account
        context["ti"].xcom_push(key=ACCOUNTS_KEY, value=seen)
        looked_at = "\n".join(f"{one.identity}. {one.scope or 'Nothing was looked at.'}" for one in result.targets)
        self.log.info("Findings of preflight:\n%s\n%s", findings.table(), looked_at)
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

    def confirm_account(self, context: Mapping[str, Any]) -> None:
        """Leave that to the checks: they look at every target, and what is wrong with one is a finding."""

    def _check_connections(
        self, context: Context, run: RecoveryRun, places: Sequence[NamedTarget], started: str
    ) -> list[Finding]:
        """Look the connections of the run's targets up before anything is asked through them.

        :returns: findings that a person decided to go on with.
        :raises AirflowException: when Airflow cannot look one up, and the next try may.
        :raises AirflowFailException: when one is missing, or may not be used.
        """
        ti = context["ti"]
        known: list[Finding] = []
        wrong: list[Finding] = []
        for connection in dict.fromkeys(place.aws_conn_id for place in places):
            if refusal := connection_refusal(connection):
                finding = refused_connection(refusal)
                (known if finding.code in run.overridden else wrong).append(finding)
            elif is_missing(connection):
                if ti.try_number <= ti.max_tries:
                    # What Airflow cannot look up now may be there at the next try; the last one says that it is not.
                    raise AirflowException(f"Airflow has no connection {connection}, or cannot look it up now")
                wrong.append(missing_connection(connection))
        home = self.loaded.plan.default_target.aws_conn_id
        publishes = any(channel.sns for channel in self.loaded.plan.notify)
        if publishes and home not in {place.aws_conn_id for place in places} and is_missing(home):
            known.append(silent_topics(home))
        if wrong:
            # Not even a question is asked: Airflow would ask it as somebody else.
            self.leave_evidence(
                context,
                PreflightEvent(
                    started=started,
                    ended=utc_now(),
                    status="failed",
                    findings=[FoundFinding(**one.as_dict()) for one in (*known, *wrong)],
                ),
            )
            raise AirflowFailException("\n".join(f"{one.message} {one.remedy}" for one in wrong))
        return known

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
