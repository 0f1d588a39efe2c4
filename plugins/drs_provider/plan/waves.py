"""A wave: the servers that are launched together, and what surrounds their launch."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Discriminator, Field, PlainSerializer, Tag, model_validator

from drs_provider.plan import rules
from drs_provider.plan.health import HealthCheck
from drs_provider.plan.launch import LaunchSettings
from drs_provider.plan.scalars import (
    Document,
    Hostname,
    InstanceId,
    Name,
    Pause,
    PlanModel,
    ServerId,
    ServerName,
    Share,
    SnapshotId,
    SourceInstanceId,
    Span,
    Tags,
    Text,
    Values,
)

__all__ = ["Approval", "ParametersByMode", "ProtectionGroup", "Script", "ServerSelector", "Targets", "Wave"]

Item = TypeVar("Item")
Listed = Annotated[tuple[Item, ...], Field(strict=False)]
"""A YAML list, kept as a tuple."""

OnFailure = Literal["stop", "rollback"]

Modes = Annotated[
    frozenset[Literal["drill", "recovery"]],
    Field(strict=False, min_length=1),
    PlainSerializer(sorted, when_used="json"),
]


class ServerSelector(PlanModel):
    """Which source servers: exactly one of ``group``, ``id``, ``instance``, ``name``, ``hostname`` and ``tags``."""

    group: Name | None = Field(None, description="A name under protection_groups.")
    id: ServerId | None = Field(None, description="A DRS source server id: s- and 17 letters or digits.")
    instance: SourceInstanceId | None = Field(
        None, description="The EC2 instance that the source server is: i- and 8 to 17 hexadecimal digits."
    )
    name: ServerName | None = Field(
        None, description="The source server's Name tag, or its host name, short or in full, in any case of letters."
    )
    hostname: Hostname | None = Field(None, description="The source server's host name, as DRS shows it.")
    tags: Tags | None = Field(
        None, description="Tags of source servers; all must match. Resolved when the wave starts."
    )
    critical: bool = Field(
        True, description="false: the server may fail to launch without failing its wave. Default: true."
    )
    snapshot: SnapshotId | None = Field(
        None, description="A recovery snapshot of the server; only with id. Default: the latest, taken on demand."
    )
    launch: LaunchSettings = Field(LaunchSettings(), description="How these servers are launched.")

    @model_validator(mode="after")
    def _rules(self) -> ServerSelector:
        rules.enforce(rules.of_selector(self))
        return self

    @property
    def text(self) -> str:
        """The selection as a person says it: ``hostname web01``, ``tags Tier=web, Site=a``."""
        for key in ("group", "id", "instance", "name", "hostname"):
            if value := getattr(self, key):
                return f"{key} {value}"
        return "tags " + ", ".join(f"{key}={value}" for key, value in (self.tags or {}).items())


class ProtectionGroup(PlanModel):
    """A named set of servers: exactly one of ``servers`` and ``tags``."""

    servers: Listed[ServerId] | None = Field(None, min_length=1, description="DRS source server ids.")
    tags: Tags | None = Field(
        None, description="Tags of source servers; all must match. Resolved when the wave starts."
    )
    launch: LaunchSettings = Field(LaunchSettings(), description="How the group's servers are launched.")

    @model_validator(mode="after")
    def _rules(self) -> ProtectionGroup:
        rules.enforce(rules.of_group(self))
        return self


class Approval(PlanModel):
    """A person says go."""

    message: Text | None = Field(None, description="What the person is asked.")
    approvers: Listed[Text] = Field((), description="Airflow user names. Default: anyone who may edit the DAG run.")
    timeout: Span = Field(timedelta(hours=24), description="How long to wait for the answer. Default: 24h.")
    count: int = Field(
        1, ge=1, le=10, strict=True, description="How many different people have to approve. Default: 1."
    )
    modes: Modes | None = Field(
        None,
        description="When to ask: drill, recovery. Default: recovery for recovery.approval, both before a wave.",
    )

    @model_validator(mode="after")
    def _rules(self) -> Approval:
        rules.enforce(rules.of_approval(self))
        return self


class Targets(PlanModel):
    """Instances other than those that the wave launched: exactly one of ``tags`` and ``instance_ids``."""

    tags: Tags | None = Field(None, description="Tags of EC2 instances; all must match.")
    instance_ids: Listed[InstanceId] | None = Field(
        None, min_length=1, max_length=50, description="EC2 instance ids, or ids of hybrid managed nodes (mi-…)."
    )

    @model_validator(mode="after")
    def _rules(self) -> Targets:
        rules.enforce(rules.of_targets(self))
        return self


def _kind_of_targets(value: Any) -> str:
    return "<instances>" if isinstance(value, (dict, Targets)) else "<word>"


ScriptTargets = Annotated[
    Annotated[Literal["recovery_instances"], Tag("<word>")] | Annotated[Targets, Tag("<instances>")],
    Discriminator(_kind_of_targets),
]


class ParametersByMode(PlanModel):
    """Parameters of a script that differ between the modes of a run."""

    drill: dict[Text, Values] = Field({}, description="Parameters in a drill.")
    recovery: dict[Text, Values] = Field({}, description="Parameters in a recovery.")


class Script(PlanModel):
    """An SSM document that runs before or after a launch: exactly one of ``automation`` and ``run_command``."""

    name: Name = Field(description="Unique in its list; a part of the task's id.")
    automation: Document | None = Field(None, description="An SSM Automation runbook.")
    run_command: Document | None = Field(None, description="An SSM Command document.")
    parameters: dict[Text, Values] = Field(
        {},
        description="The document's parameters, each a text or a list of texts. SSM's own references such as "
        "{{ssm:name}} are passed on as they are; {{connection:drs_secret_NAME.password}} as a whole value is looked up "
        "in Airflow's connections when the script is sent.",
    )
    parameters_by_mode: ParametersByMode = Field(
        ParametersByMode(), description="Parameters for a drill or a recovery alone, laid over parameters."
    )
    timeout: Span = Field(timedelta(minutes=10), description="How long it may run. Default: 10m.")
    modes: Modes = Field(frozenset({"drill", "recovery"}), description="When it runs. Default: [drill, recovery].")
    targets: ScriptTargets | None = Field(
        None,
        description="Where a run_command runs. Default in post_launch: recovery_instances, those that the wave "
        "launched. In pre_launch and rollback: tags or instance_ids, and one of them is needed.",
    )
    on_failure: Literal["stop", "continue"] = Field(
        "stop", description="continue: a failure is reported and does not fail the wave. Default: stop."
    )
    target: Name | None = Field(
        None, description="The account and region that it runs in: a name under targets. Default: its wave's target."
    )

    @model_validator(mode="after")
    def _rules(self) -> Script:
        rules.enforce(rules.of_script(self))
        return self

    def in_mode(self, mode: str) -> Script:
        """The script as a run of one mode sees it.

        :param mode: ``drill`` or ``recovery``.
        :return: a script whose ``parameters`` are all that it is sent with.
        """
        own = getattr(self.parameters_by_mode, mode, None)
        return self.model_copy(update={"parameters": {**self.parameters, **own}}) if own else self

    @property
    def every_parameters(self) -> tuple[dict[str, tuple[str, ...]], ...]:
        """The parameters, then those of each mode: for whoever looks at every value."""
        return (self.parameters, self.parameters_by_mode.drill, self.parameters_by_mode.recovery)


class Wave(PlanModel):
    """Servers that are launched together, what happens before and after, and what the wave waits for."""

    name: Name = Field(description="Unique in the plan; the task group's id.")
    description: str = Field("", description="What the wave holds, for people.")
    depends_on: Listed[Name] = Field(
        (), description="The waves that must have succeeded first. Absent or empty: starts at once."
    )
    target: Name | None = Field(
        None,
        description="The account and region that the wave is launched in: a name under targets. Default: the plan's "
        "target.",
    )
    servers: Listed[ServerSelector] = Field(min_length=1, description="The servers of the wave.")
    min_launched: Share | None = Field(
        None,
        description="How many servers must launch: a count or a percentage such as 80%. "
        "Default: every critical server.",
    )
    launch_timeout: Span = Field(
        timedelta(minutes=60), description="How long one DRS job may take until every server is up. Default: 60m."
    )
    retries: int = Field(
        1, ge=0, le=10, description="How often the servers that failed, and only those, are launched again. Default: 1."
    )
    on_failure: OnFailure = Field(
        "stop",
        description="stop: leave everything as it is. rollback: end what this wave launched and run its rollback "
        "scripts. Default: stop.",
    )
    rollback: Listed[Script] = Field((), description="The scripts of a rollback, in order.")
    approval: Approval | None = Field(None, description="A person says go before this wave.")
    settle: Pause = Field(timedelta(0), description="A pause after the launch, before post_launch. Default: 0s.")
    pre_launch: Listed[Script] = Field((), description="Scripts before the launch, in order.")
    post_launch: Listed[Script] = Field((), description="Scripts after the launch, in order.")
    health_checks: Listed[HealthCheck] = Field((), description="What must hold before the wave counts as up.")
    max_replication_lag: Span | None = Field(
        None,
        description="A server that lags further behind is not launched. Default: objectives.rpo where given, "
        "else any lag.",
    )
    launch: LaunchSettings = Field(LaunchSettings(), description="How the wave's servers are launched.")

    @model_validator(mode="after")
    def _rules(self) -> Wave:
        rules.enforce(rules.of_wave(self))
        return self

    def required_launched(self, total: int) -> int | None:
        """How many of the wave's servers must launch.

        :param total: how many servers the wave has, once its selectors are resolved.
        :return: ``min_launched`` as a count, a percentage rounded up; ``None`` where ``critical`` decides.
        """
        if self.min_launched is None or isinstance(self.min_launched, int):
            return self.min_launched
        return -(-total * int(self.min_launched.rstrip("%")) // 100)

    def checks_by_name(self) -> dict[str, HealthCheck]:
        """The health checks by a name that is unique in the wave.

        :return: the type is the name (``tcp``); a second check of a type is ``tcp_2``, and so on. In the plan's order.
        """
        seen: dict[str, int] = {}
        named: dict[str, HealthCheck] = {}
        for check in self.health_checks:
            seen[check.type] = seen.get(check.type, 0) + 1
            named[check.type if seen[check.type] == 1 else f"{check.type}_{seen[check.type]}"] = check
        return named

    def scripts(self) -> Iterable[Script]:
        """Every script of the wave: ``pre_launch``, ``post_launch``, ``rollback``."""
        yield from self.pre_launch
        yield from self.post_launch
        yield from self.rollback
