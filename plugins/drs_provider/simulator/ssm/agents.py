"""The managed nodes: EC2 instances whose SSM agent has come online, some time after they began to run.

Whether an agent is online follows from the clock alone: the instance's start, and the delays of the scenario. Instances
that DRS launched are known by their source server, so that a scenario can speak of them by hostname.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from moto.ec2.models import ec2_backends

from drs_provider.aws.typical import AGENT_ONLINE
from drs_provider.simulator import runtime
from drs_provider.simulator.documents import AgentSpec
from drs_provider.simulator.moto_compat.instance_times import started_at, stopped_at
from drs_provider.simulator.scenario import Scenario, ServerSpec

__all__ = ["SOURCE_SERVER_TAG", "Fleet", "Node"]

#: The tag by which DRS names the source server of an instance that it launches.
SOURCE_SERVER_TAG: Final = "AWSElasticDisasterRecoverySourceServerID"
#: The states of instances whose agent can answer.
_RUNNING: Final = ("pending", "running")


@dataclass(frozen=True)
class Node:
    """One instance as SSM sees it; times are epoch seconds, None for never."""

    instance_id: str
    hostname: str
    name: str
    server_id: str | None
    platform: Literal["Linux", "Windows"]
    ip: str | None
    iam_role: str | None
    tags: Mapping[str, str]
    running: bool
    started_at: float
    stopped_at: float | None
    online_at: float | None
    lost_at: float | None

    def registered(self, now: float) -> bool:
        """Whether its agent ever reached SSM."""
        return self.online_at is not None and self.online_at <= (now if self.stopped_at is None else self.stopped_at)

    def online(self, now: float) -> bool:
        """Whether its agent answers."""
        return self.running and self.registered(now) and (self.lost_at is None or now < self.lost_at)

    def ping_status(self, now: float, patience: float) -> str:
        """What DescribeInstanceInformation says: SSM notices only after a while that an agent is gone.

        :param patience: how long SSM waits for a ping before it says ConnectionLost (seconds of the clock).
        """
        return "Online" if self.online(now) or now < self.last_ping(now) + patience else "ConnectionLost"

    def last_ping(self, now: float) -> float:
        """When SSM last heard of its agent (epoch seconds)."""
        if not self.running and self.stopped_at is None:
            return self.started_at
        return min(at for at in (now, self.lost_at, self.stopped_at) if at is not None)

    @property
    def names(self) -> tuple[str, ...]:
        """What a scenario may call it."""
        return tuple(name for name in (self.instance_id, self.server_id, self.hostname) if name)


class Fleet:
    """The instances of one account and region."""

    def __init__(self, account: str, region: str) -> None:
        self.account = account
        self.region = region
        # moto looks instances up one by one; a command to 50 of 300 would look at them all 50 times.
        self._instances: dict[str, Any] = {}
        self._servers: tuple[Scenario, dict[str, ServerSpec]] | None = None

    def nodes(self, among: Iterable[str] | None = None) -> list[Node]:
        """The instances whose agent ever came online, by id: all, or those `among` some.

        SSM knows a terminated one for a while longer, as one whose connection is lost.
        """
        now = runtime.require().clock.now()
        instances = self._all()
        if among is not None:
            instances = {each: instances[each] for each in among if each in instances}
        found = [self._node(each) for each in instances.values()]
        return sorted((node for node in found if node.registered(now)), key=lambda node: node.instance_id)

    def node(self, instance_id: str) -> Node | None:
        """One instance, whether its agent came online or not; None where there is no such instance."""
        instance = self._instances.get(instance_id) or self._all().get(instance_id)
        return None if instance is None else self._node(instance)

    def matching(self, targets: Iterable[Mapping[str, Any]]) -> list[Node]:
        """The nodes that all `targets` of a command name, by `InstanceIds`, `tag:<key>` or `tag-key`."""
        return [node for node in self.nodes() if node.running and all(_matches(node, target) for target in targets)]

    def _all(self) -> dict[str, Any]:
        reservations = ec2_backends[self.account][self.region].reservations.values()
        self._instances = {each.id: each for reservation in reservations for each in reservation.instances}
        return self._instances

    def _server(self, scenario: Scenario, server_id: str | None) -> ServerSpec | None:
        if server_id is None:
            return None
        if self._servers is None or self._servers[0] is not scenario:
            servers = {server.id: server for _, _, site in scenario.sites() for server in site.servers}
            self._servers = (scenario, servers)
        return self._servers[1].get(server_id)

    def _node(self, instance: Any) -> Node:
        simulation = runtime.require()
        tags = {str(key): str(value) for key, value in instance.ec2_backend.tags.get(instance.id, {}).items()}
        server = self._server(simulation.scenario, tags.get(SOURCE_SERVER_TAG))
        windows = server.os == "windows" if server else instance.platform == "windows"
        platform: Literal["Linux", "Windows"] = "Windows" if windows else "Linux"
        agent = (server.agent if server else None) or simulation.scenario.agent
        started, stopped = started_at(instance), stopped_at(instance)
        role = getattr(instance, "iam_instance_profile", None)
        return Node(
            instance_id=instance.id,
            hostname=server.hostname if server else str(instance.private_dns_name or instance.id),
            name=tags.get("Name", ""),
            server_id=server.id if server else None,
            platform=platform,
            ip=instance.private_ip,
            iam_role=str(role["Arn"]).rpartition("/")[2] if role else None,
            tags=tags,
            running=stopped is None and instance.state in _RUNNING,
            started_at=started,
            stopped_at=stopped,
            online_at=_online_at(agent, platform, started, simulation.clock.scaled),
            lost_at=_lost_at(agent, started, simulation.clock.scaled),
        )


def _online_at(agent: AgentSpec, platform: str, started: float, scaled: Any) -> float | None:
    if agent.never:
        return None
    delay = agent.online_after if agent.online_after is not None else AGENT_ONLINE[platform.lower()]
    return started + float(scaled(delay))


def _lost_at(agent: AgentSpec, started: float, scaled: Any) -> float | None:
    if agent.lost_after is None:
        return None
    return started + float(scaled(agent.lost_after))


def _matches(node: Node, target: Mapping[str, Any]) -> bool:
    key, values = str(target.get("Key", "")), list(target.get("Values") or [])
    if key == "InstanceIds":
        return node.instance_id in values
    if key == "tag-key":
        return any(value in node.tags for value in values)
    return key.startswith("tag:") and node.tags.get(key.removeprefix("tag:")) in values
