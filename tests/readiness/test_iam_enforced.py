"""The IAM policies where the simulator enforces them: a run is possible with the whole, and without any statement it is
not. Statements that take a special world (fleets, instances to launch into, roles of instance profiles and runbooks,
failback, topics) get theirs.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from airflow.providers.common.compat.sdk import AirflowException
from botocore.exceptions import ClientError

from drs_provider.aws.calls import run_blocking
from drs_provider.aws.clients import Clients
from drs_provider.aws.drs.extensions import extend, extensible_servers, staging_accounts
from drs_provider.aws.drs.launch import launch_once
from drs_provider.aws.drs.launch_key import LaunchKey
from drs_provider.aws.drs.questions import Drs
from drs_provider.aws.drs.termination import Termination, instances_to_end
from drs_provider.aws.faults import ActionFailed
from drs_provider.aws.launch_settings import Resources, apply, compare, read
from drs_provider.aws.ssm.commands import find_commands, read_results, send_once
from drs_provider.aws.ssm.reads import managed_instances, read_automation
from drs_provider.hooks.drs import DrsHook
from drs_provider.hooks.ssm import SsmHook
from drs_provider.plan.statements import Grant, policy
from drs_provider.readiness.grants import EXTENSIONS, GRANTS, LAUNCH_SETTINGS
from drs_provider.simulator.drs.launch_permissions import LaunchPermissions
from drs_provider.simulator.drs.models import drs_backends
from drs_provider.simulator.permissions import Caller
from drs_provider.simulator.policies import decision

if TYPE_CHECKING:
    from drs_provider.simulator.simulation import Simulation

SERVER = "s-1a2b3c4d5e6f70001"
ROLE = "arn:aws:iam::123456789012:role/airflow"
TOPIC = "arn:aws:sns:us-west-2:123456789012:dr-events"
SCENARIO = {
    "instances": [
        {"id": "i-0aaaaaaaaaaaaaaa1", "name": "standby", "tags": {"AWSDRS": "AllowLaunchingIntoThisInstance"}}
    ],
    "iam": True,
    "topics": [TOPIC],
    "servers": [{"id": SERVER, "hostname": "db01"}],
    "documents": {"Shop-Warm": {"kind": "Command"}, "Shop-Promote": {"kind": "Automation", "duration": 100}},
}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "sts:AssumeRole"}],
}
# Needed in a special world only, or by operators that plans do not use; and what the provider can do without. None of
# them is taken by the run of every plan.
SPECIAL = {"failback", "launch_into", "instance_profile", "automation_role", "notify"}
NOT_EXERCISED = {"DrsCreatesFleets"} | {grant.sid for grant in GRANTS if grant.need in SPECIAL or grant.optional}
EXERCISED = [grant for grant in GRANTS if grant.sid not in NOT_EXERCISED]
OWN = [grant for grant in EXERCISED if not grant.sid.startswith("Drs")]
ON_BEHALF = [grant for grant in EXERCISED if grant.sid.startswith("Drs")]


def act_as_role(monkeypatch: pytest.MonkeyPatch, grants: list[Grant]) -> None:
    """Give a role these grants, and every client that is made from now on its credentials."""
    iam = boto3.client("iam", "us-west-2")
    iam.create_role(RoleName="airflow", AssumeRolePolicyDocument=json.dumps(TRUST))
    for number, grant in enumerate(grants):  # One policy each: moto bounds the size of a policy as IAM does.
        document = json.dumps(policy([grant]))
        iam.put_role_policy(RoleName="airflow", PolicyName=f"p{number}", PolicyDocument=document)
    given = boto3.client("sts", "us-west-2").assume_role(RoleArn=ROLE, RoleSessionName="run")["Credentials"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", given["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", given["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", given["SessionToken"])


def run(simulator: Simulation) -> None:
    """Do everything that a drill with a command and an automation does.

    :raises ClientError: when IAM denies a call.
    :raises AirflowException: when something comes to nothing.
    """
    hook = DrsHook(aws_conn_id=None, region_name="us-west-2")
    began = datetime.now(timezone.utc) - timedelta(hours=1)
    assert [server["sourceServerID"] for server in hook.source_servers()] == [SERVER]
    hook.snapshots(SERVER)
    (job,) = launch_once(hook, LaunchKey("shop", "run", "db"), [SERVER], is_drill=True, since=began)
    simulator.advance(1500)
    (described,) = hook.jobs([job.job_id])
    if described["participatingServers"][0]["launchStatus"] != "LAUNCHED":
        raise AirflowException("the server failed to launch")
    assert hook.job_log(job.job_id)
    (instance,) = instances_to_end(hook, [], [job.job_id])
    identity = instance["ec2InstanceID"]
    hook.client("ec2").describe_instance_status(InstanceIds=[identity])
    _scripts(simulator, identity)
    Termination(hook, logging.getLogger(__name__)).end([instance], time.time())


def _scripts(simulator: Simulation, instance: str) -> None:
    ssm = SsmHook(aws_conn_id=None, region_name="us-west-2")
    calls = ssm.calls()
    ssm.conn.describe_document(Name="Shop-Warm")
    assert instance in run_blocking(managed_instances(calls, [instance]))
    request = {"DocumentName": "Shop-Warm", "InstanceIds": [instance]}
    once = ssm.calls_without_retries()
    (command,) = run_blocking(send_once(once, calls, key="0" * 32, attempt=1, label="x", since=0, request=request))
    simulator.advance(60)
    run_blocking(find_commands(calls, "0" * 32, since=0))
    run_blocking(read_results(calls, [command], [instance]))
    execution = ssm.conn.start_automation_execution(DocumentName="Shop-Promote")["AutomationExecutionId"]
    run_blocking(read_automation(calls, execution))
    ssm.stop_automation(execution)


@pytest.fixture
def simulator(drs_simulator: Simulation) -> Simulation:
    drs_simulator.freeze()
    drs_simulator.load(SCENARIO)
    return drs_simulator


def test_the_whole_suffices(simulator: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    act_as_role(monkeypatch, [grant for grant in GRANTS if grant.need not in SPECIAL])
    run(simulator)
    assert [entry for entry in simulator.log if entry.get("status") == 403] == []


@pytest.mark.parametrize("left_out", OWN, ids=lambda grant: grant.sid)
def test_no_call_of_a_run_is_allowed_twice(
    left_out: Grant, simulator: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    act_as_role(monkeypatch, [grant for grant in EXERCISED if grant is not left_out])
    # DRS needs some of them too: then the job fails before the provider gets to its own call.
    with pytest.raises((ClientError, AirflowException, ActionFailed), match=r"not authorized|failed to launch"):
        run(simulator)


@pytest.mark.parametrize("left_out", ON_BEHALF, ids=lambda grant: grant.sid)
def test_a_launch_fails_without_any_statement_for_drs(
    left_out: Grant, simulator: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    act_as_role(monkeypatch, [grant for grant in EXERCISED if grant is not left_out])
    with pytest.raises(AirflowException, match="failed to launch"):
        run(simulator)
    (failed,) = [entry for entry in simulator.log if entry.get("event") == "LAUNCH_FAILED"]
    items = boto3.client("drs", "us-west-2").describe_job_log_items(jobID=failed["job"])["items"]
    (error,) = [item["eventData"]["rawError"] for item in items if item["event"] == "LAUNCH_FAILED"]
    refused = re.search(r"not authorized to perform: (\S+) ", error)
    assert refused is not None and refused.group(1) in left_out.actions


INSTANCE, STANDBY = "i-0123456789abcdef0", "i-0aaaaaaaaaaaaaaa1"
ROLES = "arn:aws:iam::123456789012:role/drs-plan/"
TEMPLATE = "the launch template of the server"
CALLS: dict[str, list[tuple[str, str, dict[str, Any]]]] = {
    "FailBack": [
        ("drs", operation, {"recoveryInstanceID": INSTANCE})
        for operation in (
            "reverse_replication",
            "stop_failback",
            "get_failback_replication_configuration",
            "update_failback_replication_configuration",
        )
    ]
    + [("drs", "start_failback_launch", {"recoveryInstanceIDs": [INSTANCE]})],
    "ManageSourceServers": [
        *(
            ("drs", operation, {"sourceServerID": SERVER})
            for operation in (
                "start_replication",
                "stop_replication",
                "retry_data_replication",
                "disconnect_source_server",
                "delete_source_server",
            )
        ),
        ("drs", "update_launch_configuration", {"sourceServerID": SERVER, "copyPrivateIp": True}),
    ],
    "CompleteLaunchTemplates": [
        ("ec2", "create_launch_template_version", {"LaunchTemplateId": TEMPLATE, "LaunchTemplateData": {}}),
        ("ec2", "modify_launch_template", {"LaunchTemplateId": TEMPLATE, "DefaultVersion": "1"}),
    ],
    "CheckLaunchTemplates": [
        ("ec2", "describe_subnets", {}),
        ("ec2", "describe_network_interfaces", {}),
        ("iam", "get_instance_profile", {"InstanceProfileName": "web"}),
    ],
    "StopInstancesLaunchedInto": [("ec2", "stop_instances", {"InstanceIds": [STANDBY]})],
    "ReleaseInstancesLaunchedInto": [("drs", "delete_recovery_instance", {"recoveryInstanceID": INSTANCE})],
    "PassAutomationRoles": [
        (
            "ssm",
            "start_automation_execution",
            {"DocumentName": "Shop-Promote", "Parameters": {"AutomationAssumeRole": [ROLES + "runbooks"]}},
        )
    ],
    "Notify": [("sns", "publish", {"TopicArn": TOPIC, "Message": "started"})],
    "ReadQuotas": [("service-quotas", "list_service_quotas", {"ServiceCode": "drs"})],
    "SimulateOwnRights": [
        ("iam", "get_role", {"RoleName": "airflow"}),
        ("iam", "simulate_principal_policy", {"PolicySourceArn": ROLE, "ActionNames": ["drs:DescribeJobs"]}),
    ],
}
"""What takes each statement that neither a run nor DRS takes: service, operation, parameters."""


def test_the_whole_suffices_in_a_special_world_too(simulator: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    act_as_role(monkeypatch, list(GRANTS))
    assert _denied(simulator, [call for calls in CALLS.values() for call in calls]) == []


@pytest.mark.parametrize("sid", CALLS)
def test_what_takes_a_special_statement_is_denied_without_it(
    sid: str, simulator: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    act_as_role(monkeypatch, [grant for grant in GRANTS if grant.sid != sid])
    assert len(_denied(simulator, CALLS[sid])) == len(CALLS[sid])


def _denied(simulator: Simulation, calls: list[tuple[str, str, dict[str, Any]]]) -> list[str]:
    """Make calls; return the operations that IAM refused. What AWS thinks of the parameters is of no interest here."""
    role, before = boto3.Session(region_name="us-west-2"), len(simulator.log)
    template = drs_backends["123456789012"]["us-west-2"].servers[SERVER].launch_template_id
    for service, operation, parameters in calls:
        known = {name: template if value == TEMPLATE else value for name, value in parameters.items()}
        with contextlib.suppress(ClientError):
            getattr(role.client(service), operation)(**known)
    answered = simulator.log[before:]
    assert len([entry for entry in answered if "operation" in entry]) == len(calls)
    return [entry["operation"] for entry in answered if entry.get("status") == 403]


# How a launch template or a launch configuration makes DRS take a statement that other launches do not.
WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "DrsCreatesFleets": ({"InstanceRequirements": {"VCpuCount": {"Min": 2}, "MemoryMiB": {"Min": 4096}}}, {}),
    "DrsLaunchesIntoInstances": (
        {},
        {"launchIntoInstanceProperties": {"launchIntoEC2InstanceID": INSTANCE}, "copyTags": False},
    ),
    "DrsPassesInstanceProfiles": ({"IamInstanceProfile": {"Name": "drs-plan/web"}}, {}),
}


@pytest.mark.parametrize("sid", WAYS)
def test_drs_cannot_launch_in_a_special_way_without_its_statement(sid: str, simulator: Simulation) -> None:
    account, region = "123456789012", "us-west-2"
    template, configuration = WAYS[sid]
    server = drs_backends[account][region].servers[SERVER]

    def error(*grants: Grant) -> str | None:
        return LaunchPermissions(Caller(account, region, [policy(grants)])).to_launch(server)

    rest = [grant for grant in GRANTS if grant.sid != sid]
    assert error(*rest) is None
    server.launch_configuration.update(configuration)
    ec2 = boto3.client("ec2", region)
    version = ec2.create_launch_template_version(
        LaunchTemplateId=server.launch_template_id, SourceVersion="1", LaunchTemplateData=template
    )["LaunchTemplateVersion"]["VersionNumber"]
    ec2.modify_launch_template(LaunchTemplateId=server.launch_template_id, DefaultVersion=str(version))
    assert error(*GRANTS) is None
    assert "not authorized" in str(error(*rest))


def test_every_statement_is_taken_by_something() -> None:
    assert {grant.sid for grant in GRANTS} == {grant.sid for grant in EXERCISED} | set(CALLS) | set(WAYS)


def test_without_the_optional_rights_quotas_are_the_documented_ones(
    simulator: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    act_as_role(monkeypatch, EXERCISED)
    run(simulator)
    denied = {entry["operation"] for entry in simulator.log if entry.get("status") == 403}
    assert denied == {"ListServiceQuotas"}


def context_of(grant: Grant) -> dict[str, str | list[str]]:
    """A request that meets the conditions of a grant, and says nothing else."""
    context: dict[str, str | list[str]] = {}
    for operator, keys in grant.condition.items():
        for key, value in keys.items():
            values = value if isinstance(value, list) else [value]
            context[key] = "there" if operator == "Null" else values if operator.startswith("ForAny") else values[0]
    return context


@pytest.mark.parametrize("grant", GRANTS, ids=lambda grant: grant.sid)
def test_each_statement_grants_what_no_other_grants(grant: Grant) -> None:
    whole, others = policy(GRANTS), policy(other for other in GRANTS if other is not grant)
    asked = [(action, resource.replace("*", "x")) for action in grant.actions for resource in grant.resources]
    context = context_of(grant)
    assert {decision([whole], action, resource, context) for action, resource in asked} == {"allowed"}
    # ``implicitDeny`` of at least one: some statements overlap in an action on a resource, none as a whole.
    assert "implicitDeny" in {decision([others], action, resource, context) for action, resource in asked}


def test_servers_are_extended_with_each_statement_and_not_without(
    simulator: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = {"id": "s-00000000000000009", "hostname": "staged", "ebs_encryption": "CUSTOM", "tags": {"Team": "dba"}}
    world = {**SCENARIO, "accounts": [{"account": "222222222222", "servers": [staged]}]}

    def extend_as(grants: list[Grant]) -> None:
        with monkeypatch.context() as patch:
            act_as_role(patch, grants)
            drs = Drs(Clients.from_session(boto3.session.Session(region_name="us-west-2"), "us-west-2"))
            assert (len(drs.source_servers()), staging_accounts(drs)) == (1, [])
            (found,) = extensible_servers(drs, "222222222222")
            assert extend(drs, found)["tags"] == {"Team": "dba"}

    for left_out in EXTENSIONS:
        simulator.load(world)
        with pytest.raises(ClientError, match="AccessDenied"):
            extend_as([grant for grant in EXTENSIONS if grant is not left_out])
    simulator.load(world)
    extend_as(list(EXTENSIONS))


def test_launch_settings_are_applied_with_each_statement_and_not_without(
    simulator: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements = list(LAUNCH_SETTINGS)
    wanted = {"start": False, "instance_type": ("r5.large",), "subnet": {"tags": {"Tier": "db"}}}

    def apply_as(grants: list[Grant]) -> None:
        with monkeypatch.context() as patch:
            act_as_role(patch, grants)
            clients = Clients.from_session(boto3.session.Session(region_name="us-west-2"), "us-west-2")
            drs = Drs(clients)
            assert (len(drs.source_servers()), drs.jobs_since(None)) == (1, [])
            state = read(clients, SERVER)
            tagged = Resources(clients).resolve(wanted | {"security_groups": ({"tags": {"Tier": "db"}},)}, state)
            apply(clients, compare(state, tagged))

    for left_out in (*statements, None):
        simulator.load(SCENARIO)
        ec2 = boto3.client("ec2", "us-west-2")
        template = ec2.describe_launch_templates()["LaunchTemplates"][0]["LaunchTemplateId"]
        subnet = ec2.describe_subnets()["Subnets"][0]
        group = ec2.create_security_group(GroupName="db", Description="x", VpcId=subnet["VpcId"])["GroupId"]
        ec2.create_tags(Resources=[subnet["SubnetId"], group], Tags=[{"Key": "Tier", "Value": "db"}])
        if left_out is not None:
            with pytest.raises(ClientError, match=r"AccessDenied|UnauthorizedOperation"):
                apply_as([grant for grant in statements if grant is not left_out])
            continue
        apply_as(statements)
        # A template that is not DRS's is nobody's to write.
        ec2.delete_tags(Resources=[template], Tags=[{"Key": "AWSElasticDisasterRecoveryManaged"}])
        role = boto3.client("iam", "us-west-2")
        for name in role.list_role_policies(RoleName="airflow")["PolicyNames"]:
            role.delete_role_policy(RoleName="airflow", PolicyName=name)
        role.delete_role(RoleName="airflow")
        wanted["instance_type"] = ("r5.xlarge",)
        with pytest.raises(ClientError, match="UnauthorizedOperation"):
            apply_as(statements)
