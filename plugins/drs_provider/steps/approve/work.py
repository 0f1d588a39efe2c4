"""The approval before a wave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drs_provider.runs.custody import is_one_of, wave_approval
from drs_provider.tasks.approval import ApprovalWork, approval_arguments
from drs_provider.tasks.gates import read_gate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

    from drs_provider.plan import LoadedPlan, Wave
    from drs_provider.runs.custody import Standing

__all__ = ["ApproveWork"]


class ApproveWork(ApprovalWork):
    """Waits until a person says go before a wave.

    :param loaded: the plan.
    :param wave: the wave.
    """

    wave: Wave
    template_fields = ()
    gates = ("confirm", "preflight")
    closed_by = ("confirm", "preflight")

    def __init__(self, *, loaded: LoadedPlan, wave: Wave, **kwargs: Any) -> None:
        super().__init__(
            subject=f"Start the wave {wave.name} of {loaded.plan.name}?",
            fail_on_reject=True,
            **approval_arguments(wave.approval, wave.description),
            **kwargs,
        )
        self.loaded = loaded
        self.wave = wave
        self.where = wave.name
        self.approval = wave.approval

    def execute(self, context: Context) -> Any:
        """Ask, unless the run leaves this wave out, its mode needs no answer, or the glass was broken before."""
        run = self.begin(context)
        approval = wave_approval(self.wave, run.mode)
        if approval is None:
            self.passed(context, "not asked")
            return {"not_asked": f"the plan asks for no approval in a {run.mode}"}
        if self._glass_is_broken(context):
            self.passed(context, "not asked", reason="the glass was broken for the whole run")
            return {"not_asked": "the glass was broken for the whole run"}
        self.ask(context, approval)
        return None

    def _glass_is_broken(self, context: Context) -> bool:
        record = read_gate(context, "confirm")
        broken = record is not None and record.decision == "break glass"
        return broken and any(is_one_of(answer, self._glass(context)) for answer in record.answers)  # type: ignore[union-attr]

    def confirm_account(self, context: Mapping[str, Any]) -> None:
        """Ask people, whatever account a connection leads to: an answer changes nothing in AWS."""

    def may_continue(self, context: Mapping[str, Any]) -> bool:
        """Ask again: the launch that comes next continues the run."""
        return True

    def note_continuing(self, context: Mapping[str, Any], standing: Standing) -> None:
        """Leave that to the launch: an answer continues nothing."""
