"""A plan and a simulated region that are ready, from which each test takes one thing away."""

from __future__ import annotations

import copy
import functools
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from drs_provider.aws.clients import Clients
from drs_provider.plan import RecoveryPlan
from drs_provider.readiness.preflight import run_preflight
from drs_provider.readiness.result import PreflightResult

if TYPE_CHECKING:
    from drs_provider.simulator.simulation import Simulation

DB1, DB2, DB3 = "s-1a2b3c4d5e6f70001", "s-1a2b3c4d5e6f70002", "s-1a2b3c4d5e6f70003"
APP1, APP2 = "s-1a2b3c4d5e6f70011", "s-1a2b3c4d5e6f70012"
WEB1 = "s-1a2b3c4d5e6f70021"

SNAPSHOTS = [{"age": "10m", "id": "pit-00000000000000001"}, {"age": "2h", "id": "pit-00000000000000002"}]


def server(id_: str, hostname: str, **more: Any) -> dict[str, Any]:
    """A source server of a scenario, with two snapshots."""
    return {"id": id_, "hostname": hostname, "snapshots": copy.deepcopy(SNAPSHOTS), **more}


SCENARIO: dict[str, Any] = {
    "region": "us-west-2",
    "page_size": 2,
    "servers": [
        server(DB1, "db01", tags={"Application": "shop", "Tier": "db"}),
        server(DB2, "db02", tags={"Application": "shop", "Tier": "db"}),
        server(DB3, "db-archive", fqdn="db-archive.corp.example"),
        server(APP1, "app01", tags={"Application": "shop", "Tier": "app"}),
        server(APP2, "app02", tags={"Application": "shop", "Tier": "app"}),
        server(WEB1, "web01", tags={"Application": "shop", "Tier": "web"}, lag="30s"),
    ],
    "documents": {
        "Shop-PromoteReplica": {"kind": "Automation", "duration": 1, "parameters": {"ClusterId": None}},
        "Shop-Warm": {"kind": "Command", "duration": 1},
    },
}
PLAN: dict[str, Any] = {
    "version": 1,
    "name": "shop",
    "target": {"region": "us-west-2"},
    "objectives": {"rpo": "5m"},
    "waves": [
        {
            "name": "database",
            "servers": [{"id": DB1}, {"id": DB2}, {"hostname": "DB-Archive.corp.example"}],
            "pre_launch": [
                {"name": "promote", "automation": "Shop-PromoteReplica", "parameters": {"ClusterId": ["shop"]}}
            ],
        },
        {
            "name": "app",
            "depends_on": ["database"],
            "servers": [{"tags": {"Application": "shop", "Tier": "app"}}],
            "post_launch": [{"name": "warm", "run_command": "Shop-Warm"}],
        },
        {
            "name": "web",
            "depends_on": ["app"],
            "servers": [{"tags": {"Tier": "web"}}],
            "health_checks": [{"type": "instance_status"}],
        },
    ],
}


@functools.cache
def shared_clients() -> Clients:
    """One set for all tests: making a client takes longer than most tests."""
    session = boto3.session.Session("testing", "testing", region_name="us-west-2")
    return Clients.from_session(session, "us-west-2")


class Room:
    """A plan and a region, both as plain data until :meth:`check` loads them."""

    def __init__(self, simulator: Simulation) -> None:
        self.simulator = simulator
        self.plan_data = copy.deepcopy(PLAN)
        self.scenario = copy.deepcopy(SCENARIO)

    def server(self, id_: str) -> dict[str, Any]:
        """The scenario's entry of a server."""
        found: dict[str, Any] = next(one for one in self.scenario["servers"] if one["id"] == id_)
        return found

    def add_server(self, id_: str, hostname: str, **more: Any) -> None:
        """One more source server in the scenario."""
        self.scenario["servers"].append(server(id_, hostname, **more))

    def wave(self, name: str) -> dict[str, Any]:
        """The plan's entry of a wave."""
        found: dict[str, Any] = next(one for one in self.plan_data["waves"] if one["name"] == name)
        return found

    def load(self) -> None:
        """Load the scenario."""
        self.simulator.load(self.scenario)

    @property
    def plan(self) -> RecoveryPlan:
        """The plan."""
        return RecoveryPlan.model_validate(self.plan_data)

    @property
    def clients(self) -> Clients:
        """Clients of the simulated region."""
        return shared_clients()

    def check(self, mode: Any = "drill", *, load: bool = True, **options: Any) -> PreflightResult:
        """Load the scenario and run preflight."""
        if load:
            self.load()
        return run_preflight(self.plan, self.clients, mode=mode, **options)

    def calls(self, operation: str) -> int:
        """How many calls of an operation the simulator has seen."""
        return sum(1 for entry in self.simulator.log if entry.get("operation") == operation)


@pytest.fixture
def room(drs_simulator: Simulation) -> Room:
    """A plan and a region that are ready."""
    return Room(drs_simulator)
