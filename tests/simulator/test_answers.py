"""Answers that are kept: each is what it would be if it were made anew, and none reaches whoever may not see it."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.core.serialize import EC2Serializer, XFormedAttributePicker

from drs_provider.simulator.clock import Clock
from drs_provider.simulator.moto_compat import fast_answers
from drs_provider.simulator.simulation import Simulation

REGION, ORIGIN = "us-west-2", "us-east-1"
IDS = [f"s-{number:017d}" for number in range(6)]
SCENARIO: dict[str, Any] = {
    "servers": [
        {"id": IDS[0], "hostname": "h0", "origin_region": ORIGIN, "durations": {"initial_sync": 300}},
        {"id": IDS[1], "hostname": "h1", "lag": "PT30S", "lag_growth": 0.5},
        {"id": IDS[2], "hostname": "h2", "changes": [{"after": 300, "replication": "STALLED"}]},
        {"id": IDS[3], "hostname": "h3", "outcome": ["failed", "launched"]},
        {"id": IDS[4], "hostname": "h4", "os": "windows", "launched": "drill"},
        {"id": IDS[5], "hostname": "h5", "origin": "on_premises", "failback_client": 60},
    ],
    "accounts": [{"region": ORIGIN}],
    "documents": {"Warm": {"kind": "Command", "duration": 40}, "Move": {"kind": "Automation", "duration": 90}},
}


def client(service: str, region: str = REGION, **more: Any) -> Any:
    return boto3.client(service, region, config=Config(retries={"total_max_attempts": 1}), **more)


class World:
    """Clients, and what they may do by chance: read, write, let time pass."""

    def __init__(self, simulator: Simulation, seed: int) -> None:
        self.simulator = simulator
        self.random = random.Random(seed)
        self.drs, self.ec2, self.ssm = (client(name) for name in ("drs", "ec2", "ssm"))
        self.origin = client("drs", ORIGIN)
        self.commands: list[str] = []
        self.executions: list[str] = []
        self.hits = 0

    def instances(self) -> list[str]:
        found = self.drs.describe_recovery_instances()["items"]
        return [one["recoveryInstanceID"] for one in found] or ["i-" + "0" * 17]

    def read(self) -> None:
        """Ask twice and then without what was kept: three times the same."""
        jobs = [one["jobID"] for one in self.drs.describe_jobs()["items"]] or ["drsjob-" + "0" * 17]
        pick = self.random.choice
        some = {"filters": {"sourceServerIDs": self.random.sample(IDS, 2)}}
        reads: list[tuple[Callable[..., Any], dict[str, Any]]] = [
            (self.drs.describe_source_servers, pick(({}, some, {"maxResults": 2}))),
            (self.origin.describe_source_servers, {}),
            (self.drs.describe_jobs, pick(({}, {"filters": {"jobIDs": [pick(jobs)]}}, {"maxResults": 1}))),
            (self.drs.describe_job_log_items, {"jobID": pick(jobs)}),
            (self.drs.describe_recovery_instances, pick(({}, some))),
            (self.drs.describe_recovery_snapshots, {"sourceServerID": pick(IDS)}),
            (self.drs.get_launch_configuration, {"sourceServerID": pick(IDS)}),
            (self.drs.list_tags_for_resource, {"resourceArn": self.arn(pick(IDS))}),
            (self.ec2.describe_instances, {}),
            (self.ec2.describe_instance_status, {"IncludeAllInstances": pick((True, False))}),
            (self.ec2.describe_launch_template_versions, {"Versions": ["$Default"]}),
            (self.ec2.describe_tags, {}),
            (self.ssm.describe_instance_information, {}),
            (self.ssm.list_commands, {}),
            (self.ssm.list_command_invocations, {"Details": True}),
            (self.ssm.describe_automation_executions, {}),
        ]
        reads += [(self.ssm.get_automation_execution, {"AutomationExecutionId": one}) for one in self.executions]
        for call, request in self.random.sample(reads, 5):
            first, again = answer(call, request), answer(call, request)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(self.simulator.answers, "find", lambda key: None)
                anew = answer(call, request)
            assert first == again == anew, (call.__name__, request)

    def write(self) -> None:
        pick = self.random.choice
        server, instance = pick(IDS), pick(self.instances())
        drill = {"sourceServers": [{"sourceServerID": one} for one in self.random.sample(IDS, 2)], "isDrill": True}
        size = {"InstanceType": pick(("t3.large", "t3.small", "c5.large"))}
        named = {"LaunchTemplateName": f"{server}-launch-template"}
        writes: list[tuple[Callable[..., Any], dict[str, Any]]] = [
            (self.drs.start_recovery, drill),
            (self.drs.start_recovery, drill),
            (self.drs.terminate_recovery_instances, {"recoveryInstanceIDs": [instance]}),
            (self.drs.reverse_replication, {"recoveryInstanceID": instance}),
            (self.drs.tag_resource, {"resourceArn": self.arn(server), "tags": {"n": str(self.random.random())}}),
            (self.drs.stop_replication, {"sourceServerID": server}),
            (self.drs.start_replication, {"sourceServerID": server}),
            (self.drs.update_launch_configuration, {"sourceServerID": server, "copyTags": pick((True, False))}),
            (self.ec2.stop_instances, {"InstanceIds": [instance]}),
            (self.ec2.start_instances, {"InstanceIds": [instance]}),
            (self.ec2.create_tags, {"Resources": [instance], "Tags": [{"Key": "k", "Value": pick("abc")}]}),
            (self.ec2.create_launch_template_version, {**named, "SourceVersion": "1", "LaunchTemplateData": size}),
            (self.ec2.modify_launch_template, {**named, "DefaultVersion": "2"}),
            (self.ssm.send_command, {"InstanceIds": [instance], "DocumentName": "Warm"}),
        ]
        call, request = pick(writes)
        answer(call, request)
        if self.random.random() < 0.2:
            self.executions.append(self.ssm.start_automation_execution(DocumentName="Move")["AutomationExecutionId"])

    def pass_time(self) -> None:
        self.simulator.advance(self.random.choice((0.001, 0.4, 3, 19, 21, 60, 200, 700)))

    def disturb(self) -> None:
        if self.random.random() < 0.5:
            self.simulator.clear_faults()
            return
        operation = self.random.choice(("DescribeJobs", "DescribeInstances", "ListCommands"))
        fault = self.random.choice(({"stale": 30}, {"page_size": 1}))
        self.simulator.add_fault(operation, **fault)

    def arn(self, server: str) -> str:
        return f"arn:aws:drs:{REGION}:123456789012:source-server/{server}"


def answer(call: Callable[..., Any], request: dict[str, Any]) -> Any:
    """What a call answers, or the error that it ends in."""
    try:
        found = call(**request)
    except ClientError as error:
        return error.response["Error"]
    found.pop("ResponseMetadata")
    return found


@pytest.mark.parametrize("seed", range(3))
def test_what_was_kept_is_what_would_be_made_anew(drs_simulator, seed, monkeypatch):
    drs_simulator.load(SCENARIO)
    drs_simulator.freeze()
    world = World(drs_simulator, seed)
    hits = 0
    find = drs_simulator.answers.find

    def counted(key: Any) -> Any:
        nonlocal hits
        found = find(key)
        hits += found is not None
        return found

    monkeypatch.setattr(drs_simulator.answers, "find", counted)
    steps = [world.read, world.write, world.pass_time, world.disturb]
    for _ in range(45):
        world.random.choices(steps, weights=(4, 3, 3, 1))[0]()
    assert hits > 30
    events = {entry["event"] for entry in drs_simulator.log if "event" in entry}
    assert "LAUNCH_END" in events, "the draw is too tame to show anything"


def test_time_alone_changes_what_shows_it(drs_simulator):
    """A lag that grows, an agent's last sign, a recovery point's age: nobody wrote anything."""
    drs_simulator.load(SCENARIO)
    drs_simulator.freeze()
    drs = client("drs")

    def server(number: int) -> dict[str, Any]:
        found: dict[str, Any] = drs.describe_source_servers(filters={"sourceServerIDs": [IDS[number]]})["items"][0]
        return found

    lags, states, seen = set(), set(), set()
    for _ in range(10):
        lags.add(server(1)["dataReplicationInfo"]["lagDuration"])
        states.add(server(2)["dataReplicationInfo"]["dataReplicationState"])
        seen.add(server(0)["lifeCycle"]["lastSeenByServiceDateTime"])
        drs_simulator.advance(40)
    assert (len(lags), states, len(seen)) == (10, {"CONTINUOUS", "STALLED"}, 10)


def test_a_clock_that_runs_makes_no_old_answer(drs_simulator):
    drs_simulator.load(SCENARIO, speed=600.0)
    drs = client("drs")
    job = drs.start_recovery(isDrill=True, sourceServers=[{"sourceServerID": IDS[0]}])["job"]["jobID"]
    ends = {}
    while "JOB_END" not in ends:
        items = drs.describe_job_log_items(jobID=job)["items"]
        status = drs.describe_jobs(filters={"jobIDs": [job]})["items"][0]["status"]
        ends = {one["event"]: one for one in items}
        assert "JOB_END" not in ends or status == "COMPLETED", "the later answer is not the older state"
    assert [one["event"] for one in drs_simulator.log if one.get("event") == "JOB_END"] == ["JOB_END"]


def test_whoever_may_not_see_it_gets_no_kept_answer(drs_simulator):
    drs_simulator.load({**SCENARIO, "iam": True})
    drs_simulator.freeze()
    iam, drs = client("iam"), client("drs")
    iam.create_user(UserName="stranger")
    key = iam.create_access_key(UserName="stranger")["AccessKey"]
    stranger = client("drs", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    allowed = {"Effect": "Allow", "Action": "drs:DescribeSourceServers", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    for _ in range(2):
        assert len(drs.describe_source_servers()["items"]) == 6
        with pytest.raises(ClientError, match="AccessDenied"):
            stranger.describe_source_servers()
    iam.put_user_policy(UserName="stranger", PolicyName="p", PolicyDocument=document)
    assert len(stranger.describe_source_servers()["items"]) == 6
    iam.delete_user_policy(UserName="stranger", PolicyName="p")
    with pytest.raises(ClientError, match="AccessDenied"):
        stranger.describe_source_servers()


def test_a_kept_answer_waits_for_nobody(drs_simulator):
    """What is being written holds the lock of all backends; what nobody has changed is answered meanwhile."""
    drs_simulator.load(SCENARIO)
    drs_simulator.freeze()
    drs = client("drs")
    before = drs.describe_source_servers()["items"]
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with drs_simulator.clock.lock:
            taken.set()
            done.wait(60)

    with ThreadPoolExecutor(2) as pool:
        holder = pool.submit(hold)
        try:
            assert taken.wait(60)
            assert pool.submit(drs.describe_source_servers).result(60)["items"] == before
            assert not holder.done()
        finally:
            done.set()
    ids = [drs.describe_source_servers()["ResponseMetadata"]["RequestId"] for _ in range(2)]
    assert ids[0] != ids[1]


def test_a_version_ends_with_what_is_due():
    clock = Clock()
    clock.freeze()
    before = clock.settled()
    clock.call_in(10, lambda: None)
    assert clock.settled() == before
    clock.advance(5)
    assert clock.settled() == before
    clock.advance(5)
    assert clock.settled() == (before or 0) + 1


@pytest.mark.parametrize(
    "operation", ["describe_instances", "describe_instance_status", "describe_volumes", "describe_launch_templates"]
)
def test_the_faster_ways_answer_as_moto_does(drs_simulator, monkeypatch, operation):
    drs_simulator.load({"servers": [{**one, "launched": "drill"} for one in SCENARIO["servers"][:3]]})
    drs_simulator.freeze()
    ec2, bodies = client("ec2"), []
    instance = ec2.describe_instances()["Reservations"][0]["Instances"][0]["InstanceId"]
    ec2.create_tags(Resources=[instance], Tags=[{"Key": "a<b", "Value": "&\"'>"}, {"Key": "empty", "Value": ""}])
    ec2.meta.events.register("before-parse", lambda response_dict, **_: bodies.append(response_dict["body"]))
    getattr(ec2, operation)()
    drs_simulator.clock.changed()
    monkeypatch.setattr(EC2Serializer, "_serialize_body", fast_answers._serialize_body)
    monkeypatch.delattr(XFormedAttributePicker, "__call__")
    getattr(ec2, operation)()
    assert bodies[0] == bodies[1]
    assert len(bodies[0]) > 500
