"""What a task says of its own work: its event, which it pushes as XCom under the key ``evidence``.

One model for each kind of event, in the folder of its kind of step; the task writes it and the report reads it by the
same class. An event is JSON, its times ISO 8601 in UTC. A task that fails pushes its event before it raises, so that
the report can say why. What another version wrote is read as far as it can be: a field that this version does not know
is passed over, one whose value cannot be read is left out and named.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    ValidationError,
)

from drs_provider.evidence.reading import moment

__all__ = [
    "ENDED_KEY",
    "EVIDENCE_KEY",
    "GONE_KEY",
    "INSTANCES_KEY",
    "NOTIFIED_KEY",
    "STARTED_KEY",
    "STOPPED_KEY",
    "WAITING_KEY",
    "Event",
    "Fact",
    "InstanceLeft",
    "Moment",
    "Read",
    "Text",
    "last_event",
    "read_events",
    "read_fact",
]

EVIDENCE_KEY = "evidence"
"""The XCom key under which every task of a plan's DAG pushes its event."""

STARTED_KEY = "started"
ENDED_KEY = "ended"
"""XCom keys for the moments, ISO 8601 in UTC, at which a task began and ended its work. A task that ends in the
triggerer cannot push an event; these, its return value and the plan say as much."""

GONE_KEY = "gone"
"""XCom key, under the first task: instances that were gone before the drill terminated any, with EC2's word.

A mapping of instance id to state; None as state where the instance was there when it was looked at.
"""
INSTANCES_KEY = "instances"
"""XCom key, under the first task: what EC2 said of the run's instances before the drill terminated any, by id.

Each in the shape of :class:`~drs_provider.aws.ec2.instances.Ec2Instance`.
"""
STOPPED_KEY = "stopped"
"""The XCom key, beside the event of the run's first task, for the request that stopped a drill."""

WAITING_KEY = "waiting_for_aws"
"""XCom key of a try's wait for AWS: ``since`` and ``last`` in epoch seconds, ``asked``, ``operation``, ``reason``."""

NOTIFIED_KEY = "notified"
"""With an underscore and the event's name the XCom key for what became of a notification: one delivery a channel."""


def _moment(value: Any) -> Any:
    found = moment(value)
    return value if found is None else found


def _iso(value: datetime) -> str:
    return value.isoformat()


Moment = Annotated[AwareDatetime, BeforeValidator(_moment), PlainSerializer(_iso, when_used="json")]
"""A moment: a datetime or ISO 8601 text, without a zone in UTC; written as ISO 8601."""

Text = Annotated[str | None, BeforeValidator(lambda value: None if value == "" else value)]
"""A text that may be absent; an empty one is."""


class Fact(BaseModel):
    """A part of what a task says."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", coerce_numbers_to_str=True, allow_inf_nan=False, populate_by_name=True
    )

    def written(self) -> dict[str, Any]:
        """Return it as the JSON that is stored in XCom."""
        return self.model_dump(mode="json")


_BY_KIND: dict[str, type[Event]] = {}


class Event(Fact):
    """What all events share.

    :param kind: which of them it is; each subclass has its own.
    :param started: when the work began.
    :param ended: when it ended, or is known to end.
    :param status: what became of it, in the words of its kind.
    """

    kind: str = ""
    started: Moment
    ended: Moment
    status: str

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Have events of this kind read by this class."""
        _BY_KIND[cls.model_fields["kind"].default] = cls


class InstanceLeft(Fact):
    """An instance that should have been terminated and was not, and why."""

    instance_id: str
    reason: Text = None


AnyFact = TypeVar("AnyFact", bound=Fact)
AnyEvent = TypeVar("AnyEvent", bound=Event)


class Read(NamedTuple):
    """What could be read of an ``evidence`` XCom.

    :param events: each by the class of its kind; those of a kind that this version does not know as :class:`Event`.
    :param left_out: what could not be read, and why.
    """

    events: tuple[Event, ...]
    left_out: tuple[str, ...]


def read_events(value: Any) -> Read:
    """Read an ``evidence`` XCom: an event, or a list of them.

    :param value: what the task pushed; None where it pushed nothing.
    """
    found: list[Event] = []
    left_out: list[str] = []
    for raw in value if isinstance(value, (list, tuple)) else [] if value is None else [value]:
        kind = raw.get("kind") if isinstance(raw, Mapping) else None
        event = read_fact(_BY_KIND.get(kind, Event) if isinstance(kind, str) else Event, raw, left_out)
        if event is not None:
            found.append(event)
    return Read(tuple(found), tuple(left_out))


def last_event(model: type[AnyEvent], events: Sequence[Event]) -> AnyEvent | None:
    """Return the last event of a kind, None where there is none."""
    return next((event for event in reversed(events) if isinstance(event, model)), None)


def read_fact(model: type[AnyFact], raw: Any, left_out: list[str] | None = None) -> AnyFact | None:
    """Read what a task left behind, without the parts that cannot be read; None where nothing can.

    A report is written when things went wrong: one odd value must not take all others with it.

    :param left_out: gets what could not be read, and why.
    """
    value = _writable(raw)
    while True:
        try:
            return model.model_validate(value)
        except ValidationError as error:
            value = copy.deepcopy(value)
            problems = error.errors(include_url=False, include_input=False)
            if left_out is not None:
                left_out += [f"{'.'.join(map(str, each['loc'])) or 'it'}: {each['msg']}" for each in problems]
            places = {place for each in problems if (place := _place(value, each["loc"]))}
            if len(places) == 0 or any(not _place(value, each["loc"]) for each in problems):
                return None
            # Of a part that goes as a whole, no part is taken out; and in a list the last one goes first.
            whole = [place for place in places if not any(place[:end] in places for end in range(1, len(place)))]
            for place in sorted(whole, key=lambda each: [(str(type(key)), key) for key in each], reverse=True):
                _part(value, place[:-1]).pop(place[-1])


def _place(value: Any, loc: Sequence[int | str]) -> tuple[int | str, ...]:
    """Return where in a value the part is that an error is about: of a key that is missing, what lacks it."""
    place: list[int | str] = []
    for key in loc:
        here = (isinstance(value, dict) and key in value) or (
            isinstance(value, list) and isinstance(key, int) and key < len(value)
        )
        if not here:
            break
        place.append(key)
        value = value[key]
    return tuple(place)


def _part(value: Any, place: Sequence[int | str]) -> Any:
    for key in place:
        value = value[key]
    return value


def _writable(value: Any) -> Any:
    """Return a value whose texts can all be written as UTF-8, with texts as keys."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {str(key).encode("utf-8", "replace").decode(): _writable(item) for key, item in value.items()}
    return [_writable(item) for item in value] if isinstance(value, (list, tuple)) else value
