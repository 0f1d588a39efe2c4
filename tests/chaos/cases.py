"""A case of the campaign: a recovery plan, how AWS will behave, and what people will answer, drawn from a seed.

The same seed draws the same case. Nothing here knows how the plan is carried out; what has to come of it is worked out
in :mod:`tests.chaos.oracle`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

__all__ = ["REGION", "Case", "draw_case"]

REGION = "us-west-2"

_WAVES = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15)
_MOST_SERVERS = 40


@dataclass
class Case:
    """One plan with its world.

    :param plan: the data of the plan file.
    :param servers: the source servers of the scenario.
    :param documents: the SSM documents of the scenario.
    :param answers: what a person answers, ``Approve`` or ``Reject``, by task id.
    :param conf: the run parameters.
    :param runs: how many runs of the plan are started at once.
    """

    plan: dict[str, Any]
    servers: list[dict[str, Any]]
    documents: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    conf: dict[str, Any] = field(default_factory=dict)
    runs: int = 1

    @property
    def name(self) -> str:
        """The plan's name, which is the DAG's id."""
        return str(self.plan["name"])

    @property
    def is_drill(self) -> bool:
        """Whether the case is a drill."""
        return self.conf.get("mode", "drill") == "drill"


def draw_case(rng: random.Random, name: str, number: int, *, most_waves: int = 15) -> Case:
    """Draw a case.

    :param rng: where the draws come from.
    :param name: the plan's name.
    :param number: tells the servers of this case from those of every other, below 16 to the power of 8.
    :param most_waves: the most waves.
    """
    return _Drawing(rng, name, number, most_waves).case()


class _Drawing:
    def __init__(self, rng: random.Random, name: str, number: int, most_waves: int) -> None:
        self.rng = rng
        self.name = name
        self.number = number
        self.count = rng.choice([count for count in _WAVES if count <= most_waves])
        self.room = _MOST_SERVERS - self.count
        # How troubled the world of this case is: often not at all, so that what faults do shows by itself.
        self.trouble = rng.choice((0.0, 0.0, 0.03, 0.12))
        self.hangs = rng.random() < 0.12
        self.drawn = Case(plan={}, servers=[])

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def case(self) -> Case:
        rng, case = self.rng, self.drawn
        names = [f"w{number:02d}" for number in range(self.count)]
        waves = []
        for place, wave in enumerate(names):
            most = min(place, 3)
            needed = rng.sample(names[:place], rng.randint(0 if self.chance(0.3) else min(1, most), most))
            waves.append(self._wave(wave, sorted(needed)))
        order = rng.sample(waves, len(waves))  # The order in the file has nothing to do with that of the waves.
        recovery = self.chance(0.15)
        case.plan = {
            "version": 1,
            "name": self.name,
            "description": "Drawn by the fault campaign",
            "target": {"region": REGION},
            "objectives": {"rto": "45m", "rpo": "5m"},
            "drill": {"terminate": "always" if self.chance(0.8) else rng.choice(["on_success", "never"])},
            "recovery": {"on_failure": "rollback" if self.chance(0.1) else "stop"},
            "waves": order,
        }
        if recovery:
            case.conf = {"mode": "recovery", "confirm": self.name}
        return case

    def _wave(self, name: str, needed: list[str]) -> dict[str, Any]:
        rng = self.rng
        count = 1 + min(self.room, rng.choice((0, 0, 1, 1, 2, 4)))
        self.room -= count - 1
        selectors = [self._server(name, number) for number in range(count)]
        wave: dict[str, Any] = {
            "name": name,
            "depends_on": needed,
            "servers": selectors,
            "retries": rng.choice((0, 1, 1, 2)),
            # Real seconds; what DRS does passes sixty times faster.
            "launch_timeout": "40s" if self.hangs else "10m",
        }
        if all(selector["critical"] for selector in selectors) and self.chance(0.1):
            wave["min_launched"] = rng.randint(1, count)
        if self.chance(0.08):
            wave["approval"] = {"message": f"Is {name} to start?"}
            self.drawn.answers[f"{name}.approve"] = "Reject" if self.chance(self.trouble) else "Approve"
        if self.chance(0.2):
            wave["settle"] = rng.choice(("2s", "4s"))
        if self.chance(0.25):
            wave["pre_launch"] = [self._script(name, f"pre{n}", "automation") for n in range(rng.randint(1, 2))]
        if self.chance(0.3):
            kinds = rng.choices(("automation", "run_command"), k=rng.randint(1, 2))
            wave["post_launch"] = [self._script(name, f"post{n}", kind) for n, kind in enumerate(kinds)]
        if self.chance(0.3):
            checks = rng.choice((["instance_status"], ["ssm_online"], ["instance_status", "ssm_online"]))
            wave["health_checks"] = [{"type": check} for check in checks]
        if self.chance(0.2):
            wave["on_failure"] = "rollback"
            if self.chance(0.5):
                wave["rollback"] = [self._script(name, "undo", "automation", safe=True)]
        return wave

    def _server(self, wave: str, number: int) -> dict[str, Any]:
        rng = self.rng
        identity = f"s-{self.number:08x}{wave}{number:06x}"
        outcome: Any = "launched"
        if self.hangs and self.chance(0.15):
            outcome = "hangs"
        elif self.chance(self.trouble):
            failure = rng.choice(("failed", "failed_silently"))
            outcome = rng.choice((failure, [failure, "launched"], [failure, failure, "launched"]))
        self.drawn.servers.append(
            {
                "id": identity,
                "hostname": f"{self.name}-{wave}-{number}",
                "tags": {"Case": self.name, "Wave": wave},
                "outcome": outcome,
                "fail_at": rng.choice(("snapshot", "conversion", "launch")),
                "durations": {"conversion": rng.choice((30, 90, 240)), "launch": rng.choice((30, 120, 300))},
            }
        )
        # A wave without a critical server could succeed with no instance to run a command on.
        return {"id": identity, "critical": number == 0 or not self.chance(0.25)}

    def _script(self, wave: str, name: str, kind: str, *, safe: bool = False) -> dict[str, Any]:
        rng = self.rng
        document = f"{self.name}-{wave}-{name}"
        fails = not safe and self.chance(self.trouble)
        self.drawn.documents[document] = {
            "kind": "Automation" if kind == "automation" else "Command",
            "duration": rng.choice((5, 60, 300)),
            "outcome": "Failed" if fails else "Success",
        }
        script: dict[str, Any] = {
            "name": name,
            kind: document,
            "on_failure": rng.choice(("stop", "continue")),
        }
        if not safe and self.chance(0.1):
            script["modes"] = ["recovery"]
        return script
