"""EC2's answers that the simulator makes or changes, on the wire, are as the service model says."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from drs_provider.simulator.deviations import SHAPES

IDS = [f"s-{number:017d}" for number in range(4)]
READ = {
    "DescribeInstances",
    "DescribeInstanceStatus",
    "DescribeLaunchTemplates",
    "DescribeLaunchTemplateVersions",
    "DescribeVolumes",
    "DescribeSnapshots",
    "DescribeSubnets",
    "DescribeNetworkInterfaces",
}
CHANGED = {"StartInstances", "StopInstances", "TerminateInstances", "ModifyInstanceAttribute"}


def problems(shape: Any, element: ET.Element, path: str) -> Iterator[tuple[str, str]]:
    """Yield what of an XML element does not fit: the name of the shape, and the problem in words."""
    kind = shape.type_name
    if kind == "structure":
        members = {member.serialization.get("name", name): member for name, member in shape.members.items()}
        for child in element:
            name = _name(child)
            if name in members:
                yield from problems(members[name], child, f"{path}.{name}")
            elif name != "requestId":
                yield shape.name, f"{path}.{name}: is not in the model"
    elif kind == "list":
        item = shape.member.serialization.get("name", "item")
        for child in element:
            name = _name(child)
            if name != item:
                yield shape.name, f"{path}: holds {name}, not {item}"
            else:
                yield from problems(shape.member, child, f"{path}[]")
    elif not _fits(shape, kind, element.text or ""):
        yield shape.name, f"{path}: {element.text!r} is no {shape.name}"


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _fits(shape: Any, kind: str, text: str) -> bool:
    if kind == "boolean":
        return text in ("true", "false")
    if kind in ("integer", "long"):
        return text.lstrip("-").isdigit()
    if kind == "timestamp":
        return datetime.fromisoformat(text.replace("Z", "+00:00")).tzinfo is not None
    return kind != "string" or not shape.enum or text in shape.enum


class Ec2Contract:
    """What is wrong with EC2's answers, which operations answered, and which deviations occurred."""

    def __init__(self, client: Any) -> None:
        self.problems: set[str] = set()
        self.seen: set[str] = set()
        self.deviations: set[str] = set()
        client.meta.events.register("before-parse", self._check)

    def _check(self, response_dict: dict[str, Any], operation_model: Any, **_: Any) -> None:
        root = ET.fromstring(response_dict["body"])
        name = operation_model.name
        if response_dict["status_code"] >= 300:
            assert [_name(each) for each in root] == ["Errors", "RequestID"], "the shape of EC2's errors"
            return
        self.seen.add(name)
        if operation_model.output_shape is not None:
            found = dict(problems(operation_model.output_shape, root, name))
            self.deviations |= {f"ec2.{shape}" for shape in found if f"ec2.{shape}" in SHAPES}
            self.problems |= {problem for shape, problem in found.items() if f"ec2.{shape}" not in SHAPES}


def test_every_answer_conforms(drs_simulator: Any) -> None:
    servers = [{"id": identity, "hostname": f"h{n}"} for n, identity in enumerate(IDS)]
    servers[1] |= {"os": "windows", "launch_disposition": "STOPPED"}
    drs_simulator.load({"servers": servers})
    drs_simulator.freeze()
    drs, ec2 = boto3.client("drs", "us-west-2"), boto3.client("ec2", "us-west-2")
    contract = Ec2Contract(ec2)

    def look() -> None:
        for operation in READ:
            getattr(ec2, _method(operation))(**_arguments(operation, drs))

    def ids() -> list[str]:
        found = drs.describe_recovery_instances()["items"]
        return [one["ec2InstanceID"] for one in found]

    drs.start_recovery(isDrill=True, sourceServers=[{"sourceServerID": one} for one in IDS])
    for _ in range(12):
        look()
        drs_simulator.advance(120)
    look()
    running, stopped, other = ids()[0], ids()[1], ids()[2]
    ec2.stop_instances(InstanceIds=[running])
    look()
    drs_simulator.advance(120)
    ec2.start_instances(InstanceIds=[running, stopped])
    look()
    drs_simulator.advance(300)
    ec2.modify_instance_attribute(InstanceId=other, DisableApiTermination={"Value": True})
    for refused, arguments in (
        ("OperationNotPermitted", {"InstanceIds": [other]}),
        ("InvalidInstanceID.NotFound", {"InstanceIds": ["i-" + "9" * 17]}),
    ):
        with pytest.raises(ClientError) as error:
            ec2.terminate_instances(**arguments)
        assert error.value.response["Error"]["Code"] == refused
    ec2.terminate_instances(InstanceIds=[running])
    look()
    drs_simulator.advance(120)
    look()
    assert contract.seen == READ | CHANGED
    assert contract.problems == set()
    listed = {name for name in SHAPES if name.startswith("ec2.")}
    assert contract.deviations == listed, "what no longer deviates is taken off the list"


def _method(operation: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in operation).lstrip("_")


def _arguments(operation: str, drs: Any) -> dict[str, Any]:
    if operation == "DescribeLaunchTemplateVersions":
        settings = drs.get_launch_configuration(sourceServerID=IDS[0])
        return {"LaunchTemplateId": settings["ec2LaunchTemplateID"]}
    return {"IncludeAllInstances": True} if operation == "DescribeInstanceStatus" else {}
