"""Launch settings in DRS and EC2: only the named leaves change, and every way there leads to the same end."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from drs_provider.aws.clients import Clients
from drs_provider.aws.launch_settings import (
    ChangedError,
    NotAppliedError,
    Resources,
    UnresolvedError,
    apply,
    compare,
    read,
)
from tests.simulator.drs.launches import ONE, change_template, server

REGION = "us-west-2"
IP = "172.31.0.99"


@pytest.fixture
def clients(drs_simulator: Any) -> Clients:
    drs_simulator.load({"servers": [server(ONE)]})
    return Clients.from_session(boto3.session.Session("testing", "testing", region_name=REGION), REGION)


def set_default(clients: Clients, data: Mapping[str, Any]) -> None:
    """Make data the whole content of the template's default version, as somebody in the console does."""
    template = read(clients, ONE).template_id
    made = clients.ec2.create_launch_template_version(LaunchTemplateId=template, LaunchTemplateData=dict(data))
    number = str(made["LaunchTemplateVersion"]["VersionNumber"])
    clients.ec2.modify_launch_template(LaunchTemplateId=template, DefaultVersion=number)


def applied(clients: Clients, wanted: Mapping[str, Any]) -> Any:
    return apply(clients, compare(read(clients, ONE), wanted))


flag = st.booleans()
interface = st.fixed_dictionaries(
    {"SubnetId": st.sampled_from(["subnet-0aaaaaaaaaaaaaaa1", "subnet-0aaaaaaaaaaaaaaa2"])},
    optional={
        "Groups": st.lists(st.sampled_from(["sg-1", "sg-2", "sg-3"]), min_size=1, unique=True),
        "DeleteOnTermination": flag,
        "Description": st.just("eth"),
        "PrivateIpAddresses": st.just(
            [{"Primary": True, "PrivateIpAddress": "172.31.0.9"}, {"Primary": False, "PrivateIpAddress": "172.31.0.10"}]
        ),
        "AssociatePublicIpAddress": flag,
    },
)
disk = st.fixed_dictionaries(
    {"VolumeSize": st.integers(1, 500), "VolumeType": st.sampled_from(["gp3", "io1", "io2"]), "Iops": st.just(3000)},
    optional={"Encrypted": flag, "KmsKeyId": st.just("key"), "DeleteOnTermination": flag},
)
tag = st.fixed_dictionaries({"Key": st.sampled_from(["Owner", "Team", "Name"]), "Value": st.sampled_from(["a", "b"])})
templates = st.fixed_dictionaries(
    {
        "InstanceType": st.sampled_from(["c5.large", "t3.nano"]),
        "ImageId": st.just("ami-1e749f67"),
        "BlockDeviceMappings": st.lists(disk, min_size=1, max_size=3).map(
            lambda disks: [{"DeviceName": f"/dev/sd{n}", "Ebs": one} for n, one in enumerate(disks)]
        ),
    },
    optional={
        "NetworkInterfaces": st.lists(interface, min_size=1, max_size=3).map(
            lambda some: [{"DeviceIndex": n, **one} for n, one in enumerate(some)]
        ),
        "TagSpecifications": st.lists(tag, min_size=1, max_size=3, unique_by=lambda one: one["Key"]).map(
            lambda tags: [{"ResourceType": kind, "Tags": tags} for kind in ("network-interface", "instance")]
        ),
        "IamInstanceProfile": st.sampled_from([{"Name": "old"}, {"Arn": "arn:aws:iam::1:instance-profile/x/new"}]),
        "MetadataOptions": st.fixed_dictionaries({"HttpEndpoint": st.just("enabled")}, optional={
            "HttpTokens": st.sampled_from(["required", "optional"])}),
        "Placement": st.fixed_dictionaries({"AvailabilityZone": st.just("us-west-2a")}),
        "UserData": st.just("eA=="),
        "Monitoring": st.fixed_dictionaries({"Enabled": flag}),
        "DisableApiTermination": flag,
    },
)  # fmt: skip
wishes = st.fixed_dictionaries(
    {},
    optional={
        "instance_type": st.just(("c5.large", "r5.large")),
        "subnet": st.just("subnet-0aaaaaaaaaaaaaaa2"),
        "security_groups": st.just(("sg-2", "sg-1")),
        "instance_profile": st.just("new"),
        "private_ip": st.just(IP),
        "public_ip": st.just(False),
        "tags": st.just({"Owner": "b", "Cost": "1"}),
        "volume_type": st.just("gp3"),
        "iops": st.just(4000),
        "metadata_tokens": st.just("required"),
        "tenancy": st.just("dedicated"),
        "right_sizing": st.just("none"),
        "copy_tags": flag,
        "start": flag,
        "byol": flag,
        "recovery_mode": st.just("optimal"),
        "post_launch_actions": st.sampled_from([False, "required"]),
    },
)


def expected(data: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The template after it: written once more, by hand and leaf by leaf."""
    made = copy.deepcopy(dict(data))
    if "instance_type" in wanted:
        made["InstanceType"] = "c5.large"
    of_interface = {"subnet", "security_groups", "private_ip", "public_ip"} & wanted.keys()
    if of_interface:
        made.setdefault("NetworkInterfaces", [{"DeviceIndex": 0}])
        first = made["NetworkInterfaces"][0]
        if "subnet" in wanted:
            first["SubnetId"] = wanted["subnet"]
        if "security_groups" in wanted and sorted(first.get("Groups", [])) != ["sg-1", "sg-2"]:
            first["Groups"] = ["sg-2", "sg-1"]
        if "private_ip" in wanted:
            if "PrivateIpAddresses" in first:
                first["PrivateIpAddresses"][0]["PrivateIpAddress"] = IP
            else:
                first["PrivateIpAddress"] = IP
        if "public_ip" in wanted:
            first["AssociatePublicIpAddress"] = False
    if "instance_profile" in wanted and "new" not in str(data.get("IamInstanceProfile")):
        made["IamInstanceProfile"] = {"Name": "new"}
    for device in made["BlockDeviceMappings"]:
        device["Ebs"] |= {"VolumeType": "gp3"} if "volume_type" in wanted else {}
        device["Ebs"] |= {"Iops": 4000} if "iops" in wanted else {}
    if "metadata_tokens" in wanted:
        made.setdefault("MetadataOptions", {})["HttpTokens"] = "required"
    if "tenancy" in wanted:
        made.setdefault("Placement", {})["Tenancy"] = "dedicated"
    return made


def tags_of(data: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    return {
        one["ResourceType"]: {tag["Key"]: tag["Value"] for tag in one["Tags"]}
        for one in data.get("TagSpecifications", ())
        if one["Tags"]
    }


@settings(
    max_examples=15,
    deadline=None,
    # Each example is a few dozen calls: to make a failing one smaller takes longer than to read it.
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(templates, st.none() | templates, wishes, st.sampled_from(["default", "latest"]))
def test_exactly_the_named_leaves_differ_afterwards(
    drs_simulator: Any, clients: Clients, data: Any, draft: Any, wanted: Any, base: str
) -> None:
    drs_simulator.load({"servers": [server(ONE)], "launching": {"update_config_base": base}})
    set_default(clients, data)
    before = read(clients, ONE)
    if draft is not None:
        clients.ec2.create_launch_template_version(LaunchTemplateId=before.template_id, LaunchTemplateData=draft)
    after = applied(clients, wanted)
    made, asked = expected(before.data, wanted), tags_of(before.data)
    if "tags" in wanted:
        for kind in ("instance", "volume"):
            asked[kind] = asked.get(kind, {}) | wanted["tags"]
    without_tags = {key: value for key, value in after.data.items() if key != "TagSpecifications"}
    made.pop("TagSpecifications", None)
    assert (without_tags, tags_of(after.data)) == (made, asked)
    named = {
        "right_sizing": ("targetInstanceTypeRightSizingMethod", "NONE"),
        "copy_tags": ("copyTags", wanted.get("copy_tags")),
        "start": ("launchDisposition", "STARTED" if wanted.get("start") else "STOPPED"),
        "byol": ("licensing", {"osByol": wanted.get("byol")}),
        "recovery_mode": ("recoveryMode", "OPTIMAL"),
        "post_launch_actions": ("postLaunchEnabled", wanted.get("post_launch_actions") is not False),
    }
    drs = dict(before.configuration) | dict(named[key] for key in wanted if key in named)
    assert after.configuration == drs
    # Applied twice, nothing changes: not even a version is made.
    calls = len(drs_simulator.log)
    again = compare(after, wanted)
    assert (again.changes, apply(clients, again)) == ((), after)
    assert {"DescribeLaunchTemplateVersions", "GetLaunchConfiguration"} >= {
        entry["operation"] for entry in drs_simulator.log[calls:] if "operation" in entry
    }


WANTED = {"start": False, "copy_tags": False, "instance_type": ("r5.large",), "subnet": "subnet-0aaaaaaaaaaaaaaa2",
          "tags": {"Owner": "dba"}}  # fmt: skip


class Killed(BaseException):
    """The process is gone."""


def kill_after(clients: Clients, calls: int) -> Callable[[], None]:
    """Let the process die when so many calls were answered; returns what brings it to life again."""
    left = [calls]

    def count(**_: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    for client in (clients.drs, clients.ec2):
        client.meta.events.register("after-call", count, unique_id="kill")
    return lambda: [each.meta.events.unregister("after-call", unique_id="kill") for each in (clients.drs, clients.ec2)]


@pytest.mark.parametrize("base", ["default", "latest"])
def test_killed_after_any_call_and_started_again_the_end_is_the_same(
    drs_simulator: Any, clients: Clients, base: str
) -> None:
    ends = []
    for calls in range(1, 40):
        drs_simulator.load({"servers": [server(ONE)], "launching": {"update_config_base": base}})
        template = read(clients, ONE).template_id
        clients.ec2.create_launch_template_version(
            LaunchTemplateId=template, LaunchTemplateData={"InstanceType": "t3.nano"}, VersionDescription="a draft"
        )
        live = kill_after(clients, calls)
        try:
            applied(clients, WANTED)
            through = True
        except Killed:
            through = False
        finally:
            live()
        end = applied(clients, WANTED)
        versions = clients.ec2.describe_launch_template_versions(LaunchTemplateId=template)["LaunchTemplateVersions"]
        drafts = [one for one in versions if one.get("VersionDescription") == "a draft"]
        assert [one["LaunchTemplateData"] for one in drafts] == [{"InstanceType": "t3.nano"}]
        # Each load makes a VPC with ids of its own.
        (interface,) = end.data["NetworkInterfaces"]
        assert len(interface.pop("Groups")) == 1
        ends.append((dict(end.configuration, ec2LaunchTemplateID=""), end.data))
        if through:
            break
    assert through
    assert len(ends) > 8
    assert all(end == ends[-1] for end in ends)
    order = [entry["operation"] for entry in drs_simulator.log if "operation" in entry]
    assert order.index("UpdateLaunchConfiguration") < order.index("ModifyLaunchTemplate")


def test_what_somebody_else_changes_is_never_overwritten(drs_simulator: Any, clients: Clients) -> None:
    seen = compare(read(clients, ONE), WANTED)
    change_template(clients.drs, ONE, InstanceType="m5.large")
    with pytest.raises(ChangedError, match="is version 2, and was version 1"):
        apply(clients, seen)
    seen = compare(read(clients, ONE), WANTED)
    clients.drs.update_launch_configuration(sourceServerID=ONE, copyPrivateIp=True)
    with pytest.raises(ChangedError, match="DRS launch configuration was changed"):
        apply(clients, seen)
    # Between two calls of its own: after DRS was changed, and before the new version is made the default.
    for operation in ("UpdateLaunchConfiguration", "CreateLaunchTemplateVersion"):
        drs_simulator.load({"servers": [server(ONE)]})
        seen = compare(read(clients, ONE), WANTED)
        once = [True]

        def edit(once: list[bool] = once, **_: Any) -> None:
            if once:
                once.clear()
                change_template(boto3.client("drs", REGION), ONE, EbsOptimized=True)

        service = "drs" if operation.startswith("Update") else "ec2"
        client = clients.get(service)
        client.meta.events.register(f"after-call.{service}.{operation}", edit, unique_id="edit")
        try:
            with pytest.raises(ChangedError, match="was changed while"):
                apply(clients, seen)
        finally:
            client.meta.events.unregister(f"after-call.{service}.{operation}", unique_id="edit")
        assert read(clients, ONE).data["EbsOptimized"] is True


CANNOT = [
    ({"InstanceRequirements": {"VCpuCount": {"Min": 2}, "MemoryMiB": {"Min": 4}}, "InstanceType": None},
     {"instance_type": ("r5.large",)}, "InstanceRequirements"),
    ({"NetworkInterfaces": [{"DeviceIndex": 0, "NetworkInterfaceId": "eni-1"}]}, {"subnet": "subnet-1"}, "eni-1"),
    ({"NetworkInterfaces": None, "SecurityGroupIds": ["sg-1"]}, {"subnet": "subnet-1"}, "no network interface"),
    ({"NetworkInterfaces": [{"DeviceIndex": 0}, {"DeviceIndex": 1}]}, {"public_ip": True}, "network interfaces"),
    ({"Placement": {"HostId": "h-1", "Tenancy": "host"}}, {"tenancy": "default"}, "Dedicated Host (h-1)"),
    ({"BlockDeviceMappings": None}, {"volume_type": "gp3"}, "lists no disks"),
    ({}, {"volume_type": "io2"}, "io2 volumes need iops"),
    ({"BlockDeviceMappings": [{"DeviceName": "/dev/sda", "Ebs": {"VolumeType": "io1", "Iops": 500}}]},
     {"volume_type": "gp3"}, "a disk keeps 500 iops"),
    ({"BlockDeviceMappings": [{"DeviceName": "/dev/sda", "Ebs": {"VolumeType": "st1"}}]}, {"iops": 3000}, "is st1"),
    ({}, {"launch_into": "i-0123456789abcdef0"}, "launch_into needs copy_tags: false"),
    ({}, {"byol": True}, "byol: true on a Windows server needs tenancy: host"),
]  # fmt: skip


def test_what_cannot_be_applied_says_why_and_changes_nothing(drs_simulator: Any, clients: Clients) -> None:
    for changes, wanted, reason in CANNOT:
        drs_simulator.load({"servers": [server(ONE)]})
        change_template(clients.drs, ONE, **changes)
        before = read(clients, ONE)
        comparison = compare(before, {"start": False, **wanted}, windows=True)
        assert reason in "; ".join(comparison.obstacles)
        with pytest.raises(NotAppliedError, match=re.escape(reason)):
            apply(clients, comparison)
        assert read(clients, ONE) == before


def test_a_version_that_ec2_warns_of_never_becomes_the_default(clients: Clients) -> None:
    before = read(clients, ONE)

    def warn(parsed: dict[str, Any], **_: Any) -> None:
        parsed["Warning"] = {"Errors": [{"Code": "InvalidParameterCombination", "Message": "not with that"}]}

    clients.ec2.meta.events.register("after-call.ec2.CreateLaunchTemplateVersion", warn)
    with pytest.raises(NotAppliedError, match="InvalidParameterCombination: not with that"):
        applied(clients, {"instance_type": ("r5.large",)})
    assert read(clients, ONE) == before
    versions = clients.ec2.describe_launch_template_versions(LaunchTemplateId=before.template_id)
    assert len(versions["LaunchTemplateVersions"]) == 1


def test_what_drs_overwrites_later_is_a_warning(clients: Clients) -> None:
    state = read(clients, ONE)
    (warning,) = compare(state, {"instance_type": ("r5.large",)}).warnings
    assert "right-sizing is basic" in warning
    assert compare(state, {"instance_type": ("r5.large",), "right_sizing": "none"}).warnings == ()
    clients.drs.update_launch_configuration(sourceServerID=ONE, copyPrivateIp=True)
    (warning,) = compare(read(clients, ONE), {"private_ip": IP}).warnings
    assert "copyPrivateIp is on" in warning


def test_subnets_and_groups_are_found_by_their_tags(drs_simulator: Any, clients: Clients) -> None:
    ec2, state = clients.ec2, read(clients, ONE)
    vpc = ec2.describe_subnets(SubnetIds=[state.settings.subnet])["Subnets"][0]["VpcId"]
    other = ec2.create_vpc(CidrBlock="10.66.0.0/16")["Vpc"]["VpcId"]

    def group(name: str, where: str) -> str:
        made = ec2.create_security_group(GroupName=name, Description="x", VpcId=where)["GroupId"]
        ec2.create_tags(Resources=[made], Tags=[{"Key": "Tier", "Value": "d*"}])
        return str(made)

    mine, another, elsewhere = group("a", vpc), group("b", vpc), group("c", other)
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="172.31.240.0/24")["Subnet"]["SubnetId"]
    ec2.create_tags(Resources=[subnet], Tags=[{"Key": "Tier", "Value": "db"}])
    resources = Resources(clients)
    wanted = {"subnet": {"tags": {"Tier": "db"}}, "security_groups": ({"tags": {"Tier": "d*"}}, "sg-1"), "start": True}
    found = resources.resolve(wanted, state)
    assert found == {"subnet": subnet, "security_groups": (*sorted([mine, another]), "sg-1"), "start": True}
    assert elsewhere not in found["security_groups"]
    calls = len(drs_simulator.log)
    assert Resources.resolve(resources, wanted, state) == found
    assert len(drs_simulator.log) == calls, "looked up once, however many servers name it"
    with pytest.raises(UnresolvedError, match="the tags Tier=web match no subnet; expected exactly one"):
        resources.resolve({"subnet": {"tags": {"Tier": "web"}}}, state)
    with pytest.raises(UnresolvedError, match=f"the tags Tier=web match no security group of {vpc}"):
        resources.resolve({"security_groups": ({"tags": {"Tier": "web"}},)}, state)
