"""The gates that people hold: the typed confirmation and approval of a run, and the approval before a wave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, DownstreamTasksSkipped, conf
from airflow.providers.standard.exceptions import HITLRejectException, HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator

from drs_provider.dag.messages import approval_wanted, drill_missed, started
from drs_provider.dag.missed import not_held, previous_moment
from drs_provider.dag.notifications import notify
from drs_provider.dag.run import RecoveryRun, RunParameterError
from drs_provider.dag.work.base import PLAN_KEY, RecoveryWork, utc_now
from drs_provider.dag.work.identity import record_identity
from drs_provider.evidence.events import approval_event, confirm_event
from drs_provider.plan.durations import format_duration

if TYPE_CHECKING:
    from airflow.sdk import Context

    from drs_provider.plan import Approval, LoadedPlan, Wave

__all__ = ["ApproveWork", "ConfirmWork"]


# How Airflow says that a person started a run, or another DAG did. Schedules, backfills and assets start drills only.
_BY_HAND = frozenset({"manual", "operator_triggered"})


class _Approval(RecoveryWork, ApprovalOperator):
    """Waits until a person approves, and turns every other outcome into one clear, final failure.

    Airflow lets anyone who may edit the run answer, unless it is given the ids of those who may. A plan gives names,
    and in most auth managers a name is not an id (FAB numbers its users). So who answered is judged here, by name or
    id. An answer of somebody who may not give it fails the task, and starts nothing. (Asking again within the same try
    is not possible: Airflow 3.3 answers 500 to a question that was answered.)
    """

    approval: Approval | None

    def ask(self, context: Context) -> None:
        """Put the question into Airflow's list of required actions, tell that it is there, and wait."""
        context["ti"].xcom_push(key="asked", value=utc_now())
        if self.approval:
            self._notify(context, self.approval)
        super().execute(context)

    def _notify(self, context: Context, approval: Approval) -> None:
        """Tell that a person has to decide, just before the question stands in Airflow's list."""
        try:
            url = self.generate_link_to_ui_from_context(context=context)
        except ValueError:
            url = ""
        message = approval_wanted(
            self.loaded.plan,
            self.run(context),
            approval,
            question=" ".join(filter(None, (self.subject, approval.message))),
            wave=self.wave.name if self.wave else "",
            url=url,
        )
        notify(self.loaded, context, message)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Judge the answer.

        :raises AirflowFailException: when the approval was rejected, came too late, or came from somebody who may not.
        """
        name, user_id = _who(event)
        refusal = self._refusal(context, event, name, user_id)
        if refusal:
            self._record(context, f"refused: {refusal}", name)
            raise AirflowFailException(
                f"{name} answered for {self._what}, but {refusal}. Clear this task to ask again."
            )
        try:
            super().execute_complete(context, event)
        except HITLTimeoutError:
            self._record(context, "timed out", None)
            within = format_duration(self.approval.timeout) if self.approval else "its time"
            raise AirflowFailException(
                f"Nobody approved {self._what} within {within}. Clear this task to ask again."
            ) from None
        except HITLRejectException:
            self._record(context, "rejected", name)
            raise AirflowFailException(f"{name} rejected {self._what}. Clear this task to ask again.") from None
        self._record(context, "approved", name)
        return {"approved_by": name}

    def _refusal(self, context: Context, event: Mapping[str, Any], name: str, user_id: str) -> str | None:
        """Say why an answer does not count; None where it does. Whoever started the run may still reject it."""
        approvers = self.approval.approvers if self.approval else ()
        if not approvers or "error" in event:
            return None
        if name not in approvers and user_id not in approvers:
            return f"the plan names the approvers {', '.join(approvers)}"
        if event.get("chosen_options") == [self.APPROVE] and name == context["dag_run"].triggering_user_name:
            return "they started this run, and the plan asks for a second person"
        return None

    def _record(self, context: Context, decision: str, approver: str | None) -> None:
        """Tell the report what was decided."""
        ti = context["ti"]
        event = approval_event(
            started=ti.xcom_pull(task_ids=self.task_id, key="asked") or utc_now(),
            ended=utc_now(),
            where=self.wave.name if self.wave else "recovery",
            approver=approver,
            decision=decision,
        )
        self.leave_evidence(context, event)

    @property
    def _what(self) -> str:
        return f"the wave {self.wave.name}" if self.wave else f"the recovery {self.loaded.plan.name}"


def _who(event: Mapping[str, Any]) -> tuple[str, str]:
    """Return the name and the id of whoever answered."""
    user = event.get("responded_by_user") or {}
    if not isinstance(user, Mapping):
        return str(user), str(user)
    return str(user.get("name") or user.get("id") or "nobody"), str(user.get("id") or "")


def _question(approval: Approval | None, about: str | None) -> dict[str, Any]:
    """Return an approval as the arguments of Airflow's operator."""
    if approval is None:
        return {"body": about}
    body = [approval.message or about, f"Approvers: {', '.join(approval.approvers)}." if approval.approvers else None]
    question: dict[str, Any] = {"body": " ".join(filter(None, body)) or None, "response_timeout": approval.timeout}
    # Only where a user's name is their id can Airflow itself turn others away.
    if approval.approvers and "SimpleAuthManager" in conf.get("core", "auth_manager", fallback=""):
        question["assigned_users"] = [{"id": name, "name": name} for name in approval.approvers]
    return question


class ConfirmWork(_Approval):
    """The run's first task: checks its parameters, records the plan, and holds a real recovery until it is approved.

    :param loaded: the plan.
    """

    # A plan's words are never rendered as templates.
    template_fields = ()

    def __init__(self, *, loaded: LoadedPlan, **kwargs: Any) -> None:
        approval = loaded.plan.recovery.approval
        super().__init__(
            subject=f"Start the REAL recovery {loaded.plan.name}?",
            fail_on_reject=True,
            **_question(approval, loaded.plan.description),
            **kwargs,
        )
        self.loaded = loaded
        self.approval = approval

    def execute(self, context: Context) -> Any:
        """Check, record, and in a recovery with an approval ask.

        :raises AirflowFailException: when the run was started with parameters that do not fit.
        """
        dag_run, begun = context["dag_run"], utc_now()
        self._hold_only_in_time(context, begun)
        try:
            run = RecoveryRun.from_context(context)
            run.check(
                self.loaded.plan,
                dag_run.conf or {},
                scheduled=dag_run.run_type not in _BY_HAND,
                parameters=context["params"],
            )
            record_identity(context, run)
        except RunParameterError as error:
            event = confirm_event(
                started=begun,
                ended=utc_now(),
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
        notify(self.loaded, context, started(self.loaded.plan, run, by=by))
        if not run.is_drill and self.approval:
            self.ask(context)
        return {"mode": run.mode, "plan_hash": self.loaded.hash}

    def _hold_only_in_time(self, context: Context, begun: str) -> None:
        """Let a scheduled drill go that comes too late, or on a day on which the plan wants none.

        :raises DownstreamTasksSkipped: with every task but the report, which records that no drill was held.
        """
        dag_run = context["dag_run"]
        missed = not_held(dag_run, self.loaded.plan.drill, previous=lambda: previous_moment(context))
        if missed is None:
            return
        self.log.warning("No drill is held: %s", missed.reason)
        event = confirm_event(
            started=begun,
            ended=utc_now(),
            status="missed",
            mode="drill",
            triggered_by=None,
            reason=missed.reason,
            missed=missed.moments,
        )
        self.leave_evidence(context, event)
        run = RecoveryRun(dag_run.dag_id, dag_run.run_id)
        notify(self.loaded, context, drill_missed(self.loaded.plan, run, missed))
        tasks = [task.task_id for task in context["dag"].tasks if task.task_id not in (self.task_id, "report")]
        raise DownstreamTasksSkipped(tasks=tasks)  # type: ignore[no-untyped-call]


class ApproveWork(_Approval):
    """Waits until a person says go before a wave.

    :param loaded: the plan.
    :param wave: the wave.
    """

    template_fields = ()

    def __init__(self, *, loaded: LoadedPlan, wave: Wave, **kwargs: Any) -> None:
        super().__init__(
            subject=f"Start the wave {wave.name} of {loaded.plan.name}?",
            fail_on_reject=True,
            **_question(wave.approval, wave.description),
            **kwargs,
        )
        self.loaded = loaded
        self.wave = wave
        self.approval = wave.approval

    def execute(self, context: Context) -> Any:
        """Ask, unless the run leaves this wave out."""
        self.begin(context)
        self.ask(context)
