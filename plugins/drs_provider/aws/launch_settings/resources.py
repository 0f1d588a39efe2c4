"""Subnets and security groups that settings name by their tags."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from drs_provider.aws.calls import BlockingCalls, run_blocking
from drs_provider.aws.clients import Clients
from drs_provider.aws.launch_settings.state import LaunchState

__all__ = ["Resources", "UnresolvedError"]


class UnresolvedError(Exception):
    """Tags that do not match what they have to match; the text says what was found."""


class Resources:
    """Looks subnets and security groups up by tags, once each, however many servers name them.

    :param clients: clients of the account and region.
    """

    def __init__(self, clients: Clients) -> None:
        self._calls = BlockingCalls(clients.ec2)
        self._found: dict[Any, list[dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def resolve(self, wanted: Mapping[str, Any], state: LaunchState) -> dict[str, Any]:
        """Return wanted settings with ids in the place of tags.

        :param wanted: some of the keys of settings; a subnet or a security group is an id, or ``{"tags": {…}}``.
        :param state: what the server has: its groups are looked for in the VPC of the subnet that it will be in.
        :raises UnresolvedError: tags match no subnet, several subnets, or no security group.
        :raises botocore.exceptions.ClientError: a call failed.
        """
        resolved = dict(wanted)
        subnet = wanted.get("subnet")
        if isinstance(subnet, Mapping):
            resolved["subnet"] = self._subnet(subnet["tags"])
        if groups := wanted.get("security_groups"):
            vpc = None
            if any(isinstance(one, Mapping) for one in groups):
                vpc = self._vpc(resolved.get("subnet") or state.settings.subnet)
            ids = [
                id_ for one in groups for id_ in (self._groups(one["tags"], vpc) if isinstance(one, Mapping) else [one])
            ]
            resolved["security_groups"] = tuple(dict.fromkeys(ids))
        return resolved

    def _subnet(self, tags: Mapping[str, str]) -> str:
        found = sorted(one["SubnetId"] for one in self._look("describe_subnets", "Subnets", _by_tags(tags)))
        if len(found) != 1:
            raise UnresolvedError(
                f"{_text(tags)} match {len(found) or 'no'} subnet{'s' if len(found) > 1 else ''}"
                f"{' (' + ', '.join(found[:5]) + ')' if found else ''}; expected exactly one"
            )
        return str(found[0])

    def _groups(self, tags: Mapping[str, str], vpc: str | None) -> list[str]:
        filters = [*_by_tags(tags), *([{"Name": "vpc-id", "Values": [vpc]}] if vpc else [])]
        found = sorted(one["GroupId"] for one in self._look("describe_security_groups", "SecurityGroups", filters))
        if not found:
            raise UnresolvedError(f"{_text(tags)} match no security group{f' of {vpc}' if vpc else ''}")
        return found

    def _vpc(self, subnet: str | None) -> str | None:
        if subnet is None:
            return None
        by_id = [{"Name": "subnet-id", "Values": [subnet]}]
        return next((one["VpcId"] for one in self._look("describe_subnets", "Subnets", by_id)), None)

    def _look(self, operation: str, key: str, filters: list[dict[str, Any]]) -> list[dict[str, Any]]:
        known = (operation, repr(filters))
        with self._lock:
            if known not in self._found:
                self._found[known] = run_blocking(self._calls.read_all(operation, key, Filters=filters))
            return self._found[known]


def _by_tags(tags: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"Name": f"tag:{key}", "Values": [_literal(value)]} for key, value in sorted(tags.items())]


def _literal(value: str) -> str:
    # In a filter * and ? stand for others, unless a backslash stands before them (EC2 user guide, filters).
    return "".join(f"\\{each}" if each in "*?\\" else each for each in value)


def _text(tags: Mapping[str, str]) -> str:
    return "the tags " + ", ".join(f"{key}={value}" for key, value in sorted(tags.items()))
