"""The plans of a story: one that is run by two installations, and a second one that shares servers with it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drs_provider.plan import LoadedPlan, RecoveryPlan, plan_hash
from tests.chaos.cases import REGION

__all__ = ["APPROVERS", "DrawnPlans", "draw_plans"]

APPROVERS = ("carol", "dave", "erin")


@dataclass(frozen=True)
class DrawnPlans:
    """What was drawn.

    :param first: the plan of the story.
    :param second: another plan; one of its servers is one of the first plan's.
    :param servers: the source servers of the scenario.
    :param documents: its SSM documents.
    """

    first: LoadedPlan
    second: LoadedPlan
    servers: list[dict[str, Any]]
    documents: dict[str, Any]


def draw_plans(rng: random.Random, folder: Path) -> DrawnPlans:
    """Draw the plans and their world."""
    drawing = _Drawing(rng)
    first = drawing.plan("shop", rng.randint(1, 3))
    second = drawing.plan("stock", 1)
    shared = rng.choice(drawing.servers[: len(first["waves"])])["id"]
    second["waves"][0]["servers"].append({"id": shared})
    return DrawnPlans(_loaded(first, folder), _loaded(second, folder), drawing.servers, drawing.documents)


def _loaded(data: dict[str, Any], folder: Path) -> LoadedPlan:
    plan = RecoveryPlan.model_validate(data)
    return LoadedPlan(plan, folder / f"{plan.name}.yaml", plan_hash(plan))


class _Drawing:
    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.servers: list[dict[str, Any]] = []
        self.documents: dict[str, Any] = {}

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def plan(self, name: str, count: int) -> dict[str, Any]:
        rng = self.rng
        names = [f"{name}{number}" for number in range(count)]
        waves = [self._wave(wave, names[number - 1] if number else None) for number, wave in enumerate(names)]
        recovery: dict[str, Any] = {"on_failure": rng.choice(("stop", "stop", "rollback"))}
        if self.chance(0.7):
            recovery["approval"] = {"approvers": list(APPROVERS)}
        drill: dict[str, Any] = {"terminate": rng.choice(("always", "always", "always", "on_success"))}
        if self.chance(0.4):
            drill["keep_for"] = rng.choice(("30m", "2h"))
        return {
            "version": 1,
            "name": name,
            "target": {"region": REGION},
            "recovery": recovery,
            "drill": drill,
            "waves": waves,
        }

    def _wave(self, name: str, before: str | None) -> dict[str, Any]:
        rng = self.rng
        identity = f"s-{len(self.servers):017x}"
        outcome = "launched" if self.chance(0.85) else rng.choice(("failed", ["failed", "launched"]))
        # Shorter than real ones: fewer looks at a job, and no other order.
        durations = {"conversion": 20, "launch": self.rng.choice((10, 60))}
        self.servers.append({"id": identity, "hostname": name, "outcome": outcome, "durations": durations})
        wave: dict[str, Any] = {"name": name, "servers": [{"id": identity}], "retries": rng.choice((0, 1))}
        if before and self.chance(0.8):
            wave["depends_on"] = [before]
        if self.chance(0.4):
            wave["approval"] = {"approvers": list(APPROVERS)}
        if self.chance(0.4):
            wave["on_failure"] = "rollback"
        for section in ("pre_launch", "post_launch"):
            if self.chance(0.4):
                document = f"{name}-{section.replace('_', '-')}"
                outcome = "Success" if self.chance(0.85) else "Failed"
                self.documents[document] = {"kind": "Automation", "duration": 5, "outcome": outcome}
                wave[section] = [{"name": "script", "automation": document}]
        if self.chance(0.4):
            wave["health_checks"] = [{"type": "instance_status"}]
        return wave
