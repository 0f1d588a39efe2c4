"""The kinds of steps that a run and its waves have: this package's own, and those that others add.

A kind is what everything but its tasks' work needs to know: the keys that it gives a plan, its steps and their place,
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
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    from drs_provider.plan.models import RecoveryPlan
    from drs_provider.plan.statements import Grant
    from drs_provider.plan.steps import Step
    from drs_provider.plan.waves import Wave

__all__ = [
    "GROUP",
    "Kind",
    "Place",
    "RunKind",
    "StepGroup",
    "StepKind",
    "discover",
    "every_kind",
    "kind_named",
    "kinds",
    "load",
    "own_kinds",
    "register",
    "reserved_names",
    "run_kinds",
]


GROUP = "drs_provider.steps"
"""The group of entry points; each is a :class:`StepKind`."""

_OWN = (
    "confirm",
    "preflight",
    "script",
    "launch",
    "wait_for_launch",
    "settle",
    "health",
    "approve",
    "rollback",
    "terminate",
    "report",
)


class Place(IntEnum):
    """Where a step stands in a run. A kind from outside of this package may stand between two of these.

    Below ``APPROVAL`` are the steps before the waves; from ``APPROVAL`` to ``SERVICE`` those of a wave; between
    ``SERVICE`` and ``ROLLBACK`` those after the waves, whose failure is a failure of the recovery; above ``ROLLBACK``
    those that end every run, however it went.
    """

    CONFIRM = -20
    PREFLIGHT = -10
    APPROVAL = 10
    BEFORE_LAUNCH = 20
    LAUNCH = 30
    WAIT = 40
    SETTLE = 50
    INSTANCE = 60
    AFTER_LAUNCH = 70
    SERVICE = 80
    ROLLBACK = 90
    TERMINATE = 100
    REPORT = 110


class StepGroup(NamedTuple):
    """Steps that run side by side, once those of the group before have ended.

    :param place: a :class:`Place`, or a number between two of them; of one place, the kind registered first goes first.
    """

    place: int
    steps: tuple[Step, ...]

    @property
    def is_before_the_waves(self) -> bool:
        """Whether the waves wait for it."""
        return self.place < Place.APPROVAL

    @property
    def ends_the_run(self) -> bool:
        """Whether it comes at the end of every run, however that went."""
        return self.place > Place.ROLLBACK


class Kind(ABC):
    """What a kind of step of a wave (:class:`StepKind`) and one of the whole run (:class:`RunKind`) have in common."""

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

    grants: ClassVar[tuple[Grant, ...]] = ()
    """The permissions that its work and its checks may need; the shipped policies have those of this package's kinds.
    A kind has each of them alone: others name its :attr:`~drs_provider.plan.statements.Grant.need` in :meth:`needs`."""

    checks: ClassVar[str] = ""
    """The dotted path of a function that yields the preflight checks of its steps
    (:class:`~drs_provider.readiness.side_by_side.Check`) from a :class:`~drs_provider.readiness.side_by_side.Look`."""

    keys: ClassVar[Mapping[str, tuple[Any, FieldInfo]]] = {}
    """For kinds from outside: the keys that a wave gets, or the plan from a kind of the whole run, each with its type
    and pydantic's ``Field`` with a default."""

    @abstractmethod
    def activity(self, title: str) -> str:
        """Return what a wave or the run does in a step, for a person.

        :param title: the step's name without its prefix; empty where it is the prefix alone.
        """

    def typical_seconds(self, wave: Wave | None, step: Step) -> float:
        """Return how long a step takes, in seconds; by default its limit. The wave of a step of the run is None."""
        return step.limit.total_seconds()

    def needs(self, step: Step, wave: Wave | None, plan: RecoveryPlan, mode: str) -> Iterable[str]:
        """Return what a step needs permissions for in a run: values of ``Grant.need``; by default all its own.

        :param wave: its wave; None for a step of the whole run.
        """
        return {grant.need for grant in self.grants}

    @property
    def names(self) -> tuple[str, ...]:
        """How the names of its steps begin."""
        return self.prefixes or (self.name,)


class StepKind(Kind):
    """A kind of step of a wave. A subclass says what is its own; one object of it is registered."""

    @abstractmethod
    def groups(self, wave: Wave) -> Iterable[StepGroup]:
        """Return the steps of this kind that a wave has, in groups; groups without a step are passed over."""

    def undoes(self, wave: Wave, plan: RecoveryPlan) -> Step | None:
        """Return the step that undoes the wave where a step failed; None where it has none.

        It is none of the wave's own steps: it stands at ``Place.ROLLBACK``, waits for all that it may have to undo,
        and its task gets the ids of these tasks (``watched``).
        """
        return None

    def counted(self, steps: int) -> str:
        """Return how so many steps of it are shown in a drawing of the plan; empty where every wave has them."""
        return ""


class RunKind(Kind):
    """A kind of step of the whole run, with tasks outside of the waves' groups. One object of it is registered.

    A step that has nothing to do in a run ends in success: one that is skipped counts as ended by a person.
    """

    in_report: ClassVar[bool] = True
    """Whether the report lists its steps; False where the report has a part of its own for them."""

    @abstractmethod
    def groups(self, plan: RecoveryPlan) -> Iterable[StepGroup]:
        """Return the steps of this kind that a run of the plan has, in groups; never at a place within a wave."""


_ADDED: dict[str, Kind] = {}


def every_kind() -> tuple[Kind, ...]:
    """Return the kinds that are known: this package's, then those that were added."""
    return (*own_kinds(), *_ADDED.values())


def kinds() -> tuple[StepKind, ...]:
    """Return the kinds of steps of waves."""
    return tuple(kind for kind in every_kind() if isinstance(kind, StepKind))


def run_kinds() -> tuple[RunKind, ...]:
    """Return the kinds of steps of whole runs."""
    return tuple(kind for kind in every_kind() if isinstance(kind, RunKind))


def kind_named(name: str) -> Kind:
    """Return a kind.

    :raises KeyError: there is none of that name.
    """
    return {kind.name: kind for kind in every_kind()}[name]


def reserved_names() -> frozenset[str]:
    """Return the ids of the DAG's own tasks, which no wave may have as its name."""
    return frozenset({"approve", *(name for kind in run_kinds() for name in kind.names)})


def load(path: str) -> Any:
    """Import what a dotted path names."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


@cache
def own_kinds() -> tuple[Kind, ...]:
    """Return the kinds of this package."""
    return tuple(import_module(f"drs_provider.steps.{name}.kind").KIND for name in _OWN)


@cache
def discover() -> None:
    """Register the kinds that installed distributions name as entry points; once a process.

    :raises ValueError: one of them does not fit, as :func:`register` says.
    """
    for point in sorted(entry_points(group=GROUP), key=lambda each: each.name):
        register(point.load())


def register(kind: Kind) -> None:
    """Add a kind to this package's own. One that is registered already is left alone.

    :raises ValueError: its name, a prefix or a key is taken.
    """
    from drs_provider.plan.models import RecoveryPlan
    from drs_provider.plan.waves import Wave

    if type(_ADDED.get(kind.name)) is type(kind):
        return
    taken = {name for each in every_kind() for name in (each.name, *each.prefixes)}
    if found := sorted(taken.intersection({kind.name, *kind.names})):
        raise ValueError(f"the kind of step {kind.name} cannot be registered: {', '.join(found)} is taken")
    part: type[BaseModel] = Wave if isinstance(kind, StepKind) else RecoveryPlan
    if found := sorted(part.model_fields.keys() & kind.keys.keys()):
        what = "a wave" if part is Wave else "a plan"
        raise ValueError(f"the kind of step {kind.name} cannot be registered: {what} has the key {', '.join(found)}")
    for key, (annotation, field) in kind.keys.items():
        part.model_fields[key] = type(field).from_annotated_attribute(annotation, field)
    if kind.keys:
        Wave.model_rebuild(force=True)
        RecoveryPlan.model_rebuild(force=True)
    _ADDED[kind.name] = kind
