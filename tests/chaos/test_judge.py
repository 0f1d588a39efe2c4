"""The judge is judged: ten careless orchestrators, each caught by the simulator's log alone.

The careful one is clean in the same worlds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest

from drs_provider.simulator.simulation import Simulation
from tests.chaos.log_rules import log_violations
from tests.chaos.plain_orchestrator import CARELESS, Orchestrator, Stopped

REGION = "us-west-2"
DB, APP, OTHER = (f"s-{number:017d}" for number in (1, 2, 3))
PLAN = {
    "name": "shop",
    "waves": [
        {"name": "db", "depends_on": [], "servers": [{"id": DB}]},
        {"name": "app", "depends_on": ["db"], "servers": [{"id": APP}]},
    ],
}
SERVERS = [
    {"id": DB, "hostname": "db01", "tags": {"Wave": "db"}},
    {"id": APP, "hostname": "app01", "tags": {"Wave": "app"}},
    {"id": OTHER, "hostname": "crm01"},
]
LOST_ANSWER = {"operation": "StartRecovery", "error": "InternalServerException", "when": "after", "times": 1}


@dataclass
class World:
    """What happens to an orchestrator.

    :param scenario: over the three servers.
    :param drill: the run's mode.
    :param stopped: the wave whose instances somebody stops as soon as they are up.
    :param somebodys_drill: whether somebody drills the first server when the run begins.
    :param failback: whether the run is followed by a failback that is given up.
    :param waves: how many of the plan's waves there are.
    """

    scenario: dict[str, Any] = field(default_factory=dict)
    drill: bool = True
    stopped: str = ""
    somebodys_drill: bool = False
    failback: bool = False
    waves: int = 2


WORLDS = {
    "launches twice": World({"faults": [LOST_ANSWER]}),
    "starts a wave too early": World(),
    "takes a failed server for a success": World({"servers": [{**SERVERS[0], "outcome": "failed"}, *SERVERS[1:]]}),
    "terminates production": World({"servers": [*SERVERS[:2], {**SERVERS[2], "launched": "recovery"}]}),
    "runs a script on a dead instance": World(stopped="db"),
    "stops the forward replication": World(drill=False, failback=True, waves=1),
    "disconnects the protected": World(drill=False, failback=True, waves=1),
    "reads the first page only": World({"page_size": 1, "servers": [SERVERS[1], SERVERS[0], SERVERS[2]]}),
    "trusts a stale list": World({"faults": [LOST_ANSWER, {"operation": "DescribeJobs", "stale": "15m"}]}),
    "acts on a job of the other mode": World(drill=False, somebodys_drill=True),
}
#: What the log must show of each, in the words of the rule.
CAUGHT = {
    "launches twice": f"{DB} was launched again",
    # On its way, or not yet that: the servers of two jobs do not move in step.
    "starts a wave too early": f"app began, and {DB} of db was ",
    "takes a failed server for a success": f"app began, and {DB} of db was failed",
    "terminates production": "which no job of this log launched, was to be terminated",
    "runs a script on a dead instance": "which was dead by then",
    "stops the forward replication": f"StopReplication deletes every point in time of {DB}",
    "disconnects the protected": f"DisconnectSourceServer takes the protection from {DB}",
    "reads the first page only": f"app began, and {DB} of db was never launched",
    "trusts a stale list": f"{DB} was launched again",
    "acts on a job of the other mode": "the other mode",
}


def judged(simulation: Simulation, world: World, kind: type[Orchestrator]) -> tuple[list[str], str]:
    """Run an orchestrator in a world; return what the log shows of it, and why it stopped."""
    simulation.events.clear()
    simulation.load({"region": REGION, "accounts": [{"region": "us-east-1"}], "servers": SERVERS, **world.scenario})
    simulation.freeze()
    plan = {**PLAN, "waves": PLAN["waves"][: world.waves]}

    def between(wave: str) -> None:
        if wave == world.stopped:
            ids = list(orchestrator.instances.values())
            boto3.client("ec2", REGION).stop_instances(InstanceIds=ids)

    orchestrator = kind(plan, simulation.advance, drill=world.drill, between=between)
    if world.somebodys_drill:
        boto3.client("drs", REGION).start_recovery(isDrill=True, sourceServers=[{"sourceServerID": DB}])
        simulation.advance(100)
    why = ""
    try:
        orchestrator.run()
        if world.failback:
            orchestrator.give_up_failback(orchestrator.reverse(), DB)
    except Stopped as error:
        why = str(error)
    simulation.advance(7200)
    mode = "drill" if world.drill else "recovery"
    return log_violations(simulation.log, plan, mode=mode, ended=not why), why


@pytest.mark.parametrize("name", CARELESS)
def test_the_log_alone_catches_each_careless_orchestrator(name: str, drs_simulator: Simulation) -> None:
    found, _ = judged(drs_simulator, WORLDS[name], CARELESS[name])
    assert any(CAUGHT[name] in one for one in found), found


@pytest.mark.parametrize("name", WORLDS)
def test_the_careful_one_is_clean_in_the_same_world(name: str, drs_simulator: Simulation) -> None:
    found, why = judged(drs_simulator, WORLDS[name], Orchestrator)
    assert found == []
    hopeless = {
        "takes a failed server for a success": "not launched",
        "runs a script on a dead instance": "not running",
    }
    assert why.startswith(hopeless.get(name, "")) and bool(why) == (name in hopeless)
    if not why:
        launched = [entry["server"] for entry in drs_simulator.log if entry.get("event") == "LAUNCH_END"]
        assert launched[-1] == (APP if WORLDS[name].waves == 2 else DB), "it did its work"


def test_every_habit_is_harmless_where_nothing_goes_wrong(drs_simulator: Simulation) -> None:
    """So each is caught in its world for what it is, and not for its style."""
    for name, kind in CARELESS.items():
        if name in ("starts a wave too early", "stops the forward replication", "disconnects the protected"):
            continue  # Wrong in every world.
        assert judged(drs_simulator, World(), kind) == ([], ""), name
