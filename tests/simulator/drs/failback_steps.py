"""A failback to EC2 by plain boto3: a client that knows nothing of this package, one method for each step.

A1 is the instance at the origin, B1 its source server in the recovery region, B2 the recovery instance; A2 is the
server that replicates B2 to the origin region, A3 the instance that A2 launches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

B1 = "s-00000000000000001"
A1 = "i-0000000000000a100"
ORIGIN, RECOVERY = "us-east-1", "us-west-2"

Advance = Callable[[float], None]


def refusal(call: Any, **request: Any) -> str | None:
    """The code of the error that a call is answered with; None where it is accepted."""
    try:
        call(**request)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return None


class Client:
    """The steps of a failback, in the order of AWS's guide.

    :param advance: lets so many seconds of AWS pass.
    :param b1: the source server in the recovery region.
    """

    def __init__(self, advance: Advance, b1: str = B1) -> None:
        self.advance = advance
        retries = Config(retries={"total_max_attempts": 1})
        self.recovery = boto3.client("drs", RECOVERY, config=retries)
        self.origin = boto3.client("drs", ORIGIN, config=retries)
        self.origin_ec2 = boto3.client("ec2", ORIGIN, config=retries)
        self.b1 = b1
        self.b2 = self.a2 = self.a3 = ""

    # What AWS shows.

    def server(self, drs: Any, server_id: str) -> dict[str, Any]:
        (found,) = drs.describe_source_servers(filters={"sourceServerIDs": [server_id]})["items"]
        return dict(found)

    def replication(self, drs: Any, server_id: str) -> tuple[str, str | None, bool]:
        """The state of a source server, its lag, and whether it is rescanned."""
        info = self.server(drs, server_id)["dataReplicationInfo"]
        disks = info["replicatedDisks"]
        rescanned = all(disk["rescannedStorageBytes"] >= disk["totalStorageBytes"] > 0 for disk in disks)
        return info["dataReplicationState"], info.get("lagDuration"), rescanned

    def whole(self, drs: Any, server_id: str) -> bool:
        """Whether it protects what it replicates: CONTINUOUS, without lag, and rescanned."""
        return self.replication(drs, server_id) == ("CONTINUOUS", "P0D", True)

    def hint(self, drs: Any, server_id: str) -> str:
        """The EC2 instance that a source server replicates."""
        return str(self.server(drs, server_id)["sourceProperties"]["identificationHints"]["awsInstanceID"])

    def instance(self, drs: Any, instance_id: str) -> dict[str, Any]:
        (found,) = drs.describe_recovery_instances(filters={"recoveryInstanceIDs": [instance_id]})["items"]
        return dict(found)

    def state(self, drs: Any, instance_id: str) -> str:
        """The state of a recovery instance's own replication."""
        return str(self.instance(drs, instance_id)["dataReplicationInfo"]["dataReplicationState"])

    # The steps.

    def wait(self, ready: Callable[[], bool], seconds: float = 7200) -> None:
        for _ in range(int(seconds / 30)):
            if ready():
                return
            self.advance(30)
        raise AssertionError("not ready in time")

    def launch(self, drs: Any, server_id: str) -> tuple[str, str]:
        """Launch a server and wait for the job: how its launch ended, and its recovery instance, if any."""
        job = drs.start_recovery(isDrill=False, sourceServers=[{"sourceServerID": server_id}], tags={"step": "launch"})
        job_id = job["job"]["jobID"]

        def ended() -> bool:
            return bool(drs.describe_jobs(filters={"jobIDs": [job_id]})["items"][0]["status"] == "COMPLETED")

        self.wait(ended)
        (participant,) = drs.describe_jobs(filters={"jobIDs": [job_id]})["items"][0]["participatingServers"]
        launched = drs.describe_recovery_instances(filters={"sourceServerIDs": [server_id]})["items"]
        found = [one["recoveryInstanceID"] for one in launched if one["jobID"] == job_id]
        return participant["launchStatus"], found[0] if found else ""

    def recover(self) -> None:
        status, self.b2 = self.launch(self.recovery, self.b1)
        assert status == "LAUNCHED"

    def reverse(self) -> None:
        """Reverse B2, asking again until its agent has initialised; find A2 by what it replicates."""
        self.wait(lambda: refusal(self.recovery.reverse_replication, recoveryInstanceID=self.b2) is None, 600)
        (found,) = [
            one
            for one in self.origin.describe_source_servers()["items"]
            if one["replicationDirection"] == "FAILBACK"
            and one["sourceProperties"]["identificationHints"]["awsInstanceID"] == self.b2
        ]
        self.a2 = found["sourceServerID"]

    def sync(self) -> None:
        self.wait(lambda: self.whole(self.origin, self.a2))

    def repair_template(self) -> None:
        """Give A2's launch template the subnet, security group and instance profile that it lacks."""
        configuration = self.origin.update_launch_configuration(
            sourceServerID=self.a2, targetInstanceTypeRightSizingMethod="NONE"
        )
        subnet = self.origin_ec2.describe_subnets()["Subnets"][0]
        vpc = [{"Name": "vpc-id", "Values": [subnet["VpcId"]]}, {"Name": "group-name", "Values": ["default"]}]
        group = self.origin_ec2.describe_security_groups(Filters=vpc)["SecurityGroups"][0]["GroupId"]
        interface = {"DeviceIndex": 0, "SubnetId": subnet["SubnetId"], "Groups": [group]}
        profile = {"Name": "AWSElasticDisasterRecoveryRecoveryInstanceRole"}
        template = configuration["ec2LaunchTemplateID"]
        made = self.origin_ec2.create_launch_template_version(
            LaunchTemplateId=template,
            SourceVersion="$Default",
            LaunchTemplateData={"NetworkInterfaces": [interface], "IamInstanceProfile": profile},
        )
        version = str(made["LaunchTemplateVersion"]["VersionNumber"])
        self.origin_ec2.modify_launch_template(LaunchTemplateId=template, DefaultVersion=version)

    def launch_back(self) -> None:
        status, self.a3 = self.launch(self.origin, self.a2)
        assert status == "LAUNCHED"

    def protect_again(self) -> None:
        self.wait(lambda: refusal(self.origin.reverse_replication, recoveryInstanceID=self.a3) is None, 600)
        assert self.state(self.origin, self.a3) != "NOT_STARTED"

    def wait_protected(self) -> None:
        self.wait(lambda: self.hint(self.recovery, self.b1) == self.a3 and self.whole(self.recovery, self.b1))

    def stop_replication(self) -> None:
        self.origin.stop_replication(sourceServerID=self.a2)

    def stop_failback(self) -> None:
        self.recovery.stop_failback(recoveryInstanceID=self.b2)

    def terminate(self) -> None:
        self.recovery.terminate_recovery_instances(recoveryInstanceIDs=[self.b2])
        b2 = {"recoveryInstanceIDs": [self.b2]}
        self.wait(lambda: not self.recovery.describe_recovery_instances(filters=b2)["items"])

    def delete_recovery_instance(self) -> None:
        self.origin.delete_recovery_instance(recoveryInstanceID=self.a3)

    def disconnect(self) -> None:
        self.origin.disconnect_source_server(sourceServerID=self.a2)

    def delete(self) -> None:
        self.origin.delete_source_server(sourceServerID=self.a2)

    ORDER = (
        "recover",
        "reverse",
        "sync",
        "repair_template",
        "launch_back",
        "protect_again",
        "wait_protected",
        "stop_replication",
        "stop_failback",
        "terminate",
        "delete_recovery_instance",
        "disconnect",
        "delete",
    )

    def until(self, step: str) -> Client:
        """Do the steps up to this one, without it."""
        for name in self.ORDER[: self.ORDER.index(step)]:
            getattr(self, name)()
        return self

    def cycle(self) -> None:
        """Do them all."""
        for name in self.ORDER:
            getattr(self, name)()
