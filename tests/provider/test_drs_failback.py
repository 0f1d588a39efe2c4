"""The way back by the operators: what AWS shows at every step, what must never happen, and each call made once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from airflow.providers.common.compat.sdk import AirflowException

from drs_provider.aws.drs.failback import CycleState, cycles_of
from drs_provider.aws.drs.failback_guard import check_stop_failback
from drs_provider.aws.faults import ActionFailed
from drs_provider.operators import drs_failback
from drs_provider.operators.drs import DrsStartRecoveryOperator, DrsTerminateRecoveryInstancesOperator
from drs_provider.operators.drs_failback import (
    DrsDeleteRecoveryInstanceOperator,
    DrsReverseReplicationOperator,
    DrsStopFailbackOperator,
)
from drs_provider.operators.drs_replication import (
    DrsDeleteSourceServerOperator,
    DrsDisconnectSourceServerOperator,
    DrsRetryDataReplicationOperator,
    DrsStartReplicationOperator,
    DrsStopReplicationOperator,
)
from drs_provider.readiness.grants import GRANTS
from drs_provider.simulator.drs.templates import recovery_profile
from tests.provider.failback_world import World
from tests.provider.test_examples import load
from tests.readiness.test_iam_enforced import act_as_role
from tests.simulator.drs.failback_steps import A1, B1, ORIGIN, RECOVERY


@pytest.fixture
def world(drs_simulator: Any, task_context: Any, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(drs_simulator, task_context, monkeypatch)


STATES = {
    "recover": "recovered",
    "reverse": "reversed-syncing",
    "sync": "reversed-ready",
    "repair_template": "reversed-ready",
    "launch_back": "launched-back",
    "protect_again": "re-protecting",
    "wait_protected": "protected",
    "stop_replication": "protected",
    "stop_failback": "protected",
    "terminate": "protected",
    "delete_recovery_instance": "protected",
    "disconnect": "protected",
    "delete": "retired",
}


@pytest.mark.parametrize("into", [False, True], ids=["new", "into the original"])
def test_what_aws_shows_tells_the_state_at_every_step(world: World, into: bool) -> None:
    client = world.client
    for cycle in range(2 if into else 1):
        assert world.cycle().state is CycleState.RETIRED
        for step, state in STATES.items():
            if into and step == "repair_template":
                if cycle:
                    boto3.client("ec2", ORIGIN).stop_instances(InstanceIds=[A1])
                    client.advance(31)
                world.launch_into_the_original()
            else:
                getattr(client, step)()
            shown = world.cycle()
            assert (step, shown.state.value) == (step, state)
            assert not shown.leftovers, "what an earlier cycle left in ARNs is not taken for a server"
            if shown.failback is not None:
                there = cycles_of(world.hook(ORIGIN), lambda place: world.hook(place.region), [shown.failback])
                assert there[client.a2].state is shown.state, "from the other side it is the same"


# What must never happen: (up to which step, what is done by mistake, the operation, what the refusal says).
def _stop_a2_and_recover(world: World) -> None:
    client = world.client
    client.stop_replication()
    client.stop_failback()
    client.terminate()
    client.recover()


def _launch_drill(world: World) -> None:
    client = world.client
    client.repair_template()
    client.origin.start_recovery(isDrill=True, sourceServers=[{"sourceServerID": client.a2}])
    client.advance(700)
    client.a3 = client.origin.describe_recovery_instances()["items"][0]["recoveryInstanceID"]


def _lag(world: World) -> None:
    boto3.client("ec2", RECOVERY).stop_instances(InstanceIds=[world.client.b2])
    world.client.advance(600)


Mistake = tuple[str, Callable[[World], Any], Callable[[World], Any], str, str]
NOTHING: Callable[[World], Any] = lambda world: None  # noqa: E731
MISTAKES: dict[str, Mistake] = {
    "a launch of A2 while A3 lives": (
        "stop_replication",
        NOTHING,
        lambda w: w.run(DrsStartRecoveryOperator, [w.client.a2], is_drill=False, replace_instances=[w.client.a3]),
        "StartRecovery",
        "is production, which a launch would delete",
    ),
    "a drill of A2 while A3 lives": (
        "protect_again",
        NOTHING,
        lambda w: w.run(DrsStartRecoveryOperator, [w.client.a2], is_drill=True, replace_instances=[w.client.a3]),
        "StartRecovery",
        "is production, which a launch would delete",
    ),
    "a drill into the original": (
        "repair_template",
        lambda w: w.launch_into_the_original(),
        lambda w: w.run(DrsStartRecoveryOperator, [w.client.a2], is_drill=True),
        "StartRecovery",
        f"launched into {A1}: a drill would overwrite the original",
    ),
    "a launch back while lag has returned": (
        "launch_back",
        _lag,
        lambda w: w.run(DrsStartRecoveryOperator, [w.client.a2], is_drill=False),
        "StartRecovery",
        r"is not in sync within 0s \(STALLED \(AGENT_NOT_SEEN\)",
    ),
    "termination of A3": (
        "protect_again",
        NOTHING,
        lambda w: w.run(DrsTerminateRecoveryInstancesOperator, [w.client.a3], drills_only=False),
        "TerminateRecoveryInstances",
        "was failed back by s-.* and is production",
    ),
    "StopReplication of B1": (
        "stop_replication",
        NOTHING,
        lambda w: w.run(DrsStopReplicationOperator, [B1], RECOVERY),
        "StopReplication",
        "is a forward server .*every point in time",
    ),
    "DisconnectSourceServer of B1": (
        "recover",
        NOTHING,
        lambda w: w.run(DrsDisconnectSourceServerOperator, [B1], RECOVERY),
        "DisconnectSourceServer",
        "of direction FAILOVER, not FAILBACK",
    ),
    "StopReplication of A2 before A3 is protected": (
        "protect_again",
        NOTHING,
        lambda w: w.run(DrsStopReplicationOperator, [w.client.a2]),
        "StopReplication",
        "is production and not protected yet",
    ),
    "StopReplication of A2 while B1 rescans": (
        "wait_protected",
        lambda w: w.client.advance(700),
        lambda w: w.run(DrsStopReplicationOperator, [w.client.a2]),
        "StopReplication",
        r"is production and not protected yet.*CONTINUOUS, \d\d % .*lag",
    ),
    "StopFailback of B2 before A3 is protected": (
        "protect_again",
        NOTHING,
        lambda w: w.run(DrsStopFailbackOperator, [w.client.b2], RECOVERY),
        "StopFailback",
        "is production and not protected yet",
    ),
    "StopFailback of A3": (
        "stop_replication",
        NOTHING,
        lambda w: check_stop_failback(w.client.instance(w.client.origin, w.client.a3), w.cycle()),
        "StopFailback",
        "was failed back and is production",
    ),
    "DeleteRecoveryInstance of A3 before it is protected": (
        "wait_protected",
        NOTHING,
        lambda w: w.run(DrsDeleteRecoveryInstanceOperator, [w.client.a3]),
        "DeleteRecoveryInstance",
        "is production and not protected yet",
    ),
    "StartReplication of A2 after its launch": (
        "stop_failback",
        NOTHING,
        lambda w: w.run(DrsStartReplicationOperator, [w.client.a2]),
        "StartReplication",
        "was launched back",
    ),
    "a second reverse of B2 after its failback": (
        "stop_failback",
        NOTHING,
        lambda w: w.run(DrsReverseReplicationOperator, [w.client.b2], RECOVERY),
        "ReverseReplication",
        "was failed back already",
    ),
    "the reverse of what a drill of the failback launched": (
        "launch_back",
        _launch_drill,
        lambda w: w.run(DrsReverseReplicationOperator, [w.client.a3]),
        "ReverseReplication",
        "was launched by a drill",
    ),
    "a failback over what another one left": (
        "launch_back",
        _stop_a2_and_recover,
        lambda w: w.run(DrsReverseReplicationOperator, [w.client.b2], RECOVERY),
        "ReverseReplication",
        "belongs to another failback",
    ),
    "protection of A3 after another recovery": (
        "protect_again",
        _stop_a2_and_recover,
        lambda w: w.run(DrsReverseReplicationOperator, [w.client.a3]),
        "ReverseReplication",
        "two failbacks must not be mixed",
    ),
    "disconnecting an A2 that replicates": (
        "sync",
        NOTHING,
        lambda w: w.run(DrsDisconnectSourceServerOperator, [w.client.a2]),
        "DisconnectSourceServer",
        "stop its replication first",
    ),
}


def refuses(world: World, name: str) -> None:
    _, prepare, mistake, operation, says = MISTAKES[name]
    prepare(world)
    before = len(world.calls(operation))
    with pytest.raises((AirflowException, ActionFailed), match=f"(?s){says}"):
        mistake(world)
    assert len(world.calls(operation)) == before, f"{name}: nothing was asked of DRS"


def test_what_must_never_happen(world: World) -> None:
    """Each mistake before the step at which it could be made; the failback goes on, since nothing was done."""
    tried = 0
    for step in world.client.ORDER:
        for name, mistake in MISTAKES.items():
            if mistake[0] == step and mistake[1] is NOTHING:
                refuses(world, name)
                tried += 1
        getattr(world.client, step)()
    assert tried == len([one for one in MISTAKES.values() if one[1] is NOTHING])
    assert world.cycle().state is CycleState.RETIRED


@pytest.mark.parametrize("name", [name for name, mistake in MISTAKES.items() if mistake[1] is not NOTHING])
def test_what_must_never_happen_in_a_special_world(world: World, name: str) -> None:
    world.client.until(MISTAKES[name][0])
    refuses(world, name)


def test_a_person_may_launch_back_what_there_is(world: World) -> None:
    world.client.until("launch_back")
    _lag(world)
    result = world.run(DrsStartRecoveryOperator, [world.client.a2], is_drill=False, failback_max_lag=None)
    assert len(result["jobs"]) == 1


def _ids(world: World) -> dict[str, tuple[Any, str, str]]:
    client = world.client
    return {
        "stop_replication": (DrsStopReplicationOperator, client.a2, ORIGIN),
        "stop_failback": (DrsStopFailbackOperator, client.b2, RECOVERY),
        "delete_recovery_instance": (DrsDeleteRecoveryInstanceOperator, client.a3, ORIGIN),
        "disconnect": (DrsDisconnectSourceServerOperator, client.a2, ORIGIN),
        "delete": (DrsDeleteSourceServerOperator, client.a2, ORIGIN),
    }


OPERATIONS = {
    "stop_replication": "StopReplication",
    "stop_failback": "StopFailback",
    "delete_recovery_instance": "DeleteRecoveryInstance",
    "disconnect": "DisconnectSourceServer",
    "delete": "DeleteSourceServer",
}


@pytest.mark.parametrize("fault", [None, "after", "before"])
def test_what_is_retired_is_asked_for_once(world: World, fault: str | None) -> None:
    """Whether the answer was lost or the call; and once more a week later, when the task is cleared."""
    client = world.client.until("stop_replication")
    for step, operation in OPERATIONS.items():
        if step == "delete_recovery_instance":
            client.terminate()
        if fault:
            world.simulator.add_fault(operation, error="InternalServerException", times=1, when=fault)
        kind, one, region = _ids(world)[step]
        first = world.run(kind, [one], region)
        assert list(first) == [one]
        assert world.run(kind, [one], region) == first
        assert len(world.calls(operation)) == (2 if fault == "before" else 1)
    assert world.cycle().state is CycleState.RETIRED
    client.advance(86400 * 7)
    for step in OPERATIONS:
        kind, one, region = _ids(world)[step]
        assert list(world.run(kind, [one], region)) == [one]
    assert {len(world.calls(operation)) for operation in OPERATIONS.values()} == {2 if fault == "before" else 1}


def test_before_a_launch_back_everything_can_be_undone_and_begun_again(world: World) -> None:
    client = world.client.until("sync")
    assert world.run(DrsStopReplicationOperator, [client.a2]) == {client.a2: "STOPPED"}
    assert world.run(DrsStopFailbackOperator, [client.b2], RECOVERY) == {client.b2: "FAILBACK_NOT_STARTED"}
    assert world.cycle().state is CycleState.RECOVERED
    assert world.run(DrsStartReplicationOperator, [client.a2]) == {client.a2: "INITIATING"}
    assert world.run(DrsStartReplicationOperator, [client.a2]) == {client.a2: "INITIATING"}
    assert world.calls("StartReplication") == [None]
    client.sync()
    assert world.cycle().state is CycleState.REVERSED_READY
    for kind in (DrsStopReplicationOperator, DrsDisconnectSourceServerOperator, DrsDeleteSourceServerOperator):
        world.run(kind, [client.a2])
    assert world.cycle().state is CycleState.RECOVERED
    arn = world.run(DrsReverseReplicationOperator, [client.b2], RECOVERY)[client.b2]
    assert not arn.endswith(client.a2)


def test_only_what_stalls_is_tried_again(world: World) -> None:
    client = world.client.until("launch_back")
    assert world.run(DrsRetryDataReplicationOperator, [client.a2]) == {client.a2: "CONTINUOUS"}
    assert world.calls("RetryDataReplication") == []
    _lag(world)
    world.simulator.add_fault("RetryDataReplication", error="InternalServerException", times=1, when="before")
    result = world.run(DrsRetryDataReplicationOperator, [client.a2])
    assert world.calls("RetryDataReplication")[1:] == [None]
    assert result[client.a2] in ("RESCAN", "STALLED")


def test_what_was_failed_back_is_protected_by_a_call_of_its_own(world: World) -> None:
    """The original's id never changed: the forward server names it, CONTINUOUS, before anything was reversed."""
    client = world.client.until("repair_template")
    world.launch_into_the_original()
    client.launch_back()
    assert client.hint(client.recovery, B1) == client.a3 == A1 and client.whole(client.recovery, B1)
    before = len(world.calls("ReverseReplication"))
    for _ in range(2):
        (arn,) = world.run(DrsReverseReplicationOperator, [client.a3]).values()
        assert arn.endswith(B1)
    # The agent initialises for a minute; then one call is accepted, and no other is made.
    assert world.calls("ReverseReplication")[before:].count(None) == 1
    assert world.cycle().state is CycleState.RE_PROTECTING


def test_it_pauses_in_the_triggerer_while_the_agent_initialises(
    world: World, task_context: Any, run_task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drs_failback, "PAUSE_SECONDS", 0.1)
    world.client.recover()
    where = {"aws_conn_id": None, "region_name": RECOVERY}
    task = DrsReverseReplicationOperator(
        task_id="reverse", recovery_instance_ids=[world.client.b2], deferrable=True, **where
    )
    outcome = run_task(task, task_context(task), while_deferred=lambda trigger: world.simulator.advance(25))
    assert outcome.triggers and list(outcome.value) == [world.client.b2]
    answers = world.calls("ReverseReplication")
    assert answers == ["ConflictException"] * len(outcome.triggers) + [None]


def test_one_that_drs_refuses_does_not_keep_the_others(world: World) -> None:
    client = world.client.until("stop_replication")
    unknown = "s-" + "9" * 17
    world.simulator.add_fault("StopFailback", error="AccessDeniedException", message="not you", times=1)
    with pytest.raises(AirflowException, match=f"{client.b2}: AccessDeniedException: not you"):
        world.run(DrsStopFailbackOperator, [client.b2], RECOVERY)
    with pytest.raises(AirflowException, match=f"{unknown} is not a source server here"):
        world.run(DrsStartReplicationOperator, [unknown, client.a2])
    assert world.run(DrsStopReplicationOperator, [unknown, client.a2]) == {unknown: None, client.a2: "STOPPED"}


# The example: whole cycles, which end where they began.
HISTORY = ("lifeCycle", "lastLaunchResult", "reversedDirectionSourceServerArn")
"""What a source server says of the past: its launches, and the ARN of a server that is gone."""


def resting_state(world: World) -> dict[str, Any]:
    """Every object of DRS and EC2 at both ends, without ids, times, template versions, volumes and history."""
    return {region: _objects(region) for region in (RECOVERY, ORIGIN)}


def _objects(region: str) -> dict[str, Any]:
    drs, ec2 = boto3.client("drs", region), boto3.client("ec2", region)
    servers = []
    for server in drs.describe_source_servers()["items"]:
        settings = drs.get_launch_configuration(sourceServerID=server["sourceServerID"])
        settings.pop("ResponseMetadata")
        template = {"LaunchTemplateId": settings["ec2LaunchTemplateID"], "Versions": ["$Default"]}
        (version,) = ec2.describe_launch_template_versions(**template)["LaunchTemplateVersions"]
        for disk in version["LaunchTemplateData"]["BlockDeviceMappings"]:
            disk["Ebs"].pop("SnapshotId", None)
        shown = {name: value for name, value in server.items() if name not in HISTORY}
        protects = shown["sourceProperties"]["identificationHints"].pop("awsInstanceID")
        (group,) = boto3.client("ec2", ORIGIN).describe_instances(InstanceIds=[protects])["Reservations"]
        protected = group["Instances"][0]["State"]["Name"]
        servers.append([shown, settings, version["LaunchTemplateData"], f"protects what is {protected}"])
    return {
        "servers": servers,
        "recovery instances": drs.describe_recovery_instances()["items"],
        "jobs": [job["status"] for job in drs.describe_jobs()["items"] if job["status"] != "COMPLETED"],
        "instances": [
            {
                **{key: one.get(key) for key in ("InstanceType", "SubnetId", "SecurityGroups", "State")},
                "tags": sorted(
                    (tag["Key"], tag["Value"])
                    for tag in one.get("Tags") or ()
                    if not tag["Key"].startswith("AWSElasticDisasterRecovery")  # Ids of servers and jobs.
                ),
            }
            for group in ec2.describe_instances()["Reservations"]
            for one in group["Instances"]
            if one["State"]["Name"] != "terminated"
        ],
    }


CYCLES = 3


def run_original_as_launched(world: World, origin: Any) -> None:
    """Make the original what a launch back by the example makes, and run it."""
    subnet = origin.describe_subnets()["Subnets"][0]
    origin.create_tags(Resources=[subnet["SubnetId"]], Tags=[{"Key": "Name", "Value": "shop-private-a"}])
    groups = [{"Name": "vpc-id", "Values": [subnet["VpcId"]]}, {"Name": "group-name", "Values": ["default"]}]
    (group,) = origin.describe_security_groups(Filters=groups)["SecurityGroups"]
    origin.modify_instance_attribute(InstanceId=A1, InstanceType={"Value": "c5.large"})
    origin.modify_instance_attribute(InstanceId=A1, Groups=[group["GroupId"]])
    origin.delete_tags(Resources=[A1], Tags=[{"Key": "AWSDRS"}])
    origin.start_instances(InstanceIds=[A1])
    world.client.advance(120)


def test_the_example_ends_where_it_began(
    drs_simulator: Any, task_context: Any, monkeypatch: pytest.MonkeyPatch, run_dag: Any
) -> None:
    world = World(drs_simulator, task_context, monkeypatch, iam=True)
    origin = boto3.client("ec2", ORIGIN)
    run_original_as_launched(world, origin)
    before, running = resting_state(world), A1
    # The role that DRS makes with an account; then the tasks have the published policies, in both regions.
    recovery_profile("123456789012")
    act_as_role(monkeypatch, list(GRANTS))
    for cycle in range(CYCLES):
        origin.terminate_instances(InstanceIds=[running])
        world.client.recover()
        dag = load("drs_failback")
        for task in dag.tasks:
            if hasattr(task, "deferrable"):
                task.deferrable = False
        calls = len(world.calls("ReverseReplication"))
        results = run_dag(dag, recovery_instance_ids=[world.client.b2])
        (running,) = results["failed_back"]
        assert resting_state(world) == before, f"after cycle {cycle + 1}"
        assert world.cycle().state is CycleState.RETIRED
        assert world.calls("ReverseReplication")[calls:].count(None) == 2
    for operation in ("StopReplication", "StopFailback", "DeleteRecoveryInstance", "DeleteSourceServer"):
        assert world.calls(operation) == [None] * CYCLES, "each call once a cycle"
    assert world.calls("StartRecovery").count(None) == 2 * CYCLES
    assert [entry for entry in drs_simulator.log if entry.get("status") == 403] == []
