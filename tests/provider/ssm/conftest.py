"""A region with instances that SSM manages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import boto3
import pytest

SOURCE_SERVER_TAG = "AWSElasticDisasterRecoverySourceServerID"


def server_id(number: int) -> str:
    """Return the id of the n-th source server."""
    return f"s-{number:017x}"


class Region:
    """The simulator with instances in it."""

    def __init__(self, simulator: Any) -> None:
        self.simulator = simulator
        self.instance_ids: list[str] = []

    def load(
        self,
        servers: int = 2,
        *,
        speed: float = 100.0,
        server: Mapping[int, Mapping[str, Any]] | None = None,
        **scenario: Any,
    ) -> list[str]:
        """Load a scenario with servers 1 to n, run their instances, and return the instance ids in this order.

        :param server: what is special about the n-th server.
        """
        listed = [
            {"id": server_id(n), "hostname": f"host{n:03d}", **(server or {}).get(n, {})} for n in range(1, servers + 1)
        ]
        scenario.setdefault("agent", {"online_after": 0})
        self.simulator.load({"servers": listed, **scenario}, speed=speed)
        ec2 = boto3.client("ec2")
        self.instance_ids = [
            ec2.run_instances(
                ImageId="ami-12c6146b",
                MinCount=1,
                MaxCount=1,
                TagSpecifications=[
                    {
                        "ResourceType": "instance",
                        "Tags": [{"Key": SOURCE_SERVER_TAG, "Value": one["id"]}, {"Key": "App", "Value": "shop"}],
                    }
                ],
            )["Instances"][0]["InstanceId"]
            for one in listed
        ]
        self.simulator.clear_log()
        return self.instance_ids

    def load_instances(self, count: int, **scenario: Any) -> list[str]:
        """Load a scenario with so many instances that DRS did not launch, their agents online; return their ids.

        Many of them are there much sooner than instances of servers.
        """
        self.instance_ids = [f"i-{n:017x}" for n in range(1, count + 1)]
        self.simulator.load({"instances": [{"id": one} for one in self.instance_ids], **scenario}, speed=100.0)
        self.simulator.clear_log()
        return self.instance_ids

    def calls(self, operation: str) -> list[dict[str, Any]]:
        """Return the log's calls of an operation."""
        return [entry for entry in self.simulator.log if entry.get("operation") == operation]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log's changes of state of a name."""
        return [entry for entry in self.simulator.log if entry.get("event") == name]

    def add_fault(self, operation: str, **fields: Any) -> dict[str, Any]:
        """Put a fault in force."""
        fault: dict[str, Any] = self.simulator.add_fault(operation, **fields)
        return fault


@pytest.fixture
def region(drs_simulator_server: Any) -> Region:
    """An empty region; ``load`` fills it."""
    return Region(drs_simulator_server)
