"""What Airflow knows of a run and of its tasks, as plain values, and what the words for a state mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from drs_provider.aws.drs.run_identity import Mode, RunIdentity
from drs_provider.evidence.events import (
    ENDED_KEY,
    EVIDENCE_KEY,
    STARTED_KEY,
    AnyEvent,
    AnyFact,
    Event,
    last_event,
    read_events,
    read_fact,
)
from drs_provider.evidence.reading import mapping, moment, text
from drs_provider.evidence.record import StepState

__all__ = ["RunFacts", "TaskFacts", "step_state"]

_STATES: dict[str, StepState] = {
    **dict.fromkeys(("success", "succeeded", "passed", "completedwithsuccess", "approved", "breakglass"), "success"),
    **dict.fromkeys(("skipped", "removed", "missed"), "skipped"),
    **dict.fromkeys(("none", "no_status", "upstream_failed"), "not_started"),
    **dict.fromkeys(
        ("running", "deferred", "queued", "scheduled", "restarting", "up_for_retry", "up_for_reschedule"), "running"
    ),
    **dict.fromkeys(("inprogress", "pending", "waiting"), "running"),
}


def step_state(status: str | None) -> StepState:
    """Return what a word of Airflow, of SSM or of an event means. An unknown word is a failure, None is unknown."""
    return _STATES.get(status.lower().replace(" ", ""), "failed") if status is not None else "unknown"


@dataclass(frozen=True)
class TaskFacts:
    """What is known of one task.

    :param state: Airflow's state; None where the task has none yet or it is not known.
    :param started: by Airflow, or by the task's own XComs ``started`` and ``ended``.
    :param events: the events that it pushed.
    :param left_out: what could not be read of them, and why.
    :param returned: its return value, as it was stored.
    """

    task_id: str
    known: bool
    state: str | None
    started: datetime | None
    ended: datetime | None
    events: tuple[Event, ...]
    left_out: tuple[str, ...]
    returned: Any

    def last(self, model: type[AnyEvent]) -> AnyEvent | None:
        """Return the task's last event of a kind, None where it pushed none."""
        return last_event(model, self.events)

    def result(self, model: type[AnyFact]) -> AnyFact:
        """Return the task's return value, as far as it can be read; every part of the model has a default."""
        return read_fact(model, self.returned or {}) or model()

    @property
    def step(self) -> StepState:
        """What became of the task; its own event can only make it worse."""
        by_airflow: StepState = step_state(self.state or "none") if self.known else "unknown"
        by_event = step_state(self.events[-1].status if self.events else None)
        if "failed" in (by_airflow, by_event):
            return "failed"
        if by_airflow == "unknown" or (by_event == "skipped" and by_airflow == "success"):
            return by_event
        return by_airflow

    @property
    def began(self) -> datetime | None:
        """When it first did something that is known of."""
        return min(filter(None, [self.started, *(event.started for event in self.events)]), default=None)

    @property
    def finished(self) -> datetime | None:
        """When it last did something that is known of."""
        return max(filter(None, [self.ended, *(event.ended for event in self.events)]), default=None)


@dataclass(frozen=True)
class RunFacts:
    """What Airflow knows of a run, as plain values.

    :param state: Airflow's state of the run; the run that reports on itself is ``running``.
    :param run_type: ``manual``, ``scheduled``, …
    :param triggered_by: the user who triggered it, None for the schedule.
    :param note: the note on the run.
    :param url: the page of the run in Airflow.
    :param due: the moment from which on it might run; a clear of the run moves ``started``, but not this.
    :param parameters: the run parameters.
    :param tasks: by task id ``{"state", "started", "ended"}``, times where known. The report's own task left out.
    :param xcoms: by task id and key.
    :param versions: of what ran it, by name.
    :param endpoint: the address of DRS that the run used.
    :param simulated_speed: how many times faster than real time the simulator was; None where none is known of.
    :param gates: the run's gates, in the shape of the record's ``Gate``.
    """

    dag_id: str
    run_id: str
    state: str | None = None
    run_type: str = "manual"
    triggered_by: str | None = None
    note: str | None = None
    url: str | None = None
    started: datetime | str | None = None
    ended: datetime | str | None = None
    due: datetime | str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tasks: Mapping[str, Any] = field(default_factory=dict)
    xcoms: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    endpoint: str | None = None
    simulated_speed: float | None = None
    gates: Sequence[Mapping[str, Any]] = ()

    @property
    def identity(self) -> RunIdentity:
        """What tells the run's jobs in DRS from all others, as its first task recorded it."""
        parameters, left = mapping(self.parameters), mapping(mapping(self.xcoms).get("confirm"))
        record = mapping(left.get("identity"))
        mode: Mode = "recovery" if parameters.get("mode") == "recovery" else "drill"
        return RunIdentity.from_record(self.dag_id, self.run_id, mode, record, text(parameters.get("take_over")) or "")

    def task(self, task_id: str) -> TaskFacts:
        """Return what is known of a task."""
        fact = mapping(self.tasks).get(task_id)
        told = mapping(fact) if isinstance(fact, Mapping) else {"state": fact}
        xcoms = mapping(mapping(self.xcoms).get(task_id))
        events, left_out = read_events(xcoms.get(EVIDENCE_KEY))
        return TaskFacts(
            task_id=task_id,
            known=task_id in mapping(self.tasks),
            state=text(told.get("state")),
            started=min(filter(None, map(moment, (told.get("started"), xcoms.get(STARTED_KEY)))), default=None),
            ended=max(filter(None, map(moment, (told.get("ended"), xcoms.get(ENDED_KEY)))), default=None),
            events=events,
            left_out=left_out,
            returned=xcoms.get("return_value"),
        )

    def tasks_of(self, wave: str) -> list[TaskFacts]:
        """Return what is known of the tasks of a wave."""
        known = [*mapping(self.tasks), *mapping(self.xcoms)]
        return [self.task(task_id) for task_id in dict.fromkeys(known) if task_id.partition(".")[0] == wave]
