"""A plan as a recovery plan of DRS itself: at most 20 steps in a row, each of up to 100 servers, or a wait.

Waves that nothing orders among themselves, and that the next waves all wait for, become one step. A plan whose branches
go their own ways has no such row: in one, a wave would wait for waves that it does not depend on. Such a recovery plan
is of one account and region: a plan with several targets becomes one in each, where no wave waits for another target's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from drs_provider.durations import format_duration
from drs_provider.plan.graph import levels
from drs_provider.readiness.concurrency import ancestors

if TYPE_CHECKING:
    from drs_provider.plan import RecoveryPlan, Wave
    from drs_provider.plan.targets import NamedTarget
    from drs_provider.readiness.resolution import ResolvedServer

__all__ = ["MOST_SERVERS", "MOST_STEPS", "NativePlan", "NativeStep", "NotLinear", "native_plan"]

MOST_STEPS = 20
MOST_SERVERS = 100
LONGEST_WAIT = 120
"""Minutes of one wait. The limits are those of botocore's service model of DRS (CreateRecoveryPlanStep)."""
LONGEST_NAME = 256


class NotLinear(ValueError):
    """The plan cannot be a recovery plan of DRS; ``reasons`` says why, all of it."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("\n".join(reasons))
        self.reasons = list(reasons)


@dataclass(frozen=True)
class NativeStep:
    """A step as CreateRecoveryPlanStep takes it."""

    name: str
    configuration: Mapping[str, Any]


@dataclass(frozen=True)
class NativePlan:
    """A recovery plan of DRS.

    :param lost: what of the plan it cannot say, one sentence each.
    """

    name: str
    description: str
    steps: tuple[NativeStep, ...]
    lost: tuple[str, ...]


def native_plan(
    plan: RecoveryPlan,
    servers: Mapping[str, Sequence[ResolvedServer]],
    arns: Mapping[str, str],
    place: NamedTarget | None = None,
) -> NativePlan:
    """Make the recovery plan of DRS that says as much of a plan as it can.

    :param plan: the plan.
    :param servers: the source servers of each wave.
    :param arns: the ARN of each source server, by its id.
    :param place: the target whose waves it has. Default: that of the plan's first wave.
    :raises NotLinear: the plan is no row of steps, or has too many of them or of servers.
    """
    place = place or plan.targets_of(plan.waves)[0]
    rows = _rows(plan, place)
    reasons = [*_across(plan, place), *_out_of_line(plan, rows)]
    steps: list[NativeStep] = []
    for names in rows:
        waves = [plan.wave(name) for name in names]
        together = [server for name in names for server in servers[name]]
        title = " and ".join(names)
        if not together:
            reasons.append(f"{title}: has no server")
        if len(together) > MOST_SERVERS:
            reasons.append(f"{title}: has {len(together)} servers; a step takes {MOST_SERVERS}")
        steps.append(NativeStep(title[:LONGEST_NAME].rstrip(), _server_step(together, arns)))
        steps += _waits(title, max(wave.settle for wave in waves))
    if len(steps) > MOST_STEPS:
        reasons.append(f"{len(steps)} steps, waits among them; a recovery plan of DRS takes {MOST_STEPS}")
    if reasons:
        raise NotLinear(reasons)
    return NativePlan(plan.name, plan.description[:1024], tuple(steps), tuple(_lost(plan, place, rows)))


def _rows(plan: RecoveryPlan, place: NamedTarget) -> list[list[str]]:
    """Return the names of the waves of a target, level by level."""
    here = {wave.name for wave in plan.waves if plan.target_of(wave).key == place.key}
    rows = [[name for name in names if name in here] for names in levels(plan)]
    return [names for names in rows if names]


def _across(plan: RecoveryPlan, place: NamedTarget) -> list[str]:
    """Where a wave of a target waits for a wave of another one."""
    return [
        f"{wave.name} in {place}: depends on {other} in {plan.target_of(plan.wave(other))}; "
        "a recovery plan of DRS is of one account and region"
        for wave in plan.waves
        if plan.target_of(wave).key == place.key
        for other in wave.depends_on
        if plan.target_of(plan.wave(other)).key != place.key
    ]


def _out_of_line(plan: RecoveryPlan, rows: Sequence[Sequence[str]]) -> list[str]:
    """Where a wave does not depend on a wave of the level before it, directly or through others."""
    before = ancestors({wave.name: wave.depends_on for wave in plan.waves})
    return [
        f"{name}: does not depend on {other}, and would wait for it in a row of steps"
        for earlier, later in pairwise(rows)
        for name in later
        for other in earlier
        if other not in before[name]
    ]


def _server_step(servers: Sequence[ResolvedServer], arns: Mapping[str, str]) -> dict[str, Any]:
    listed = [
        {"serverArn": arns[server.id], "impactLevel": "CRITICAL" if server.critical else "OPTIONAL"}
        for server in servers
    ]
    return {"serverStepConfiguration": {"servers": listed}}


def _waits(after: str, settle: timedelta) -> list[NativeStep]:
    minutes = -(-int(settle.total_seconds()) // 60)
    found = []
    while minutes > 0:
        name = f"settle after {after}"[:LONGEST_NAME].rstrip()
        part = min(minutes, LONGEST_WAIT)
        found.append(NativeStep(name, {"waitStepConfiguration": {"waitDurationMinutes": part}}))
        minutes -= part
    return found


def _lost(plan: RecoveryPlan, place: NamedTarget, rows: Sequence[Sequence[str]]) -> list[str]:
    waves = [wave for wave in plan.waves if plan.target_of(wave).key == place.key]
    found = [sentence for wave in waves for sentence in _lost_of_wave(wave)]
    together = [names for names in rows if len(names) > 1]
    found += [f"{' and '.join(names)}: separate waves; they are one step" for names in together]
    elsewhere = [wave for wave in plan.waves if wave not in waves]
    if elsewhere:
        names = ", ".join(f"{wave.name} in {plan.target_of(wave)}" for wave in elsewhere)
        found.append(f"waves of other targets: {names}; a recovery plan of their own, which a person starts")
    if any(selector.id is None for wave in waves for selector in plan.selectors(wave)):
        found.append(
            "servers by tag or hostname: the steps name the servers that match now; export again when they change"
        )
    for value, what in (
        (plan.recovery.approval, "recovery.approval: a recovery starts without asking"),
        (plan.recovery.on_failure == "rollback", "recovery.on_failure: nothing is rolled back"),
        (plan.objectives.rto or plan.objectives.rpo, "objectives: nothing is measured against RTO and RPO"),
        (plan.drill.schedule, f"drill.schedule: drills are started by hand, not at {plan.drill.schedule}"),
        (plan.drill.waves, f"drill.waves: a drill is of every step, not of {', '.join(plan.drill.waves)} only"),
        (plan.drill.terminate != "never", "drill.terminate: what a drill launches runs until somebody ends it"),
        (plan.notify, "notify: nobody is told"),
        (plan.owner != "airflow", f"owner: {plan.owner}"),
        (plan.tags, f"tags: {', '.join(plan.tags)}"),
        (
            place.aws_conn_id != "aws_default",
            "target.aws_conn_id: the plan stands in the account of this export",
        ),
    ):
        found += [what] if value else []
    return [*found, "readiness checks, launching failed servers again by itself, and reports"]


def _lost_of_wave(wave: Wave) -> list[str]:
    found = []
    for section in ("pre_launch", "post_launch", "rollback"):
        names = ", ".join(script.name for script in getattr(wave, section))
        found += [f"{wave.name}.{section}: no script runs ({names})"] if names else []
    checks = ", ".join(wave.checks_by_name())
    pinned = ", ".join(f"{server.id}" for server in wave.servers if server.snapshot)
    for value, what in (
        (wave.approval, "approval: no step asks a person"),
        (checks, f"health_checks: nothing waits for the service ({checks})"),
        (wave.min_launched is not None, f"min_launched: {wave.min_launched}; only CRITICAL and OPTIONAL count"),
        (wave.on_failure == "rollback", "on_failure: what a failed step launched stays"),
        (pinned, f"snapshot: the execution chooses the moment, for all servers ({pinned})"),
        (wave.launch_timeout != timedelta(minutes=60), f"launch_timeout: {format_duration(wave.launch_timeout)}"),
        (wave.max_replication_lag, "max_replication_lag: a lagging server is launched anyway"),
        (wave.settle.total_seconds() % 60, f"settle: {format_duration(wave.settle)} is rounded up to minutes"),
        (wave.description, "description: a step has none"),
    ):
        found += [f"{wave.name}.{what}"] if value else []
    return found
