"""The graph of a plan's waves: levels, dependents, the critical path."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from graphlib import TopologicalSorter

from drs_provider.plan.models import RecoveryPlan
from drs_provider.plan.steps import steps_of
from drs_provider.plan.waves import Wave

__all__ = ["critical_path", "dependents", "levels", "longest_time"]


def levels(plan: RecoveryPlan) -> list[list[str]]:
    """The waves by the earliest moment that each can start.

    :return: lists of wave names in the file's order. Level 0 depends on nothing; each other wave stands one level
        after the last of the waves that it depends on.
    """
    level: dict[str, int] = {}
    graph = {wave.name: wave.depends_on for wave in plan.waves}
    for name in TopologicalSorter(graph).static_order():
        level[name] = max((level[needed] + 1 for needed in graph[name]), default=0)
    found: list[list[str]] = [[] for _ in range(max(level.values()) + 1)]
    for wave in plan.waves:
        found[level[wave.name]].append(wave.name)
    return found


def dependents(plan: RecoveryPlan, wave: str) -> list[str]:
    """Every wave that depends on a wave, directly or not.

    :param wave: the wave's name.
    :return: names, in an order in which each stands after what it depends on.
    :raises KeyError: the plan has no such wave.
    """
    plan.wave(wave)
    graph = {each.name: each.depends_on for each in plan.waves}
    reached = {wave}
    for name in TopologicalSorter(graph).static_order():
        if reached.intersection(graph[name]):
            reached.add(name)
    return [name for name in TopologicalSorter(graph).static_order() if name in reached and name != wave]


def longest_time(wave: Wave) -> timedelta:
    """The longest that a wave may take: every attempt, script and check up to its limit. Approvals are not counted.

    :return: launch_timeout times the attempts, settle, and the timeouts of the scripts and of the
        health checks, one after another.
    """
    return sum((step.limit for step in steps_of(wave)), timedelta(0))


def critical_path(
    plan: RecoveryPlan, duration: Callable[[Wave], timedelta] = longest_time
) -> tuple[list[str], timedelta]:
    """The chain of waves that decides how long the whole plan takes.

    :param duration: how long a wave takes. Default: the longest that its limits allow.
    :return: the chain's wave names in order, and their sum. Among equal chains the one that comes first in the file.
    """
    waves = {wave.name: wave for wave in plan.waves}
    end: dict[str, timedelta] = {}
    before: dict[str, str | None] = {}
    for name in TopologicalSorter({name: wave.depends_on for name, wave in waves.items()}).static_order():
        before[name] = max(waves[name].depends_on, key=lambda needed: end[needed], default=None)
        previous = before[name]
        end[name] = (end[previous] if previous else timedelta(0)) + duration(waves[name])
    last: str | None = max(waves, key=lambda name: end[name])
    total = end[last] if last else timedelta(0)
    chain: list[str] = []
    while last is not None:
        chain.append(last)
        last = before[last]
    return chain[::-1], total
