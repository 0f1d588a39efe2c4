"""The way back of servers whose origin is in AWS: reverse, sync, launch at the origin, protect again, tidy up.

Trigger it with ``{"recovery_instance_ids": ["i-..."]}``, the instances of the recovery, when the origin can be
used again. Stop the applications on these instances before the launch, which is refused while there is a lag; what
they write after it is lost. The run ends where a recovery begins: the forward servers protect what runs at the origin,
and nothing else of the failback is left. Set the variables below.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.sdk import DAG, Param, task

from drs_provider.operators.drs import DrsStartRecoveryOperator, DrsTerminateRecoveryInstancesOperator
from drs_provider.operators.drs_failback import (
    DrsDeleteRecoveryInstanceOperator,
    DrsReverseReplicationOperator,
    DrsStopFailbackOperator,
)
from drs_provider.operators.drs_replication import (
    DrsDeleteSourceServerOperator,
    DrsDisconnectSourceServerOperator,
    DrsStopReplicationOperator,
)
from drs_provider.operators.drs_source_servers import DrsUpdateLaunchConfigurationOperator
from drs_provider.sensors.drs import DrsJobSensor
from drs_provider.sensors.drs_failback import DrsFailbackSyncSensor, DrsProtectionSensor

RECOVERY_REGION = "us-west-2"
ORIGIN_REGION = "us-east-1"
INSTANCE_PROFILE = "AWSElasticDisasterRecoveryRecoveryInstanceRole"
SUBNET_NAME = "shop-private-a"
"""The value of the Name tag of the subnet to launch in; its VPC's default security group is used."""

with DAG(
    dag_id="drs_failback",
    description="Bring recovered servers back to the region that they came from",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    default_args={"retries": 2},
    params={"recovery_instance_ids": Param(type="array", items={"type": "string"}, minItems=1)},
    tags=["drs", "example"],
    render_template_as_native_obj=True,
) as dag:
    reverse = DrsReverseReplicationOperator(
        task_id="reverse",
        recovery_instance_ids="{{ params.recovery_instance_ids }}",  # type: ignore[arg-type]
        region_name=RECOVERY_REGION,
        timeout=timedelta(minutes=30),
        deferrable=True,
    )

    @task
    def origin_servers(reversed_servers: dict[str, str]) -> list[str]:
        """Return the ids of the source servers in the origin region, from their ARNs."""
        return sorted(arn.rpartition("/")[2] for arn in reversed_servers.values())

    servers = origin_servers(reverse.output)  # type: ignore[arg-type]
    # DRS writes launch templates when this changes, so it comes before them.
    no_right_sizing = DrsUpdateLaunchConfigurationOperator(
        task_id="no_right_sizing",
        source_server_ids=servers,  # type: ignore[arg-type]
        settings={"targetInstanceTypeRightSizingMethod": "NONE"},
        region_name=ORIGIN_REGION,
    )

    @task
    def complete_templates(configurations: dict[str, dict[str, Any]]) -> dict[str, str]:
        """Give the launch templates what ReverseReplication leaves out; return their default versions, by server."""
        from airflow.providers.amazon.aws.hooks.ec2 import EC2Hook

        ec2: Any = EC2Hook(region_name=ORIGIN_REGION, api_type="client_type").conn
        by_name = [{"Name": "tag:Name", "Values": [SUBNET_NAME]}]
        (subnet,) = ec2.describe_subnets(Filters=by_name)["Subnets"]
        default = [
            {"Name": "vpc-id", "Values": [subnet["VpcId"]]},
            {"Name": "group-name", "Values": ["default"]},
        ]
        (group,) = ec2.describe_security_groups(Filters=default)["SecurityGroups"]
        interface = {"DeviceIndex": 0, "SubnetId": subnet["SubnetId"], "Groups": [group["GroupId"]]}
        versions = {}
        for server, configuration in configurations.items():
            template = configuration["ec2LaunchTemplateID"]
            made = ec2.create_launch_template_version(
                LaunchTemplateId=template,
                SourceVersion="$Default",
                LaunchTemplateData={"NetworkInterfaces": [interface], "IamInstanceProfile": {"Name": INSTANCE_PROFILE}},
            )
            versions[server] = str(made["LaunchTemplateVersion"]["VersionNumber"])
            ec2.modify_launch_template(LaunchTemplateId=template, DefaultVersion=versions[server])
        return versions

    in_sync = DrsFailbackSyncSensor(
        task_id="in_sync",
        source_server_ids=servers,  # type: ignore[arg-type]
        region_name=ORIGIN_REGION,
        timeout=timedelta(days=2),
        deferrable=True,
    )
    launch = DrsStartRecoveryOperator(
        task_id="launch",
        servers=servers,  # type: ignore[arg-type]
        is_drill=False,
        region_name=ORIGIN_REGION,
    )
    wait = DrsJobSensor(task_id="wait", job_ids=launch.output, region_name=ORIGIN_REGION, deferrable=True)

    @task
    def failed_back(launched: dict[str, Any]) -> list[str]:
        """Return the recovery instances of the launch: production from now on."""
        return sorted(one["recovery_instance_id"] for one in launched["servers"].values())

    production = failed_back(wait.output)  # type: ignore[arg-type]
    protect_again = DrsReverseReplicationOperator(
        task_id="protect_again",
        recovery_instance_ids=production,  # type: ignore[arg-type]
        region_name=ORIGIN_REGION,
        timeout=timedelta(minutes=30),
        deferrable=True,
    )
    protected = DrsProtectionSensor(
        task_id="protected",
        launched=protect_again.output,  # type: ignore[arg-type]
        region_name=RECOVERY_REGION,
        peer_region_name=ORIGIN_REGION,
        timeout=timedelta(days=2),
        deferrable=True,
    )
    # In this order: DRS does not terminate an instance that a server replicates, and does not disconnect a server with
    # a recovery instance. Of what was launched at the origin only DRS's record is deleted.
    stop_replication = DrsStopReplicationOperator(
        task_id="stop_replication",
        source_server_ids=servers,  # type: ignore[arg-type]
        region_name=ORIGIN_REGION,
    )
    stop_failback = DrsStopFailbackOperator(
        task_id="stop_failback",
        recovery_instance_ids="{{ params.recovery_instance_ids }}",  # type: ignore[arg-type]
        region_name=RECOVERY_REGION,
    )
    terminate = DrsTerminateRecoveryInstancesOperator(
        task_id="terminate",
        recovery_instance_ids="{{ params.recovery_instance_ids }}",  # type: ignore[arg-type]
        drills_only=False,
        region_name=RECOVERY_REGION,
        deferrable=True,
    )
    delete_records = DrsDeleteRecoveryInstanceOperator(
        task_id="delete_records",
        recovery_instance_ids=production,  # type: ignore[arg-type]
        region_name=ORIGIN_REGION,
    )
    disconnect = DrsDisconnectSourceServerOperator(
        task_id="disconnect",
        source_server_ids=servers,  # type: ignore[arg-type]
        region_name=ORIGIN_REGION,
    )
    delete = DrsDeleteSourceServerOperator(
        task_id="delete",
        source_server_ids=servers,  # type: ignore[arg-type]
        region_name=ORIGIN_REGION,
    )
    complete_templates(no_right_sizing.output) >> in_sync >> launch >> wait  # type: ignore[arg-type]
    protect_again >> protected >> stop_replication >> stop_failback >> terminate >> delete_records >> disconnect
    disconnect >> delete
