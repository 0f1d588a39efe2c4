"""The gate of a run: the typed confirmation, and the approval of a recovery."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, DownstreamTasksSkipped

from drs_provider.runs.custody import Answer, is_one_of, recovery_approval
from drs_provider.runs.messages import drill_missed, started
from drs_provider.runs.missed_drills import not_held, previous_moment
from drs_provider.runs.notify import notify
from drs_provider.runs.recovery_run import BY_HAND, RecoveryRun, RunParameterError, started_by
from drs_provider.steps.confirm.event import ConfirmEvent
from drs_provider.tasks.approval import ApprovalWork, approval_arguments
from drs_provider.tasks.gates import PLAN_KEY, break_glass_users, is_cleared, starter_of
from drs_provider.tasks.identity import record_identity
from drs_provider.tasks.recovery_work import utc_now
from drs_provider.tasks.refusal import refusal_skips_the_rest

if TYPE_CHECKING:
    from airflow.sdk import Context

    from drs_provider.plan import LoadedPlan

__all__ = ["ConfirmWork"]


class ConfirmWork(ApprovalWork):
    """The run's first task: checks its parameters, records the plan, and holds a real recovery until it is approved.

    :param loaded: the plan.
    """

    # A plan's words are never rendered as templates.
    template_fields = ()
    where = "recovery"

    def __init__(self, *, loaded: LoadedPlan, **kwargs: Any) -> None:
        approval = loaded.plan.recovery.approval
        super().__init__(
            subject=f"Start the REAL recovery {loaded.plan.name}?",
            fail_on_reject=True,
            **approval_arguments(approval, loaded.plan.description),
            **kwargs,
        )
        self.loaded = loaded
        self.approval = approval

    def execute(self, context: Context) -> Any:
        """Check, record, and in a recovery with an approval ask.

        :raises AirflowFailException: when the run was started with parameters that do not fit.
        """
        with refusal_skips_the_rest(self, context):
            return self._check_and_ask(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Judge the answer; a run that is not approved is refused."""
        with refusal_skips_the_rest(self, context):
            return super().execute_complete(context, event)

    def _check_and_ask(self, context: Context) -> Any:
        dag_run, begun = context["dag_run"], datetime.now(timezone.utc)
        self._hold_only_in_time(context, begun)
        try:
            run = RecoveryRun.from_context(context, self.loaded.plan)
            run.check(
                self.loaded.plan,
                dag_run.conf or {},
                scheduled=started_by(dag_run) not in BY_HAND,
                parameters=context["params"],
            )
            record_identity(context, run)
        except RunParameterError as error:
            event = ConfirmEvent(
                started=begun,
                ended=datetime.now(timezone.utc),
                status="failed",
                mode=str(context["params"].get("mode") or "drill"),
                triggered_by=dag_run.triggering_user_name,
                reason=str(error),
            )
            self.leave_evidence(context, event)
            raise AirflowFailException(str(error)) from None
        context["ti"].xcom_push(key=PLAN_KEY, value=self.loaded.record())
        self.log.info("%s of %s, plan hash %s", run.mode, self.loaded.plan.name, self.loaded.hash[:12])
        by = dag_run.triggering_user_name or str(getattr(dag_run.run_type, "value", dag_run.run_type))
        if not self.given(context):
            notify(self.loaded, context, started(self.loaded.plan, run, by=by))
        result = {"mode": run.mode, "plan_hash": self.loaded.hash}
        approval = recovery_approval(self.loaded.plan, run.mode)
        if approval is None:
            # Leaves its record last: until then nothing was decided.
            self.passed(context, "confirmed")
            return result
        if run.break_glass and (starter := self._may_break_glass(context)):
            self.broke_glass(context, starter, run.break_glass)
            return {**result, "approved_by": starter.name, "break_glass": run.break_glass}
        if run.is_drill:
            self.subject = f"Start the drill {self.loaded.plan.name}?"
        self.ask(context, approval)
        return None

    def _may_break_glass(self, context: Context) -> Answer | None:
        """Return who started the run where that person may go on without approvals; otherwise the question is asked.

        Of a run that was cleared nobody knows by whom: there the glass is broken in the question itself.
        """
        name = starter_of(context)
        if not name or is_cleared(context):
            return None
        starter = Answer(name=name, at=utc_now())
        return starter if is_one_of(starter, break_glass_users()) else None

    @property
    def _counts_clears(self) -> bool:
        return True

    def _hold_only_in_time(self, context: Context, begun: datetime) -> None:
        """Let a scheduled drill go that comes too late, or on a day on which the plan wants none.

        :raises DownstreamTasksSkipped: with every task but the report, which records that no drill was held.
        """
        dag_run = context["dag_run"]
        missed = not_held(dag_run, self.loaded.plan.drill, previous=lambda: previous_moment(context))
        if missed is None:
            return
        self.log.warning("No drill is held: %s", missed.reason)
        event = ConfirmEvent(
            started=begun,
            ended=datetime.now(timezone.utc),
            status="missed",
            mode="drill",
            triggered_by=None,
            reason=missed.reason,
            missed=list(missed.moments),
        )
        self.leave_evidence(context, event)
        run = RecoveryRun(dag_run.dag_id, dag_run.run_id)
        notify(self.loaded, context, drill_missed(self.loaded.plan, run, missed))
        tasks = [task.task_id for task in context["dag"].tasks if task.task_id not in (self.task_id, "report")]
        raise DownstreamTasksSkipped(tasks=tasks)  # type: ignore[no-untyped-call]
