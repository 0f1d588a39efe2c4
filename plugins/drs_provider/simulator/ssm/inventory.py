"""DescribeInstanceInformation: the managed nodes, their agents and their platforms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from moto.ssm.exceptions import InvalidFilterKey, ValidationException

from drs_provider.simulator import runtime
from drs_provider.simulator.pagination import InvalidToken, page
from drs_provider.simulator.ssm.agents import Node
from drs_provider.simulator.ssm.command_views import moment
from drs_provider.simulator.ssm.exceptions import InvalidInstanceInformationFilterValue, InvalidNextToken

if TYPE_CHECKING:
    from drs_provider.simulator.ssm.models import SsmBackend

__all__ = ["Inventory"]

_LONGEST_PAGE: Final = 50
_DEFAULT_PAGE: Final = 10
_AGENT_VERSION: Final = "3.3.2299.0"
_PLATFORM: Final = {
    "Linux": ("Amazon Linux", "2023"),
    "Windows": ("Microsoft Windows Server 2022 Datacenter", "10.0.20348"),
}
_VALUES: Final = {
    "PingStatus": {"Online", "ConnectionLost", "Inactive"},
    "PlatformTypes": {"Windows", "Linux", "MacOS"},
    "ResourceType": {"EC2Instance", "ManagedInstance"},
}


class Inventory:
    """The nodes of one account and region as SSM lists them."""

    def __init__(self, backend: SsmBackend) -> None:
        self.backend = backend

    def describe_instance_information(self, request: dict[str, Any]) -> dict[str, Any]:
        """The nodes whose agent ever came online; one that never did is not there at all."""
        filters: list[dict[str, Any]] = [
            {"Key": each["key"], "Values": each["valueSet"]}
            for each in request.get("InstanceInformationFilterList") or []
        ]
        if filters and request.get("Filters"):
            raise ValidationException("Filters and InstanceInformationFilterList cannot be combined")
        filters += request.get("Filters") or []
        _check(filters)
        now = runtime.require().clock.now()
        among = next((each["Values"] for each in filters if each["Key"] == "InstanceIds"), None)
        found = [
            node
            for node in self.backend.fleet.nodes(among)
            if all(_matches(node, each["Key"], list(each["Values"]), now) for each in filters)
        ]
        try:
            size = request.get("MaxResults") or _DEFAULT_PAGE
            shown, token = page(found, lambda node: node.instance_id, request.get("NextToken"), size, _LONGEST_PAGE)
        except InvalidToken as error:
            raise InvalidNextToken from error
        answer: dict[str, Any] = {"InstanceInformationList": [_view(node, now) for node in shown]}
        return {**answer, "NextToken": token} if token else answer


def _check(filters: list[dict[str, Any]]) -> None:
    tags = [each for each in filters if each["Key"] == "tag-key" or each["Key"].startswith("tag:")]
    if tags and len(tags) < len(filters):
        raise InvalidFilterKey("Tag filters cannot be combined with other filters")
    for each in filters:
        allowed = _VALUES.get(each["Key"])
        wrong = [value for value in each["Values"] if allowed is not None and value not in allowed]
        if wrong:
            raise InvalidInstanceInformationFilterValue(f"{each['Key']} cannot be {', '.join(wrong)}")


def _matches(node: Node, key: str, values: list[str], now: float) -> bool:
    if key == "tag-key":
        return any(value in node.tags for value in values)
    if key.startswith("tag:"):
        return node.tags.get(key.removeprefix("tag:")) in values
    found = {
        "InstanceIds": node.instance_id,
        "PingStatus": _ping(node, now),
        "PlatformTypes": node.platform,
        "ResourceType": "EC2Instance",
        "AgentVersion": _AGENT_VERSION,
        "SourceIds": node.instance_id,
        "SourceTypes": "AWS::EC2::Instance",
        "ActivationIds": None,
        "AssociationStatus": None,
        "IamRole": node.iam_role,
    }
    if key not in found:
        raise InvalidFilterKey(f"The filter key {key} is not valid")
    return found[key] in values


def _ping(node: Node, now: float) -> str:
    simulation = runtime.require()
    patience = simulation.clock.scaled(simulation.scenario.ssm.connection_lost_after)
    return node.ping_status(now, patience)


def _view(node: Node, now: float) -> Mapping[str, Any]:
    name, version = _PLATFORM[node.platform]
    view: dict[str, Any] = {
        "InstanceId": node.instance_id,
        "PingStatus": _ping(node, now),
        "LastPingDateTime": moment(node.last_ping(now)),
        "AgentVersion": _AGENT_VERSION,
        "IsLatestVersion": True,
        "PlatformType": node.platform,
        "PlatformName": name,
        "PlatformVersion": version,
        "ResourceType": "EC2Instance",
        "ComputerName": node.hostname,
        "SourceId": node.instance_id,
        "SourceType": "AWS::EC2::Instance",
    }
    if node.ip:
        view["IPAddress"] = node.ip
    return view
