"""The EC2 side of DRS: launch templates, and recovery instances as real instances of moto's EC2."""

from __future__ import annotations

from typing import Any

from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import Instance

from drs_provider.simulator import simulation as simulations
from drs_provider.simulator.drs.source_servers import SourceServer
from drs_provider.simulator.instance_times import began_at

__all__ = [
    "RecoveredInstance",
    "begin_instance",
    "complete_instance",
    "create_launch_template",
    "launch_resources",
    "launch_template_lacks",
    "launched_as_fleet",
    "role_of_profile",
    "terminate_instance",
]

_IMAGE = {"linux": "ami-1e749f67", "windows": "ami-56ec3e2f"}


class RecoveredInstance(Instance):
    """An instance of moto's EC2 whose status checks pass a while after the launch, or never."""

    checks_pass_at: float
    impaired: bool

    @property
    def instance_status(self) -> dict[str, Any]:
        """The instance check, as DescribeInstanceStatus shows it."""
        simulation = simulations.current()
        if self.state != "running":
            return {"Status": "not-applicable"}
        if simulation is not None and simulation.clock.now() < self.checks_pass_at:
            return {"Status": "initializing", "Details": [{"Name": "reachability", "Status": "initializing"}]}
        if self.impaired:
            return {"Status": "impaired", "Details": [{"Name": "reachability", "Status": "failed"}]}
        return {"Status": "ok", "Details": [{"Name": "reachability", "Status": "passed"}]}

    @property
    def system_status(self) -> dict[str, Any]:
        """The system check: AWS's own side is never impaired."""
        status = self.instance_status
        return {"Status": "ok", "Details": [{"Name": "reachability", "Status": "passed"}]} if self.impaired else status


# moto's serializer finds an instance's id by the name of its class.
RecoveredInstance.__name__ = Instance.__name__


def create_launch_template(server: SourceServer) -> str:
    """Make the EC2 launch template of a server, as complete as its scenario says; returns its id."""
    backend = ec2_backends[server.account][server.region]
    wanted = server.spec.launch_template
    interface: dict[str, Any] = {"DeviceIndex": 0}
    if wanted.subnet:
        interface["SubnetId"] = _default_subnet(backend, server.region).id
    if wanted.security_group:
        group: Any = backend.get_security_group_from_name("default")
        interface["Groups"] = [group.id]
    data: dict[str, Any] = {
        "InstanceType": wanted.instance_type,
        "ImageId": _IMAGE[server.spec.os],
        "NetworkInterfaces": [interface],
    }
    if wanted.instance_profile:
        data["IamInstanceProfile"] = {
            "Arn": f"arn:aws:iam::{server.account}:instance-profile/"
            "service-role/AWSElasticDisasterRecoveryRecoveryInstanceRole"
        }
    own = {"AWSElasticDisasterRecoveryManaged": "drs.amazonaws.com"}
    tags = {"launch-template": {**own, "AWSElasticDisasterRecoverySourceServerID": server.id}}
    name = f"{server.id}-launch-template"
    return str(backend.create_launch_template(name, "", data, tags).id)


def launch_template_lacks(server: SourceServer) -> list[str]:
    """What the template's default version lacks, and a launch needs; a repaired template lacks nothing.

    A launch into an existing instance needs nothing of it.
    """
    if (server.launch_configuration.get("launchIntoInstanceProperties") or {}).get("launchIntoEC2InstanceID"):
        return []
    data = _template(server)
    interface = (data.get("NetworkInterfaces") or [{}])[0]
    needed = {
        "subnet": interface.get("SubnetId"),
        "security group": interface.get("Groups") or interface.get("SecurityGroupId") or data.get("SecurityGroupIds"),
        "instance profile": data.get("IamInstanceProfile"),
    }
    return [name for name, value in needed.items() if not value]


def launched_as_fleet(server: SourceServer) -> bool:
    """Whether the template leaves the instance type open: DRS then launches a fleet of one."""
    return bool(_template(server).get("InstanceRequirements"))


def role_of_profile(server: SourceServer) -> str | None:
    """Return the ARN of the role in the template's instance profile: its namesake, as the console makes them."""
    profile = _template(server).get("IamInstanceProfile") or {}
    if profile.get("Name"):
        return f"arn:aws:iam::{server.account}:role/{profile['Name']}"
    return str(profile["Arn"]).replace(":instance-profile/", ":role/") if profile.get("Arn") else None


def launch_resources(server: SourceServer) -> dict[str, str]:
    """What a launch names in EC2, as the last parts of ARNs: its template, subnet, security group and image."""
    data = _template(server)
    interface = (data.get("NetworkInterfaces") or [{}])[0]
    groups = [*(interface.get("Groups") or ()), *(data.get("SecurityGroupIds") or ())]
    return {
        "template": f"launch-template/{server.launch_template_id}",
        "subnet": f"subnet/{interface.get('SubnetId') or '*'}",
        "group": f"security-group/{groups[0] if groups else '*'}",
        "image": f"image/{data.get('ImageId') or _IMAGE[server.spec.os]}",
    }


def begin_instance(server: SourceServer, tags: dict[str, str]) -> Any:
    """Launch a recovery instance in EC2, which stays `pending` until `complete_instance`; returns moto's instance."""
    backend = ec2_backends[server.account][server.region]
    data = _template(server)
    interface = (data.get("NetworkInterfaces") or [{}])[0]
    reservation = backend.run_instances(
        data.get("ImageId") or _IMAGE[server.spec.os],
        1,
        None,
        [],
        instance_type=data.get("InstanceType") or server.spec.launch_template.instance_type,
        is_instance_type_default=False,
        region_name=server.region,
        subnet_id=interface.get("SubnetId") or _default_subnet(backend, server.region).id,
        security_group_ids=list(interface.get("Groups") or []),
        tags={"instance": tags, "volume": tags},
        nics={},
    )
    instance: Any = reservation.instances[0]
    if server.spec.os == "windows":
        instance.platform = "windows"
    if server.launch_configuration.get("copyPrivateIp"):
        instance.nics[0].private_ip_address = server.private_ip
    instance._state.name, instance._state.code = "pending", 0
    return instance


def complete_instance(instance: Any, server: SourceServer, stopped: bool, tags: dict[str, str]) -> None:
    """Let an instance run, or leave it stopped; also one that was there before, and that the server is launched into.

    Somebody may have terminated it meanwhile: then it stays terminated.
    """
    if instance.state == "terminated":
        return
    if stopped:
        instance.stop()
    else:
        instance.start()
    instance.add_tags(tags)
    clock = simulations.require().clock
    began_at(instance, clock.now())
    instance.__class__ = RecoveredInstance
    instance.checks_pass_at = clock.now() + clock.scaled(server.duration("boot"))
    instance.impaired = server.spec.status_checks == "impaired"


def terminate_instance(instance: Any) -> None:
    """Terminate an instance in EC2, where nobody did so before."""
    if instance.state != "terminated":
        instance.terminate()


def _template(server: SourceServer) -> dict[str, Any]:
    template = ec2_backends[server.account][server.region].launch_templates.get(server.launch_template_id)
    return dict(template.default_version().data) if template is not None else {}


def _default_subnet(backend: Any, region: str) -> Any:
    zones = [zone for zone in sorted(backend.subnets) if zone.startswith(region)]
    return next(iter(backend.subnets[zones[0]].values()))
