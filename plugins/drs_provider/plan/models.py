"""The recovery plan: what a plan file says, as frozen models that hold every rule of the format.

After validation the plan's ``defaults`` stand on its waves and scripts: who reads a wave needs to look nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from drs_provider.plan import launch_rules, rules, target_rules
from drs_provider.plan.defaults import Defaults, effective_waves
from drs_provider.plan.launch import settings_over
from drs_provider.plan.scalars import (
    Days,
    DottedPath,
    Name,
    Pause,
    PlanModel,
    Schedule,
    Span,
    Text,
    Timezone,
    TopicArn,
)
from drs_provider.plan.targets import DEFAULT, NamedTarget, Target, target_named
from drs_provider.plan.waves import Approval, Listed, OnFailure, ProtectionGroup, Script, ServerSelector, Wave

__all__ = ["Contact", "Drill", "Notification", "Objectives", "Recovery", "RecoveryPlan", "Target"]


class Objectives(PlanModel):
    """What a drill is measured against."""

    rto: Span | None = Field(None, description="Recovery time objective: from the start of the run to its end.")
    rpo: Span | None = Field(None, description="Recovery point objective: the most data that may be lost.")


class Drill(PlanModel):
    """When a drill runs by itself, and what becomes of its instances."""

    schedule: Schedule | None = Field(
        None,
        description="Five cron fields, or @hourly, @daily, @weekly, @monthly, @quarterly, @yearly. Absent: manual "
        "only. A scheduled run is always a drill.",
    )
    timezone: Timezone = Field("UTC", description="The schedule's time zone, an IANA name. Default: UTC.")
    terminate: Literal["always", "on_success", "never"] = Field(
        "always", description="Whether a drill ends the instances that it launched. Default: always."
    )
    keep_for: Pause = Field(
        timedelta(0), description="How long drill instances stay up before they are terminated. Default: 0s."
    )
    not_on: Listed[Days] = Field(
        (),
        description="Days on which the schedule starts no drill, in the plan's time zone: dates such as 2026-12-24 "
        "and ranges such as 2026-12-20/2027-01-03. Drills that a person starts are not held up.",
    )
    waves: Listed[Name] = Field(
        (),
        description="The waves of a scheduled drill; those left out count as done. Default: all. A person who starts a "
        "drill chooses its waves in the form.",
    )


class Recovery(PlanModel):
    """What is different when it is not a drill."""

    approval: Approval | None = Field(
        None, description="A person says go. Absent: no human gate beyond the typed confirmation."
    )
    on_failure: OnFailure = Field(
        "stop",
        description="stop, or rollback: unwind every started wave, dependents first. Default: stop.",
    )


class Notification(PlanModel):
    """Who is told: exactly one of ``sns`` and ``notifier``."""

    sns: TopicArn | None = Field(None, description="The ARN of an SNS topic.")
    notifier: DottedPath | None = Field(
        None, description="The dotted path of an Airflow notifier class, called with args."
    )
    args: dict[str, Any] = Field({}, description="Keyword arguments of the notifier.")

    @model_validator(mode="after")
    def _rules(self) -> Notification:
        rules.enforce(rules.of_notification(self))
        return self


class Contact(PlanModel):
    """A person to call in the night of a recovery; the runbook lists them."""

    name: Text = Field(description="The person, or the team.")
    role: str = Field("", description="What they are called for: database, network, business owner.")
    phone: str = Field("", description="A phone number, or another way to reach them at night.")


class RecoveryPlan(PlanModel):
    """One plan file, and one Airflow DAG."""

    version: Literal[1] = Field(description="The version of the plan format: 1.")
    name: Name = Field(description="The DAG id; unique over all plan files.")
    description: str = Field("", description="What the plan recovers, for people.")
    owner: Text = Field("airflow", description="The DAG's owner. Default: airflow.")
    tags: Listed[Annotated[Text, Field(max_length=100)]] = Field(
        (), description="Added to the DAG's own tags; Airflow allows 100 characters each."
    )
    target: Target | None = Field(
        None, description="Where DRS launches. May be left out where every wave names one of targets."
    )
    targets: dict[Name, Target] = Field(
        {}, description="More targets by name: accounts and regions that waves and scripts act in."
    )
    objectives: Objectives = Field(Objectives(), description="What a drill is measured against.")
    drill: Drill = Field(Drill(), description="When a drill runs, and what becomes of its instances.")
    recovery: Recovery = Field(Recovery(), description="What is different when it is not a drill.")
    notify: Listed[Notification] = Field(
        (), description="Who is told on start, wave failure, approval wanted, RTO at risk, and end."
    )
    contacts: Listed[Contact] = Field((), description="People to call; drs-plan runbook lists them.")
    defaults: Defaults = Field(
        Defaults(), description="Values for the waves and the scripts that do not give their own."
    )
    protection_groups: dict[Name, ProtectionGroup] = Field({}, description="Named server sets, used by any wave.")
    waves: Listed[Wave] = Field(
        min_length=1, max_length=500, description="The waves; they form any graph without a cycle."
    )

    @field_validator("version", mode="before")
    @classmethod
    def _only_an_integer(cls, version: Any) -> Any:
        # Literal[1] compares, and True == 1.
        return str(version) if isinstance(version, (bool, float)) else version

    @model_validator(mode="after")
    def _rules(self) -> RecoveryPlan:
        rules.enforce((*rules.of_plan(self), *target_rules.of_plan_targets(self), *launch_rules.of_plan(self)))
        # Frozen for everyone else: here the plan is still being made.
        self.__dict__["waves"] = effective_waves(self.waves, self.defaults, self.objectives.rpo)
        return self

    def wave(self, name: str) -> Wave:
        """The wave of that name.

        :raises KeyError: the plan has no such wave.
        """
        for wave in self.waves:
            if wave.name == name:
                return wave
        raise KeyError(name)

    @property
    def default_target(self) -> NamedTarget:
        """The plan's own target, else that of its first wave: where what belongs to no wave is done."""
        return target_named(None if self.target else self.waves[0].target, self.target, self.targets)

    def target_of(self, wave: Wave, script: Script | None = None) -> NamedTarget:
        """The target that a wave acts in, or a script of it."""
        name = wave.target if script is None or script.target is None else script.target
        return target_named(name, self.target, self.targets)

    @property
    def every_target(self) -> tuple[NamedTarget, ...]:
        """Every target that the plan has: its own first, then the others in the file's order."""
        own = (NamedTarget(DEFAULT, self.target),) if self.target else ()
        return (*own, *(NamedTarget(name, target) for name, target in self.targets.items()))

    def account_of(self, place: NamedTarget) -> str | None:
        """The account id that the plan states for a target, or for another one with the same connection."""
        known = (each.account for each in self.every_target if each.aws_conn_id == place.aws_conn_id)
        return place.account or next(filter(None, known), None)

    def targets_of(self, waves: Iterable[Wave]) -> tuple[NamedTarget, ...]:
        """The targets that the servers of waves are launched in, each account and region once, in the waves' order."""
        places: dict[tuple[str, str], NamedTarget] = {}
        for wave in waves:
            place = self.target_of(wave)
            places.setdefault(place.key, place)
        return tuple(places.values())

    @property
    def regions_text(self) -> str:
        """Where the waves are launched, for people: ``us-west-2``, or ``us-west-2, tokyo (ap-northeast-1)``."""
        return ", ".join(map(str, self.targets_of(self.waves)))

    @property
    def several_targets(self) -> bool:
        """Whether the plan has to say which target it speaks of."""
        return len(self.every_target) > 1

    def selectors(self, wave: Wave) -> tuple[ServerSelector, ...]:
        """The wave's selectors with its groups expanded.

        :return: each has exactly one of ``id``, ``instance``, ``name``, ``hostname`` and ``tags``, with ``critical``,
            ``snapshot``, and in ``launch`` the settings of every place put together.
        """
        return tuple(selector for selector, _ in self.placed_selectors(wave))

    def placed_selectors(self, wave: Wave) -> tuple[tuple[ServerSelector, int], ...]:
        """As :meth:`selectors`, each with the index in ``wave.servers`` of the entry that it comes from."""
        expanded: list[tuple[ServerSelector, int]] = []
        for index, selector in enumerate(wave.servers):
            if selector.group is None:
                launch = settings_over(selector.launch, wave.launch)
                same = launch == selector.launch
                expanded.append((selector if same else selector.model_copy(update={"launch": launch}), index))
                continue
            group = self.protection_groups[selector.group]
            launch = settings_over(selector.launch, group.launch, wave.launch)
            shared: dict[str, Any] = {"critical": selector.critical, "launch": launch}
            expanded += [(ServerSelector(id=server, **shared), index) for server in group.servers or ()]
            if group.tags:
                expanded.append((ServerSelector(tags=group.tags, **shared), index))
        return tuple(expanded)
