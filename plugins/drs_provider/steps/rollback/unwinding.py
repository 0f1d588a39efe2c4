"""The approval of an unwinding: a recovery that was up is not terminated because a check fails once.

Every rollback of an unwinding begins when all that it looks at has ended. One of them asks, for all; the others wait
until it has its answer. The answer is kept under the task ``report``, where a retry or a clear does not delete it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from drs_provider.plan import Approval
from drs_provider.runs.custody import Answer, GateRecord, eligible_answers, read_record
from drs_provider.tasks.approval import ApprovalWork, approval_arguments
from drs_provider.tasks.gates import leave, starter_of
from drs_provider.tasks.recovery_work import pulled

if TYPE_CHECKING:
    from airflow.sdk import Context

    from drs_provider.plan import LoadedPlan, Wave

__all__ = ["Unwinding", "UnwindingApproval"]

_APPROVAL_KEY = "unwinding"


class Unwinding(GateRecord):
    """What people decided on an unwinding.

    :param asked_by: the rollback that asked.
    """

    asked_by: str = ""


class UnwindingApproval(ApprovalWork):
    """Asks once whether an unwinding may go on, in the place of the rollback that leads it.

    :param loaded: the plan.
    :param wave: the wave of the rollback that asks.
    :param waves: every wave of the unwinding.
    :param scope: tells one unwinding from another: empty for that of the whole recovery, or the wave's name.
    """

    template_fields = ()
    where = "rollback"

    def __init__(self, *, loaded: LoadedPlan, wave: Wave, waves: Collection[str], scope: str, **kwargs: Any) -> None:
        approval = loaded.plan.recovery.approval or Approval()
        super().__init__(
            subject=f"TERMINATE what was recovered of {loaded.plan.name}, waves {', '.join(sorted(waves))}?",
            fail_on_reject=True,
            **approval_arguments(approval, loaded.plan.description),
            **kwargs,
        )
        self.loaded = loaded
        self.wave = wave
        self.waves = sorted(waves)
        self.scope = scope
        # The plan's own question is another one: whether the site is lost.
        message = (
            "A wave failed, and the plan asks for a rollback. Servers that were up already would be TERMINATED. "
            "Without an approval everything stays as it is."
        )
        self.approval = approval.model_copy(update={"message": message})

    def ask(self, context: Context, approval: Approval | None = None) -> None:
        """Ask for the unwinding of all its waves."""
        super().ask(context, approval or self.approval or Approval())

    @property
    def _asked_wave(self) -> Wave | None:
        return None

    @property
    def _what(self) -> str:
        return f"the rollback of {', '.join(self.waves)}"

    @property
    def _before(self) -> str:
        return "before anything is rolled back"

    def _glass(self, context: Context) -> frozenset[str]:
        """Let nobody terminate what was recovered without an approval."""
        return frozenset()

    def _leave_record(self, context: Context, record: GateRecord) -> None:
        value = {**record.model_dump(mode="json"), "asked_by": context["ti"].task_id}
        leave(context, "report", self._key, value)

    def record(self, context: Mapping[str, Any]) -> Unwinding | None:
        """Return what was decided."""
        return read_record(Unwinding, pulled(context, "report", self._key))

    def is_given(self, context: Mapping[str, Any], once_up: Mapping[str, datetime | None]) -> bool:
        """Whether eligible people approved, after every wave of the unwinding was last up."""
        record, approval = self.record(context), self.approval
        if record is None or record.decision != "approved" or approval is None:
            return False
        if any(moment is not None and moment > record.decided for moment in once_up.values()):
            return False
        counted: list[Answer] = eligible_answers(record.answers, approval, starter_of(context))
        return len(counted) >= self._needed(context, approval, record.cleared)  # type: ignore[arg-type]

    @property
    def _key(self) -> str:
        return f"{_APPROVAL_KEY} {self.scope}".strip()
