"""The EC2 side of DRS: recovery instances as real instances of moto's EC2."""

from __future__ import annotations

import ipaddress
from typing import Any

from moto.ec2.exceptions import OperationNotPermitted4
from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import Instance

from drs_provider.simulator import runtime
from drs_provider.simulator.drs.run_instances import LaunchRefused, instance_profile, refuse
from drs_provider.simulator.drs.source_servers import SourceServer
from drs_provider.simulator.drs.templates import IMAGES
from drs_provider.simulator.moto_compat.instance_states import set_state
from drs_provider.simulator.moto_compat.instance_times import began_at, ended_at

__all__ = [
    "RecoveredInstance",
    "begin_instance",
    "begin_termination",
    "complete_instance",
    "terminate_instance",
    "termination_refused",
]

_GONE = ("shutting-down", "terminated")


class RecoveredInstance(Instance):
    """An instance of moto's EC2 whose status checks pass a while after the launch, or never."""

    checks_pass_at: float
    impaired: bool

    @property
    def instance_status(self) -> dict[str, Any]:
        """The instance check, as DescribeInstanceStatus shows it."""
        simulation = runtime.current()
        if self.state != "running":
            return {"Status": "not-applicable"}
        if simulation is not None and not simulation.clock.reached(self.checks_pass_at):
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


def begin_instance(server: SourceServer, data: dict[str, Any], tags: dict[str, str], *, starts: bool = True) -> Any:
    """Launch a recovery instance in EC2, which stays `pending` until `complete_instance`; returns moto's instance.

    :param data: what the launch template says.
    :param starts: whether it is to run, and not only to be there.
    :raises LaunchRefused: EC2 would not launch it.
    """
    refuse(server.account, server.region, data, starts=starts)
    backend = ec2_backends[server.account][server.region]
    interface = data["NetworkInterfaces"][0]
    address = interface.get("PrivateIpAddress")
    # moto has no room for it in a subnet: see run_instances.
    loopback = bool(address) and ipaddress.ip_address(address).is_loopback
    reservation = backend.run_instances(
        data.get("ImageId") or IMAGES[server.spec.os],
        1,
        None,
        [],
        instance_type=data.get("InstanceType") or server.recommended_type,
        is_instance_type_default=False,
        region_name=server.region,
        subnet_id=interface["SubnetId"],
        private_ip=None if loopback else address,
        security_group_ids=list(interface.get("Groups") or data.get("SecurityGroupIds") or []),
        disable_api_termination=bool(data.get("DisableApiTermination")),
        iam_instance_profile=instance_profile(server.account, data["IamInstanceProfile"]),
        tags={"instance": tags, "volume": tags},
        nics={},
    )
    instance: Any = reservation.instances[0]
    if loopback:
        instance.nics[0].private_ip_address = address
    if server.spec.os == "windows":
        instance.platform = "windows"
    set_state(instance, "pending")
    return instance


def complete_instance(instance: Any, server: SourceServer, stopped: bool, tags: dict[str, str]) -> None:
    """Let an instance run, or leave it stopped; also one that was there before, and that the server is launched into.

    Somebody may have terminated it meanwhile: then it stays terminated.
    """
    if instance.state in _GONE:
        return
    if stopped:
        instance.stop()
    else:
        instance.start()
    instance.add_tags(tags)
    clock = runtime.require().clock
    began_at(instance, clock.now())
    instance.__class__ = RecoveredInstance
    instance.checks_pass_at = clock.now() + clock.scaled(server.duration("boot"))
    instance.impaired = server.spec.status_checks == "impaired"


def termination_refused(instance: Any) -> str | None:
    """Why EC2 does not terminate an instance, as DRS notes it in its job log; None where it does."""
    if instance.state in _GONE or instance.disable_api_termination is not True:
        return None
    error = OperationNotPermitted4(instance.id)
    return str(LaunchRefused("OperationNotPermitted", str(error.message), "TerminateInstances"))


def begin_termination(instance: Any) -> None:
    """EC2 shows an instance as shutting down, for as long as DRS takes to terminate it."""
    if instance.state not in _GONE:
        set_state(instance, "shutting-down")
        ended_at(instance, runtime.require().clock.now())


def terminate_instance(instance: Any) -> None:
    """Terminate an instance in EC2, where nobody did so before."""
    if instance.state != "terminated":
        instance.terminate()
