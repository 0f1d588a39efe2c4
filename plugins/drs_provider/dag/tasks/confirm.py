"""The gates that people hold: the typed confirmation and approval of a run, and the approval before a wave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.providers.standard.exceptions import HITLRejectException, HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator

from drs_provider.dag.run import RunParameterError
from drs_provider.dag.tasks.base import PLAN_KEY, RecoveryTask, utc_now
from drs_provider.evidence.events import EVIDENCE_KEY, approval_event

if TYPE_CHECKING:
    from airflow.sdk import Context

    from drs_provider.plan import Approval, LoadedPlan, Wave

__all__ = ["ApproveWave", "ConfirmRun"]


class _Approval(RecoveryTask, ApprovalOperator):
    """Waits until a person approves, and turns every other outcome into one clear, final failure."""

    approval: Approval | None

    def ask(self, context: Context) -> None:
        """Put the question into Airflow's list of required actions, and wait in the background."""
        context["ti"].xcom_push(key="asked", value=utc_now())
        super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Judge the answer.

        :raises AirflowFailException: when the approval was rejected, came too late, or came from the person who
            started the run although the plan names approvers.
        """
        ti = context["ti"]
        asked = ti.xcom_pull(task_ids=self.task_id, key="asked") or utc_now()

        def record(decision: str, answer: Mapping[str, Any] | None = None) -> str:
            user = (answer or {}).get("responded_by_user") or {}
            name = str(user.get("name") or user.get("id") or "nobody") if isinstance(user, Mapping) else str(user)
            ti.xcom_push(
                key=EVIDENCE_KEY,
                value=approval_event(
                    started=asked,
                    ended=utc_now(),
                    where=self.wave.name if self.wave else "recovery",
                    approver=name,
                    decision=decision,
                ),
            )
            return name

        try:
            answer = super().execute_complete(context, event)
        except HITLTimeoutError:
            record("timed out")
            raise AirflowFailException(
                f"Nobody approved {self._what} within {self.response_timeout}. Clear this task to ask again."
            ) from None
        except HITLRejectException:
            name = record("rejected", event)
            raise AirflowFailException(f"{name} rejected {self._what}. Clear this task to ask again.") from None
        starter = context["dag_run"].triggering_user_name
        name = record("approved", answer)
        if self.approval and self.approval.approvers and name == starter:
            record("refused: approved by the person who started the run", answer)
            raise AirflowFailException(
                f"{name} started this run and cannot approve it too: the plan asks for a second person, one of "
                f"{', '.join(self.approval.approvers)}. Clear this task to ask again."
            )
        return {"approved_by": name}

    @property
    def _what(self) -> str:
        return f"the wave {self.wave.name}" if self.wave else f"the recovery {self.loaded.plan.name}"


def _question(approval: Approval | None) -> dict[str, Any]:
    """Return an approval as the arguments of Airflow's operator."""
    if approval is None:
        return {}
    return {
        "assigned_users": [{"id": name, "name": name} for name in approval.approvers] or None,
        "response_timeout": approval.timeout,
    }


class ConfirmRun(_Approval):
    """The run's first task: checks its parameters, records the plan, and holds a real recovery until it is approved.

    :param loaded: the plan.
    """

    # A plan's words are never rendered as templates.
    template_fields = ()

    def __init__(self, *, loaded: LoadedPlan, **kwargs: Any) -> None:
        approval = loaded.plan.recovery.approval
        super().__init__(
            subject=f"Start the REAL recovery {loaded.plan.name}?",
            body=(approval.message if approval else None) or loaded.plan.description,
            fail_on_reject=True,
            **_question(approval),
            **kwargs,
        )
        self.loaded = loaded
        self.approval = approval

    def execute(self, context: Context) -> Any:
        """Check, record, and in a recovery with an approval ask.

        :raises AirflowFailException: when the run was started with parameters that do not fit.
        """
        dag_run = context["dag_run"]
        run = self.run(context)
        try:
            run.check(self.loaded.plan, dag_run.conf or {}, scheduled=dag_run.run_type == "scheduled")
        except RunParameterError as error:
            raise AirflowFailException(str(error)) from None
        context["ti"].xcom_push(key=PLAN_KEY, value=self.loaded.record())
        self.log.info("%s of %s, plan hash %s", run.mode, self.loaded.plan.name, self.loaded.hash[:12])
        if not run.is_drill and self.approval:
            self.ask(context)
        return {"mode": run.mode, "plan_hash": self.loaded.hash}


class ApproveWave(_Approval):
    """Waits until a person says go before a wave.

    :param loaded: the plan.
    :param wave: the wave.
    """

    template_fields = ()

    def __init__(self, *, loaded: LoadedPlan, wave: Wave, **kwargs: Any) -> None:
        super().__init__(
            subject=f"Start the wave {wave.name} of {loaded.plan.name}?",
            body=(wave.approval.message if wave.approval else None) or wave.description,
            fail_on_reject=True,
            **_question(wave.approval),
            **kwargs,
        )
        self.loaded = loaded
        self.wave = wave
        self.approval = wave.approval

    def execute(self, context: Context) -> Any:
        """Ask, unless the run leaves this wave out."""
        self.begin(context)
        self.ask(context)
