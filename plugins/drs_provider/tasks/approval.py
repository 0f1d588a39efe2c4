"""A question to people in Airflow's list of required actions, and whose answers count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, conf
from airflow.providers.standard.exceptions import HITLRejectException, HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param
from airflow.sdk.definitions.param import ParamsDict

from drs_provider.aws.drs.launch_key import generation_of
from drs_provider.durations import format_duration
from drs_provider.evidence.events import EVIDENCE_KEY, last_event, read_events
from drs_provider.runs.custody import (
    CUSTODY_KEY,
    Answer,
    Decision,
    GateRecord,
    approvals_needed,
    eligible_answers,
    is_one_of,
    read_record,
    starter_is_unknown,
)
from drs_provider.runs.messages import approval_wanted, glass_broken
from drs_provider.runs.notify import notify
from drs_provider.runs.question import question
from drs_provider.steps.approve.event import ApprovalEvent
from drs_provider.steps.preflight.event import PreflightEvent
from drs_provider.tasks.gates import break_glass_users, clears_of, is_cleared, leave, run_type_of, starter_of
from drs_provider.tasks.live import end_question, show_question
from drs_provider.tasks.recovery_work import RecoveryWork, pulled, utc_now

if TYPE_CHECKING:
    from airflow.sdk import Context

    from drs_provider.plan import Approval, Wave

__all__ = ["ApprovalWork", "approval_arguments"]

_REASON = "reason"
_CLEARS = "clear_number"
"""How often the run had been cleared when the question was asked."""


def approval_arguments(approval: Approval | None, about: str | None) -> dict[str, Any]:
    """Return an approval as the arguments of Airflow's operator."""
    if approval is None:
        return {"body": about}
    return {"body": approval.message or about, "response_timeout": approval.timeout}


class ApprovalWork(RecoveryWork, ApprovalOperator):
    """Waits until people approve, and turns every other outcome into one clear, final failure.

    Airflow lets anyone who may edit the run answer, unless it is given the ids of those who may. A plan gives names,
    and in most auth managers a name is not an id (FAB numbers its users). So who answered is judged here, by name or
    id. An answer of somebody who may not give it fails the task, and starts nothing.

    One task instance holds one response. So a second approver is asked in a new try of the task, and the first one's
    answer is kept under another task until then. Airflow keeps the question of the first try, and whom it was assigned
    to: the first approver can answer again. That counts for nothing, and fails nothing.
    """

    BREAK_GLASS = "Break glass"

    approval: Approval | None
    where: str
    """What the approval is of, for the report: a wave's name, or ``recovery``."""

    def ask(self, context: Context, approval: Approval) -> None:
        """Put the question into Airflow's list of required actions, tell that it is there, and wait.

        :raises AirflowFailException: when there are too few people who could approve.
        """
        ti, run = context["ti"], self.run(context)
        self.approval = approval
        cleared = self._counts_clears and is_cleared(context)
        ti.xcom_push(key="asked", value=utc_now())
        ti.xcom_push(key="cleared", value=cleared)
        ti.xcom_push(key=_CLEARS, value=clears_of(context))
        needed, given = self._needed(context, approval, cleared), self.given(context)
        glass = self._glass(context)
        starter = starter_of(context)
        possible = [name for name in approval.approvers if not is_one_of(_named(name), [starter or ""])]
        if approval.approvers and len(possible) < needed and not glass:
            raise AirflowFailException(
                f"{needed} people have to approve {self._what}, and the plan names {len(possible)} who may: "
                f"{', '.join(possible) or 'nobody'}. {self._why_so_many(context, approval, cleared)}"
                "Name more approvers in the plan, or start a new run as a user whom Airflow knows."
            )
        self.body = question(
            self.loaded,
            run,
            approval=approval,
            wave=self._asked_wave,
            started_by=starter or run_type_of(context),
            needed=needed,
            given=given,
            resolved=(pulled(context, "preflight") or {}).get("waves"),
            preflight=last_event(PreflightEvent, read_events(pulled(context, "preflight", EVIDENCE_KEY)).events),
            glass=bool(glass),
        )
        self._offer(glass)
        # Only where a user's name is their id can Airflow itself turn others away.
        if approval.approvers and "SimpleAuthManager" in conf.get("core", "auth_manager", fallback=""):
            asked = [name for name in approval.approvers if not any(is_one_of(each, [name]) for each in given)]
            self.assigned_users = [{"id": name, "name": name} for name in dict.fromkeys([*asked, *sorted(glass)])]
        self._notify(context, approval)
        show_question(self, context, f"a person to approve {self._what}", approval.timeout)
        ApprovalOperator.execute(self, context)

    @property
    def _asked_wave(self) -> Wave | None:
        """The wave that the question is about; None where it is about the whole run."""
        return self.wave

    @property
    def _counts_clears(self) -> bool:
        """Whether a clear of this task means that its starter is not known any more."""
        return False

    def _was_cleared_meanwhile(self, context: Context) -> bool:
        """Whether the question was cleared while it was answered.

        Airflow then may go on with the answer as if nobody had cleared anything: its API stores the answer and takes up
        the task again without looking whether it still waits.
        """
        asked = pulled(context, self._own_id(context), _CLEARS)
        return self._counts_clears and isinstance(asked, int) and asked != clears_of(context)

    def _glass(self, context: Context) -> frozenset[str]:
        """Return who may break the glass here: nobody in a drill."""
        return frozenset() if self.run(context).is_drill else break_glass_users()

    def _offer(self, glass: frozenset[str]) -> None:
        """Offer to break the glass, with a reason, where somebody may."""
        if not glass:
            return
        self.options = [self.APPROVE, self.REJECT, self.BREAK_GLASS]
        field = Param(
            None,
            type=["null", "string"],
            maxLength=500,
            title="Reason to break the glass",
            description="Only to break the glass: why this goes on without the plan's approvals.",
            source="task",
        )
        self.params = ParamsDict({_REASON: field})

    def _notify(self, context: Context, approval: Approval) -> None:
        """Tell that a person has to decide, just before the question stands in Airflow's list."""
        try:
            url = self.generate_link_to_ui(task_instance=context["task_instance"])
        except ValueError:
            url = ""
        message = approval_wanted(
            self.loaded.plan,
            self.run(context),
            approval,
            question=" ".join(filter(None, (self.subject, approval.message))),
            before=self._before,
            wave=self.wave.name if self.wave else "",
            url=url,
        )
        notify(self.loaded, context, message)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Judge the answer, and write that the question is over.

        :raises AirflowException: as :meth:`judge_answer`.
        """
        try:
            result = self.judge_answer(context, event)
        except AirflowException as refusal:
            end_question(self, context, str(refusal), passed=False)
            raise
        end_question(self, context, f"{self._what} may go on", passed=True)
        return result

    def judge_answer(self, context: Context, event: dict[str, Any]) -> Any:
        """Judge the answer.

        :raises AirflowException: when another person has to approve too, or approved before; the next try asks again.
        :raises AirflowFailException: when the approval was rejected, came too late, or came from somebody who may not.
        """
        self._offer(self._glass(context))
        answer = _answer_of(event, pulled(context, self._own_id(context), "asked"))
        if event.get("chosen_options") != [self.REJECT] and self._was_cleared_meanwhile(context):
            self._record(context, "not counted: the run was cleared in the same moment", answer)
            raise AirflowException(
                f"{answer.name} answered for {self._what} in the moment in which a person cleared it. The next try "
                "asks again."
            )
        if event.get("chosen_options") == [self.BREAK_GLASS]:
            return self._break_glass(context, event, answer)
        if event.get("chosen_options") == [self.APPROVE] and self._has_approved(context, answer):
            self._record(context, "refused: they approved it already, and another person has to", answer)
            raise AirflowException(
                f"{answer.name} has approved {self._what} already, and another person has to. The next try asks again."
            )
        refusal = self._refusal(context, event, answer)
        if refusal:
            self._record(context, f"refused: {refusal}", answer)
            raise AirflowFailException(
                f"{answer.name} answered for {self._what}, but {refusal}. Clear this task to ask again."
            )
        try:
            ApprovalOperator.execute_complete(self, context, event)
        except HITLTimeoutError:
            self._record(context, "timed out", None)
            within = format_duration(self.approval.timeout) if self.approval else "its time"
            raise AirflowFailException(
                f"Nobody approved {self._what} within {within}. Clear this task to ask again."
            ) from None
        except HITLRejectException:
            self._record(context, "rejected", answer)
            raise AirflowFailException(f"{answer.name} rejected {self._what}. Clear this task to ask again.") from None
        return self._approved(context, answer)

    def _approved(self, context: Context, answer: Answer) -> dict[str, Any]:
        self._record(context, "approved", answer)
        given = [*self.given(context), answer]
        approval = self.approval
        if approval:
            cleared = bool(pulled(context, self._own_id(context), "cleared"))
            needed = self._needed(context, approval, cleared)
            counted = eligible_answers(given, approval, starter_of(context))
            if len(counted) < needed:
                self._keep(context, counted)
                raise AirflowException(
                    f"{answer.name} approved {self._what}: {len(counted)} of {needed} people. The next try asks for "
                    "another."
                )
        self.passed(context, "approved", given)
        return {"approved_by": ", ".join(each.name for each in given)}

    def _break_glass(self, context: Context, event: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
        """Go on without the approvals, where the person may.

        :raises AirflowException: when no reason was given; the next try asks again.
        """
        if not is_one_of(answer, self._glass(context)):
            refusal = "only the users of [drs_provider] break_glass_users may break the glass"
            self._record(context, f"refused: {refusal}", answer)
            raise AirflowFailException(
                f"{answer.name} answered for {self._what}, but {refusal}. Clear this task to ask again."
            )
        given = event.get("params_input")
        reason = str((given if isinstance(given, Mapping) else {}).get(_REASON) or "").strip()
        if not reason:
            raise AirflowException(f"{answer.name} broke the glass without a reason. The next try asks again.")
        self.broke_glass(context, answer, reason)
        return {"approved_by": answer.name, "break_glass": reason}

    def broke_glass(self, context: Context, answer: Answer, reason: str) -> None:
        """Record that somebody who may went on without the approvals, and notify every channel."""
        self._record(context, "break glass", answer, comment=reason)
        self.passed(context, "break glass", [answer], reason)
        self.log.warning("%s broke the glass of %s, because: %s", answer.name, self._what, reason)
        message = glass_broken(
            self.loaded.plan, self.run(context), by=answer.name, reason=reason, what=self._what,
            wave=self.wave.name if self.wave else "",
        )  # fmt: skip
        notify(self.loaded, context, message)

    def passed(
        self, context: Context, decision: Decision, answers: Sequence[Answer] = (), reason: str | None = None
    ) -> None:
        """Leave the gate's record: only now has it decided."""
        run = self.run(context)
        cleared = pulled(context, self._own_id(context), "cleared")
        record = GateRecord(
            decision=decision,
            decided=utc_now(),
            plan_hash=self.loaded.hash,
            mode=run.mode,
            parameters=run.as_record(),
            answers=tuple(answers),
            starter=starter_of(context),
            cleared=bool(cleared),
            reason=reason,
        )
        self._leave_record(context, record)

    def _leave_record(self, context: Context, record: GateRecord) -> None:
        context["ti"].xcom_push(key=CUSTODY_KEY, value=record.model_dump(mode="json"))

    def given(self, context: Context) -> list[Answer]:
        """Return the approvals of earlier tries of this question."""
        kept = pulled(context, "report", self._partial_key(context)) or {}
        if not isinstance(kept, Mapping) or kept.get("round") != self._round(context):
            return []
        return [answer for each in kept.get("answers") or () if (answer := read_record(Answer, each))]

    def _has_approved(self, context: Context, answer: Answer) -> bool:
        return any(is_one_of(answer, [each.name, each.id]) for each in self.given(context))

    def _keep(self, context: Context, answers: Sequence[Answer]) -> None:
        """Keep approvals for the next try. It begins without XComs of its own, and the report is not there yet."""
        kept = {"round": self._round(context), "answers": [each.model_dump(mode="json") for each in answers]}
        leave(context, "report", self._partial_key(context), kept)

    def _partial_key(self, context: Context) -> str:
        return f"approvals of {self._own_id(context)}"

    @staticmethod
    def _own_id(context: Context) -> str:
        return str(context["ti"].task_id)

    def _round(self, context: Context) -> list[Any]:
        """Tell one question from the next: a clear, and a plan that was edited, begin anew."""
        return [generation_of(context), clears_of(context), self.loaded.hash]

    def _needed(self, context: Context, approval: Approval, cleared: bool) -> int:
        unknown = starter_is_unknown(starter_of(context), run_type_of(context))
        return approvals_needed(approval, unknown=unknown, cleared=cleared)

    def _why_so_many(self, context: Context, approval: Approval, cleared: bool) -> str:
        if approval.count > 1:
            return ""
        if cleared:
            return "Tasks of this run were cleared, and nobody knows by whom. "
        return "Nobody knows who started this run. "

    def _refusal(self, context: Context, event: Mapping[str, Any], answer: Answer) -> str | None:
        """Say why an answer does not count; None where it does. Whoever started the run may still reject it."""
        if "error" in event:
            return None
        approving = event.get("chosen_options") == [self.APPROVE]
        approvers = self.approval.approvers if self.approval else ()
        if not approvers:
            return None
        if not is_one_of(answer, approvers):
            return f"the plan names the approvers {', '.join(approvers)}"
        if approving and is_one_of(answer, [starter_of(context) or ""]):
            return "they started this run, and the plan asks for a second person"
        return None

    def _record(self, context: Context, decision: str, answer: Answer | None, comment: str | None = None) -> None:
        """Tell the report what was decided, in this try and in those before."""
        earlier = [self._event(each.asked, each.at, each.name, "approved", None) for each in self.given(context)]
        asked = pulled(context, self._own_id(context), "asked")
        name = answer.name if answer else None
        events = [*earlier, self._event(asked, utc_now(), name, decision, comment)]
        self.leave_evidence(context, events[0] if len(events) == 1 else events)

    def _event(self, asked: Any, ended: Any, who: str | None, decision: str, comment: str | None) -> ApprovalEvent:
        return ApprovalEvent.model_validate(
            {
                "started": asked or ended,
                "ended": ended,
                "status": decision,
                "where": self.where,
                "approver": who,
                "comment": comment,
            }
        )

    @property
    def _what(self) -> str:
        return f"the wave {self.wave.name}" if self.wave else f"the recovery {self.loaded.plan.name}"

    @property
    def _before(self) -> str:
        return f"before the wave {self.wave.name}" if self.wave else "before the recovery starts"


def _named(name: str) -> Answer:
    return Answer(name=name, id=name, at=utc_now())


def _answer_of(event: Mapping[str, Any], asked: Any) -> Answer:
    """Return who answered, by name and id."""
    user = event.get("responded_by_user") or {}
    if not isinstance(user, Mapping):
        user = {"name": str(user), "id": str(user)}
    name = str(user.get("name") or user.get("id") or "nobody")
    return Answer(name=name, id=str(user.get("id") or ""), at=utc_now(), asked=asked)
