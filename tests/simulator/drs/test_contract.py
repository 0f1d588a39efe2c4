"""Every answer of every supported DRS operation conforms to the service model, the named deviations apart."""

from __future__ import annotations

from typing import Any

import boto3
import botocore.session
import moto
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from drs_provider.simulator.deviations import SHAPES, UNDECLARED_ERRORS
from drs_provider.simulator.drs.responses import DrsResponse, operations
from tests.simulator.conformance import Contract

IDS = [f"s-{number:017d}" for number in range(12)]
STAGING = "222222222222"
PHASES = (0.1, 0.5, 0.3, 0.5, 55, 190, 150, 150, 60, 700)
#: What the issue of this simulator asks for by name; the simulator serves more.
ASKED_FOR = {
    "StartRecovery",
    "DescribeJobs",
    "DescribeJobLogItems",
    "DescribeSourceServers",
    "DescribeRecoverySnapshots",
    "DescribeRecoveryInstances",
    "TerminateRecoveryInstances",
    "DisconnectRecoveryInstance",
    "DeleteRecoveryInstance",
    "GetLaunchConfiguration",
    "UpdateLaunchConfiguration",
    "GetReplicationConfiguration",
    "TagResource",
    "UntagResource",
    "ListTagsForResource",
    "ReverseReplication",
    "StartReplication",
    "StopReplication",
    "RetryDataReplication",
    "StopFailback",
}


def scenario() -> dict[str, Any]:
    states = ["CONTINUOUS", "STALLED", "INITIAL_SYNC", "DISCONNECTED", "STOPPED", "RESCAN", "PAUSED", "BACKLOG"]
    servers: list[dict[str, Any]] = [
        {"id": IDS[n], "hostname": f"h{n}", "replication": state, "lag": "PT3M", "tags": {"n": str(n)}}
        for n, state in enumerate(states)
    ]
    servers[1]["replication_error"] = "NOT_CONVERGING"
    servers[0]["snapshots"] = [{"age": "10m"}, {"age": 0, "finished": False}]
    servers += [
        {"id": IDS[8], "hostname": "h8", "outcome": "failed", "fail_at": "conversion", "os": "windows"},
        {"id": IDS[9], "hostname": "h9", "origin": "on_premises", "failback_client": 1, "launched": "drill"},
        {"id": IDS[10], "hostname": "h10", "outcome": "failed_silently"},
        {"id": IDS[11], "hostname": "h11", "launch_disposition": "STOPPED", "lag": "P0D"},
    ]
    staged = {"id": f"s-{20:017d}", "hostname": "h20", "ebs_encryption": "NONE", "tags": {"a": "b"}}
    staging = {"account": STAGING, "servers": [staged, {"id": f"s-{21:017d}", "hostname": "h21"}]}
    # The first server comes from a region where nothing more can replicate.
    full = {"region": "eu-west-1", "quotas": {"replicating_servers": 0}}
    servers[0]["origin_region"] = "eu-west-1"
    return {"servers": servers, "accounts": [{"region": "us-east-1"}, full, staging]}


def refused(code: str, call: Any, **request: Any) -> None:
    with pytest.raises(ClientError) as error:
        call(**request)
    assert error.value.response["Error"]["Code"] == code, error.value


def arn(kind: str) -> str:
    return f"arn:aws:drs:us-west-2:123456789012:{kind}"


def look(drs: Any) -> None:
    """What an orchestrator reads, in this phase of things."""
    jobs = drs.describe_jobs()["items"]
    for job in jobs:
        drs.describe_job_log_items(jobID=job["jobID"])
    drs.describe_source_servers()
    drs.describe_recovery_instances()
    for server in (IDS[0], IDS[5]):
        drs.describe_recovery_snapshots(sourceServerID=server, order="DESC")


def launches(simulator: Any, drs: Any) -> None:
    targets = [IDS[0], *IDS[8:12]]
    drs.start_recovery(isDrill=True, sourceServers=[{"sourceServerID": one} for one in targets], tags={"a": "b"})
    refused("ConflictException", drs.start_recovery, sourceServers=[{"sourceServerID": IDS[0]}])
    for seconds in PHASES:
        look(drs)
        simulator.advance(seconds)
    look(drs)
    drs.start_recovery(sourceServers=[{"sourceServerID": IDS[9]}, {"sourceServerID": IDS[5]}])
    simulator.advance(600)


def configurations(drs: Any) -> None:
    drs.initialize_service()
    drs.get_launch_configuration(sourceServerID=IDS[1])
    drs.update_launch_configuration(sourceServerID=IDS[1], launchDisposition="STOPPED", licensing={"osByol": True})
    drs.get_replication_configuration(sourceServerID=IDS[1])
    drs.update_replication_configuration(sourceServerID=IDS[1], bandwidthThrottling=10)
    drs.describe_replication_configuration_templates()
    drs.describe_launch_configuration_templates()
    server = arn(f"source-server/{IDS[1]}")
    drs.tag_resource(resourceArn=server, tags={"x": "y", "z": "1"})
    drs.untag_resource(resourceArn=server, tagKeys=["x"])
    assert drs.list_tags_for_resource(resourceArn=server)["tags"] == {"n": "1", "z": "1"}


def templates(drs: Any) -> None:
    (launch,) = drs.describe_launch_configuration_templates()["items"]
    launch_id = {"launchConfigurationTemplateID": launch["launchConfigurationTemplateID"]}
    drs.update_launch_configuration_template(**launch_id, copyTags=True, recoveryMode="FAST")
    drs.delete_launch_configuration_template(**launch_id)
    drs.create_launch_configuration_template(licensing={"osByol": True}, tags={"a": "b"})
    (made,) = drs.describe_replication_configuration_templates()["items"]
    replication_id = {"replicationConfigurationTemplateID": made["replicationConfigurationTemplateID"]}
    drs.update_replication_configuration_template(**replication_id, bandwidthThrottling=1)
    drs.delete_replication_configuration_template(**replication_id)
    settings = {key: value for key, value in made.items() if key not in ("arn", "tags", *replication_id)}
    drs.create_replication_configuration_template(**settings)


def launch_actions(simulator: Any, drs: Any) -> None:
    action = {
        "actionId": "01234567-89ab-cdef-0123-456789abcdef",
        "actionCode": "AWS-RunShellScript",
        "name": "script",
        "order": 2,
        "optional": False,
        "active": True,
        "actionVersion": "$DEFAULT",
        "category": "OTHER",
        "description": "x",
    }
    wanted = {"commands": {"type": "DYNAMIC", "value": "recoveryInstanceID"}}
    drs.put_launch_action(resourceId=IDS[1], **action, parameters=wanted)
    drs.put_launch_action(resourceId=IDS[3], **action)
    drs.list_launch_actions(resourceId=IDS[1], maxResults=1)
    drs.delete_launch_action(resourceId=IDS[3], actionId=action["actionId"])
    drs.update_launch_configuration(sourceServerID=IDS[1], postLaunchEnabled=True, launchDisposition="STARTED")
    drs.start_recovery(isDrill=True, sourceServers=[{"sourceServerID": IDS[1]}])
    for _ in range(20):
        simulator.advance(50)
        look(drs)


def accounts(drs: Any) -> None:
    for one in drs.list_extensible_source_servers(stagingAccountID=STAGING)["items"]:
        drs.create_extended_source_server(sourceServerArn=one["arn"], tags={"a": "b"})
    drs.list_staging_accounts()
    look(drs)


def networks(simulator: Any, drs: Any) -> None:
    vpc = boto3.client("ec2", "us-east-1").describe_vpcs()["Vpcs"][0]["VpcId"]
    made = drs.create_source_network(vpcID=vpc, originAccountID="123456789012", originRegion="us-east-1")
    network = {"sourceNetworkID": made["sourceNetworkID"]}
    drs.start_source_network_replication(**network)
    simulator.advance(61)
    drs.export_source_network_cfn_template(**network)
    drs.start_source_network_recovery(sourceNetworks=[network], tags={"a": "b"})
    for _ in range(4):
        simulator.advance(60)
        drs.describe_source_networks()
        look(drs)
    drs.associate_source_network_stack(**network, cfnStackName="stack")
    simulator.advance(60)
    look(drs)
    drs.describe_source_networks()
    refused("ConflictException", drs.delete_source_network, **network)
    drs.stop_source_network_replication(**network)
    drs.delete_source_network(**network)


def replication(simulator: Any, drs: Any) -> None:
    drs.stop_replication(sourceServerID=IDS[6])
    refused("ConflictException", drs.start_replication, sourceServerID=IDS[7])
    drs.start_replication(sourceServerID=IDS[6])
    look(drs)
    drs.retry_data_replication(sourceServerID=IDS[1])
    drs.disconnect_source_server(sourceServerID=IDS[7])
    drs.delete_source_server(sourceServerID=IDS[7])
    refused("ResourceNotFoundException", drs.get_launch_configuration, sourceServerID=IDS[7])
    simulator.advance(700)
    look(drs)


def failback(simulator: Any, drs: Any) -> None:
    by_server = {one["sourceServerID"]: one for one in drs.describe_recovery_instances()["items"]}
    on_premises = by_server[IDS[9]]["recoveryInstanceID"]
    drs.get_failback_replication_configuration(recoveryInstanceID=on_premises)
    drs.update_failback_replication_configuration(recoveryInstanceID=on_premises, bandwidthThrottling=3)
    refused("ValidationException", drs.reverse_replication, recoveryInstanceID=on_premises)
    simulator.advance(900)
    look(drs)
    drs.start_failback_launch(recoveryInstanceIDs=[on_premises])
    simulator.advance(300)
    instance = by_server[IDS[5]]["recoveryInstanceID"]
    drs.reverse_replication(recoveryInstanceID=instance)
    look(drs)
    refused("ConflictException", drs.terminate_recovery_instances, recoveryInstanceIDs=[instance])
    drs.stop_failback(recoveryInstanceID=instance)
    refused("ConflictException", drs.terminate_recovery_instances, recoveryInstanceIDs=[instance])
    elsewhere = by_server[IDS[0]]["recoveryInstanceID"]
    refused("ServiceQuotaExceededException", drs.reverse_replication, recoveryInstanceID=elsewhere)
    refused("ConflictException", drs.delete_recovery_instance, recoveryInstanceID=instance)
    drs.disconnect_recovery_instance(recoveryInstanceID=instance)
    look(drs)
    drs.delete_recovery_instance(recoveryInstanceID=instance)
    job = drs.terminate_recovery_instances(recoveryInstanceIDs=[on_premises])["job"]["jobID"]
    refused("ConflictException", drs.delete_job, jobID=job)
    look(drs)
    simulator.advance(60)
    look(drs)
    drs.delete_job(jobID=job)


def native_plans(simulator: Any, drs: Any) -> None:
    plan = drs.create_recovery_plan(name="native", description="all of it", tags={"a": "b"})["recoveryPlan"]
    plan_arn = plan["recoveryPlanArn"]
    steps = [
        {"serverStepConfiguration": {"servers": [{"serverArn": arn(f"source-server/{IDS[8]}")}]}},
        {"waitStepConfiguration": {"waitDurationMinutes": 1}},
        {"serverStepConfiguration": {"servers": [{"serverArn": arn(f"source-server/{IDS[11]}")}]}},
    ]
    made = [
        drs.create_recovery_plan_step(recoveryPlanArn=plan_arn, stepName=f"step {n}", configuration=one)
        for n, one in enumerate(steps)
    ]
    arns = [one["recoveryPlanStep"]["recoveryPlanStepArn"] for one in made]
    drs.get_recovery_plan(recoveryPlanArn=plan_arn)
    drs.update_recovery_plan(recoveryPlanArn=plan_arn, name="renamed")
    drs.get_recovery_plan_step(recoveryPlanStepArn=arns[0])
    drs.update_recovery_plan_step(recoveryPlanStepArn=arns[0], stepName="first")
    drs.reorder_recovery_plan_steps(recoveryPlanArn=plan_arn, orderedStepArns=[arns[0], arns[1], arns[2]])
    drs.list_recovery_plans()
    drs.list_recovery_plan_steps(recoveryPlanArn=plan_arn)
    started = drs.start_recovery_plan_execution(recoveryPlanArn=plan_arn, mode="DRILL", tags={"c": "d"})
    execution = started["recoveryPlanExecution"]["recoveryPlanExecutionArn"]
    refused("ConflictException", drs.delete_recovery_plan, recoveryPlanArn=plan_arn)
    look_at_execution(drs, execution)
    simulator.advance(1300)
    of_execution = look_at_execution(drs, execution)
    assert of_execution[0]["status"] == "FAILED"
    drs.retry_recovery_plan_execution_step(recoveryPlanExecutionStepArn=of_execution[0]["recoveryPlanExecutionStepArn"])
    simulator.advance(1300)
    drs.update_recovery_plan_execution_step(
        recoveryPlanExecutionStepArn=of_execution[0]["recoveryPlanExecutionStepArn"], status="SKIPPED"
    )
    simulator.advance(2)
    look_at_execution(drs, execution)
    drs.cancel_recovery_plan_execution(recoveryPlanExecutionArn=execution)
    simulator.advance(5)
    look_at_execution(drs, execution)
    drs.delete_recovery_plan_execution(recoveryPlanExecutionArn=execution)
    drs.delete_recovery_plan_step(recoveryPlanStepArn=arns[2])
    drs.delete_recovery_plan(recoveryPlanArn=plan_arn)


def faults(simulator: Any, drs: Any) -> None:
    for code in ("ThrottlingException", "InternalServerException", "AccessDeniedException"):
        simulator.add_fault("*", error=code, times=3)
        for call, request in ((drs.describe_jobs, {}), (drs.describe_job_log_items, {"jobID": "drsjob-" + "1" * 17})):
            refused(code, call, **request)
        refused(code, drs.delete_recovery_plan, recoveryPlanArn=arn("recovery-plan/rp-" + "1" * 17))


def look_at_execution(drs: Any, execution: str) -> list[dict[str, Any]]:
    drs.get_recovery_plan_execution(recoveryPlanExecutionArn=execution)
    drs.list_recovery_plan_executions()
    steps: list[dict[str, Any]] = drs.list_recovery_plan_execution_steps(recoveryPlanExecutionArn=execution)[
        "recoveryPlanExecutionSteps"
    ]
    for step in steps:
        drs.get_recovery_plan_execution_step(recoveryPlanExecutionStepArn=step["recoveryPlanExecutionStepArn"])
    return steps


def test_every_answer_conforms(drs_simulator):
    drs_simulator.load(scenario())
    drs_simulator.freeze()
    drs = boto3.client("drs", "us-west-2", config=Config(parameter_validation=False, retries={"total_max_attempts": 1}))
    elsewhere = boto3.client("drs", "eu-central-1")
    contract = Contract(drs, elsewhere)
    refused("UninitializedAccountException", elsewhere.describe_jobs)
    refused(
        "UninitializedAccountException", elsewhere.list_tags_for_resource, resourceArn=arn(f"job/drsjob-{'1' * 17}")
    )
    refused("ValidationException", drs.start_recovery, sourceServers=[])
    refused("ResourceNotFoundException", drs.start_recovery, sourceServers=[{"sourceServerID": "s-" + "9" * 17}])
    launches(drs_simulator, drs)
    configurations(drs)
    templates(drs)
    launch_actions(drs_simulator, drs)
    accounts(drs)
    networks(drs_simulator, drs)
    replication(drs_simulator, drs)
    failback(drs_simulator, drs)
    native_plans(drs_simulator, drs)
    faults(drs_simulator, drs)
    assert contract.problems == set()
    assert contract.seen == set(operations())
    listed = {name for name in (*SHAPES, *UNDECLARED_ERRORS) if name.startswith("drs.")}
    assert contract.deviations == listed, "what no longer deviates is taken off the list"


def test_all_that_was_asked_for_is_served():
    model = botocore.session.get_session().get_service_model("drs")
    native = {name for name in model.operation_names if "RecoveryPlan" in name}
    assert len(native) == 20
    assert ASKED_FOR | native <= set(operations())


def test_every_operation_of_the_model_is_served():
    model = botocore.session.get_session().get_service_model("drs")
    assert set(operations()) == set(model.operation_names)


def test_what_is_not_served_says_so(drs_simulator, monkeypatch):
    monkeypatch.delattr(DrsResponse, "describe_source_networks")
    drs = boto3.client("drs", "us-west-2")
    refused("NotImplemented", drs.describe_source_networks)


def test_moto_has_no_drs_of_its_own():
    """The day it has one, decide: drop this one, or keep it before moto's."""
    from moto.backends import list_of_moto_modules

    assert "drs" not in set(list_of_moto_modules()), f"moto {moto.__version__} serves DRS"
