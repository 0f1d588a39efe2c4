"""The chain of custody of a run: what its gates recorded, what its report closed, and what may still be done.

Airflow lets anybody who may edit a run mark any task as a success, and clear any task at any time. So the state of a
gate proves nothing. Each gate leaves a record of its own when a person has passed it, the report leaves a closing
beside each, and whatever acts on AWS judges both again. A gate's restart is the only thing that takes its closing away.

This stops clicks and mistakes. It does not stop somebody who may write XComs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, JsonValue, ValidationError

from drs_provider.durations import format_duration
from drs_provider.runs.recovery_run import BY_HAND

if TYPE_CHECKING:
    from drs_provider.plan import Approval, RecoveryPlan, Wave
    from drs_provider.runs.recovery_run import RecoveryRun

__all__ = [
    "CLOSING_KEY",
    "CONTINUED_KEY",
    "CUSTODY_KEY",
    "ENDED_STATES",
    "Answer",
    "Chain",
    "Closing",
    "Continued",
    "Decision",
    "GateRecord",
    "Standing",
    "approvals_needed",
    "closing_of",
    "confirm_problem",
    "eligible_answers",
    "is_one_of",
    "judge",
    "preflight_problem",
    "read_record",
    "recovery_approval",
    "same_name",
    "starter_is_unknown",
    "unapproved",
    "wave_approval",
]

CUSTODY_KEY = "custody"
"""XCom key under which a gate leaves its record, once it has decided."""

CLOSING_KEY = "closing"
"""XCom key under which the report leaves its closing, under the task id of each gate."""

CONTINUED_KEY = "continued"
"""XCom key under ``confirm`` for the launch that continued a run which had failed."""

CLEAR_ALL = "clear the task confirm with everything downstream; it asks for approval and checks again"

ENDED_STATES = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
"""Airflow's states of a task that is over."""

Decision = Literal["confirmed", "approved", "break glass", "not asked"]
"""``confirmed``: by the typed name alone. ``not asked``: this mode needs no answer, or the glass was broken before."""


class _Record(BaseModel):
    # A later version may add keys while a run goes on.
    model_config = ConfigDict(frozen=True, extra="ignore")


class Answer(_Record):
    """What one person answered."""

    name: str
    id: str = ""
    at: AwareDatetime
    asked: AwareDatetime | None = None


class GateRecord(_Record):
    """What a gate leaves when it has decided.

    ``starter`` and ``cleared`` say who started the run and whether it had been cleared when the gate decided.
    """

    decision: Decision
    decided: AwareDatetime
    plan_hash: str
    mode: Literal["drill", "recovery"]
    parameters: dict[str, JsonValue]
    answers: tuple[Answer, ...] = ()
    starter: str | None = None
    cleared: bool = False
    reason: str | None = None


class Closing(_Record):
    """How, and when, a report closed the run."""

    state: Literal["success", "failed"]
    at: AwareDatetime


class Continued(_Record):
    """That a launch continued a run that was closed as failed.

    :param of: the moment of that closing.
    """

    of: AwareDatetime
    at: AwareDatetime
    by: str


Read = TypeVar("Read", bound=_Record)


def read_record(kind: type[Read], value: Any) -> Read | None:
    """Return a record as it was left in XCom; None where there is none, or what is there is none."""
    if not isinstance(value, Mapping):
        return None
    try:
        return kind.model_validate(dict(value))
    except ValidationError:
        return None


def same_name(one: str | None, other: str | None) -> bool:
    """Whether two names are one person's: without regard to case."""
    return bool(one) and bool(other) and (one or "").strip().casefold() == (other or "").strip().casefold()


def is_one_of(answer: Answer, names: Collection[str]) -> bool:
    """Whether a person is among names, by user name or user id."""
    return any(same_name(answer.name, name) or same_name(answer.id, name) for name in names)


def recovery_approval(plan: RecoveryPlan, mode: str) -> Approval | None:
    """Return the approval that a run in this mode needs before it begins; by default only a recovery does."""
    approval = plan.recovery.approval
    return approval if approval and mode in (approval.modes or ("recovery",)) else None


def wave_approval(wave: Wave, mode: str) -> Approval | None:
    """Return the approval that a wave needs in this mode; by default in both."""
    approval = wave.approval
    return approval if approval and mode in (approval.modes or ("drill", "recovery")) else None


def starter_is_unknown(starter: str | None, run_type: str) -> bool:
    """Whether a person started the run, and nobody knows which."""
    return not starter and run_type in BY_HAND


def approvals_needed(approval: Approval, *, unknown: bool, cleared: bool = False) -> int:
    """Return how many people have to approve.

    Where the plan names approvers, it asks for a second person. When nobody knows who started the run, or who cleared
    its gate, one approver might be that very person: so it takes two.

    :param unknown: whether nobody knows who started the run.
    :param cleared: whether the gate was cleared.
    """
    return max(approval.count, 2) if approval.approvers and (unknown or cleared) else approval.count


def eligible_answers(answers: Sequence[Answer], approval: Approval, starter: str | None) -> list[Answer]:
    """Return the approvals that count: of named approvers, not of whoever started the run, one a person."""
    found: list[Answer] = []
    for answer in answers:
        if approval.approvers and (not is_one_of(answer, approval.approvers) or is_one_of(answer, [starter or ""])):
            continue
        if not any(is_one_of(answer, [each.name, each.id]) for each in found):
            found.append(answer)
    return found


def unapproved(
    record: GateRecord | None, approval: Approval, *, starter: str | None, unknown: bool, glass: Collection[str]
) -> str | None:
    """Say why an approval does not count; None where it does.

    :param record: of the gate that asked.
    :param starter: who started the run.
    :param unknown: whether nobody knows who did.
    :param glass: who may break the glass.
    """
    if record is None:
        return "it left no record of an approval: it was marked by hand"
    if record.decision == "break glass":
        if any(is_one_of(answer, glass) for answer in record.answers):
            return None
        return "the glass was broken by somebody whom [drs_provider] break_glass_users does not name"
    counted = eligible_answers(record.answers, approval, starter)
    needed = approvals_needed(approval, unknown=unknown, cleared=record.cleared)
    if len(counted) >= needed:
        return None
    names = ", ".join(answer.name for answer in counted) or "nobody"
    return (
        f"it needs the approval of {needed} eligible {'person' if needed == 1 else 'people'}, and has that of {names}"
    )


@dataclass(frozen=True)
class Chain:
    """Everything that is known of a run's gates.

    :param plan: the plan that ``confirm`` recorded.
    :param plan_hash: its hash, as ``confirm`` recorded it when it began; None where it recorded none.
    :param run: the run.
    :param starter: who started it.
    :param run_type: how Airflow says that it was started.
    :param gates: the tasks that have to have ended in success.
    :param closings_of: the tasks beside whose records a closing counts.
    :param wave: the wave whose approval is needed, if any.
    :param states: Airflow's states of the tasks.
    :param records: what the gates left.
    :param closings: what the report left beside them.
    :param continued: the launch that continued a failed run, if any.
    :param reopened: when the whole run was cleared after its end; None where it was not.
    :param checked: whether preflight, where it is among the gates, itself left findings that let the run go on.
    :param missed: whether ``confirm`` itself recorded that a scheduled drill is not held, and nothing else.
    :param glass: who may break the glass.
    """

    plan: RecoveryPlan
    plan_hash: str | None
    run: RecoveryRun
    starter: str | None
    run_type: str
    gates: tuple[str, ...] = ("confirm", "preflight")
    closings_of: tuple[str, ...] = ("confirm", "preflight")
    wave: Wave | None = None
    states: Mapping[str, str | None] = field(default_factory=dict)
    records: Mapping[str, GateRecord | None] = field(default_factory=dict)
    closings: Mapping[str, Closing | None] = field(default_factory=dict)
    continued: Continued | None = None
    reopened: datetime | None = None
    checked: bool = False
    missed: bool = False
    glass: frozenset[str] = frozenset()

    @property
    def unknown(self) -> bool:
        """Whether a person started the run, and nobody knows which."""
        return starter_is_unknown(self.starter, self.run_type)

    @property
    def glass_broken(self) -> bool:
        """Whether the glass was broken for the whole run, by somebody who may."""
        record = self.records.get("confirm")
        broken = record is not None and record.decision == "break glass"
        return broken and any(is_one_of(answer, self.glass) for answer in record.answers)  # type: ignore[union-attr]


@dataclass(frozen=True)
class Standing:
    """Whether a task may act on AWS.

    :param state: ``open``: it may. ``wait``: a gate has not ended. ``missing``: a gate was not passed. ``failed``: the
        run was closed as failed, so that a launch may continue it. ``continued``: a launch did. ``closed``: it is over.
    :param reason: why, and what to do.
    :param closing: the closing that counts.
    """

    state: Literal["open", "wait", "missing", "failed", "continued", "closed"]
    reason: str = ""
    closing: Closing | None = None


def judge(chain: Chain, now: datetime, continue_for: Callable[[], timedelta]) -> Standing:
    """Say whether a task of the run may act on AWS.

    :param chain: what is known of the run's gates.
    :param now: the present.
    :param continue_for: for how long a run that failed may be continued; asked only where that matters.
    """
    if under_way := [gate for gate in chain.gates if chain.states.get(gate) not in ENDED_STATES]:
        return Standing("wait", f"waiting until {' and '.join(under_way)} {_has(under_way)} ended")
    if not_passed := [gate for gate in chain.gates if chain.states.get(gate) != "success"]:
        gate = not_passed[0]
        return Standing("missing", f"the task {gate} is {chain.states.get(gate)}. {_clear(gate)}")
    if problem := confirm_problem(chain):
        return Standing("missing", f"the task confirm is a success, but {problem}. {_clear('confirm')}")
    if "preflight" in chain.gates and (problem := preflight_problem(chain)):
        return Standing("missing", f"the task preflight is a success, but {problem}. {_clear('preflight')}")
    if chain.wave is not None and not chain.glass_broken:
        gate, approval = f"{chain.wave.name}.approve", wave_approval(chain.wave, chain.run.mode)
        if approval and (
            problem := unapproved(
                chain.records.get(gate), approval, starter=chain.starter, unknown=chain.unknown, glass=chain.glass
            )
        ):
            return Standing("missing", f"the task {gate} is a success, but {problem}. {_clear(gate)}")
    return _closed(chain, now, continue_for)


def confirm_problem(chain: Chain) -> str | None:
    """Say why what ``confirm`` left does not count; None where it does."""
    record, run = chain.records.get("confirm"), chain.run
    if record is None and chain.missed:
        return "it let this drill go, which came too late or on an excluded day, and nobody has confirmed it since"
    if record is None:
        return "it left no record: it was marked by hand, and nobody confirmed this run"
    if record.plan_hash != chain.plan_hash:
        return "its record is of another plan than the one that it began with"
    own = run.as_record()
    changed = sorted(key for key, value in record.parameters.items() if key in own and own[key] != value)
    if record.mode != run.mode or changed:
        return f"it confirmed a {record.mode} with other parameters ({', '.join(changed) or 'mode'})"
    if approval := recovery_approval(chain.plan, run.mode):
        return unapproved(record, approval, starter=chain.starter, unknown=chain.unknown, glass=chain.glass)
    return None


def preflight_problem(chain: Chain) -> str | None:
    """Say why preflight does not count; None where it does."""
    return None if chain.checked else "it left no findings that let the run go on: it was marked by hand"


def _closed(chain: Chain, now: datetime, continue_for: Callable[[], timedelta]) -> Standing:
    closings = [closing for gate in chain.closings_of if (closing := chain.closings.get(gate))]
    record = chain.records.get("confirm")
    if not closings:
        if chain.reopened and record and record.decided < chain.reopened:
            return Standing("closed", f"this run had ended, and its report did not say how. To go on, {CLEAR_ALL}.")
        return Standing("open")
    last = max(closings, key=lambda closing: closing.at)
    if any(closing.state == "success" for closing in closings):
        return Standing(
            "closed", f"this run ended with success at {_text(last.at)}. To recover again, {CLEAR_ALL}.", last
        )
    if chain.continued and chain.continued.of == last.at:
        return Standing("continued", closing=last)
    limit = continue_for()
    if now - last.at > limit:
        reason = f"this run failed at {_text(last.at)}, more than {format_duration(limit)} ago. To go on, {CLEAR_ALL}."
        return Standing("closed", reason, last)
    return Standing("failed", f"this run failed at {_text(last.at)} and is closed", last)


def closing_of(earlier: Closing | None, state: Literal["success", "failed"], now: datetime, continued: bool) -> Closing:
    """Return the closing that a report leaves beside a gate's record.

    A success stays one, whatever a cleared task makes of the run afterwards. A failure keeps its moment, so that it
    cannot be put off by clearing a task every day; one that a launch continued ends anew.

    :param earlier: the closing that is there.
    :param continued: whether a launch has continued the run since.
    """
    if earlier and (earlier.state == "success" or (state == "failed" and not continued)):
        return earlier
    return Closing(state=state, at=now)


def _clear(gate: str) -> str:
    if gate == "confirm":
        return f"Nothing was done. To go on, {CLEAR_ALL}."
    return f"Nothing was done. To go on, clear the task {gate} with everything downstream."


def _has(gates: Sequence[str]) -> str:
    return "has" if len(gates) == 1 else "have"


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
