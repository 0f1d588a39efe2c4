"""The kinds of steps that a wave has: this package's own, and those that others add.

A kind is what everything but its tasks' work needs to know: the keys that it gives a wave, its steps and their place,
what the report counts their time as, how long they take, and by name the class that stands in the DAG. So this module
and the kinds themselves need neither Airflow nor AWS.

Whoever adds one names it as an entry point of the group ``drs_provider.steps``; it is then known in every process of
Airflow and to ``drs-plan``. A plan that uses none costs nothing: entry points are looked for when a plan has a key that
is not known, or when the schema is asked for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from enum import IntEnum
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from drs_provider.plan.steps import Step
    from drs_provider.plan.waves import Wave

__all__ = ["GROUP", "Place", "StepGroup", "StepKind", "discover", "kind_named", "kinds", "load", "register"]

GROUP = "drs_provider.steps"
"""The group of entry points; each is a :class:`StepKind`."""

_OWN = ("script", "launch", "wait_for_launch", "settle", "health", "approve")


class Place(IntEnum):
    """Where a step stands in its wave. A kind from outside of this package may stand between two of these."""

    APPROVAL = 10
    BEFORE_LAUNCH = 20
    LAUNCH = 30
    WAIT = 40
    SETTLE = 50
    INSTANCE = 60
    AFTER_LAUNCH = 70
    SERVICE = 80


class StepGroup(NamedTuple):
    """Steps that run side by side, once those of the group before have ended.

    :param place: a :class:`Place`, or a number between two of them; of one place, the kind registered first goes first.
    """

    place: int
    steps: tuple[Step, ...]


class StepKind(ABC):
    """A kind of step. A subclass says what is its own; one object of it is registered."""

    name: ClassVar[str]
    """A Python name, unique among the kinds."""

    prefixes: ClassVar[tuple[str, ...]] = ()
    """How the names of its steps begin, up to the first dot; by default with the kind's own name."""

    task: ClassVar[str]
    """The dotted path of the class that stands in the DAG, a ``RecoveryTask``; its method ``of`` makes the task."""

    event: ClassVar[Any] = None
    """The model of the event that it leaves, an ``Event``; None where it leaves none."""

    phase: ClassVar[str] = "scripts"
    """What the report and the estimate count its time as: ``approval``, ``scripts``, ``settle`` or ``health``; empty
    where the DRS jobs tell it."""

    forecast: ClassVar[str] = "drs_provider.estimate.work.forecast_step"
    """The dotted path of a function that estimates a step: the workload, the wave, the step and the case, to a timed
    step, or None where it takes no time of its own."""

    permissions: ClassVar[tuple[str, ...]] = ()
    """The IAM actions that its work needs beyond those of a launch, such as ``route53:ChangeResourceRecordSets``."""

    keys: ClassVar[Mapping[str, tuple[Any, FieldInfo]]] = {}
    """For kinds from outside: the keys that a wave gets, each with its type and pydantic's ``Field`` with a default."""

    @abstractmethod
    def groups(self, wave: Wave) -> Iterable[StepGroup]:
        """Return the steps of this kind that a wave has, in groups; groups without a step are passed over."""

    @abstractmethod
    def activity(self, title: str) -> str:
        """Return what a wave does in a step, for a person.

        :param title: the step's name without its prefix; empty where it is the prefix alone.
        """

    def counted(self, steps: int) -> str:
        """Return how so many steps of it are shown in a drawing of the plan; empty where every wave has them."""
        return ""

    def typical_seconds(self, wave: Wave, step: Step) -> float:
        """Return how long a step takes, in seconds; by default its limit."""
        return step.limit.total_seconds()


_ADDED: dict[str, StepKind] = {}


def kinds() -> tuple[StepKind, ...]:
    """Return the kinds that are known: this package's, then those that were added."""
    return (*_own(), *_ADDED.values())


def kind_named(name: str) -> StepKind:
    """Return a kind.

    :raises KeyError: there is none of that name.
    """
    return {kind.name: kind for kind in kinds()}[name]


def load(path: str) -> Any:
    """Import what a dotted path names."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


@cache
def _own() -> tuple[StepKind, ...]:
    return tuple(import_module(f"drs_provider.steps.{name}.kind").KIND for name in _OWN)


@cache
def discover() -> None:
    """Register the kinds that installed distributions name as entry points; once a process.

    :raises ValueError: one of them does not fit, as :func:`register` says.
    """
    for point in sorted(entry_points(group=GROUP), key=lambda each: each.name):
        register(point.load())


def register(kind: StepKind) -> None:
    """Add a kind to this package's own. One that is registered already is left alone.

    :raises ValueError: its name, a prefix or a key is taken.
    """
    from drs_provider.plan.models import RecoveryPlan
    from drs_provider.plan.waves import Wave

    if type(_ADDED.get(kind.name)) is type(kind):
        return
    prefixes = kind.prefixes or (kind.name,)
    taken = {prefix for each in kinds() for prefix in (each.name, *each.prefixes)} | {"rollback"}
    if found := sorted(taken.intersection({kind.name, *prefixes})):
        raise ValueError(f"the kind of step {kind.name} cannot be registered: {', '.join(found)} is taken")
    if found := sorted(Wave.model_fields.keys() & kind.keys.keys()):
        raise ValueError(f"the kind of step {kind.name} cannot be registered: a wave has the key {', '.join(found)}")
    for key, (annotation, field) in kind.keys.items():
        Wave.model_fields[key] = type(field).from_annotated_attribute(annotation, field)
    if kind.keys:
        Wave.model_rebuild(force=True)
        RecoveryPlan.model_rebuild(force=True)
    _ADDED[kind.name] = kind
