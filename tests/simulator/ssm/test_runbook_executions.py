"""Runbooks that act: documents whose content is known do to the simulated region what they say."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError

from drs_provider.simulator.scenario_file import ScenarioError, load_scenario

REGION = "us-west-2"


class Region:
    """A frozen region with a scenario's documents and some instances, their agents online."""

    def __init__(self, simulator: Any, documents: dict[str, Any] | None = None, **scenario: Any) -> None:
        simulator.load({"documents": documents or {}, "instances": [{"name": "a"}, {"name": "b"}], **scenario})
        simulator.freeze()
        self.simulator = simulator
        self.ssm, self.ec2 = (boto3.client(name, REGION) for name in ("ssm", "ec2"))
        shown = self.ec2.describe_instances()["Reservations"]
        self.instances = [one["InstanceId"] for each in shown for one in each["Instances"]]

    def run(self, document: str, seconds: float = 600, **parameters: list[str]) -> dict[str, Any]:
        """Start a document, let time pass, and show the execution."""
        more = {"Parameters": parameters} if parameters else {}
        started = self.ssm.start_automation_execution(DocumentName=document, **more)["AutomationExecutionId"]
        self.simulator.advance(seconds)
        return self.get(started)

    def get(self, execution: str) -> dict[str, Any]:
        return dict(self.ssm.get_automation_execution(AutomationExecutionId=execution)["AutomationExecution"])

    def states(self) -> list[str]:
        shown = self.ec2.describe_instances(InstanceIds=self.instances)["Reservations"]
        found = {one["InstanceId"]: one["State"]["Name"] for each in shown for one in each["Instances"]}
        return [found[one] for one in self.instances]


def statuses(execution: dict[str, Any]) -> dict[str, str]:
    return {step["StepName"]: step["StepStatus"] for step in execution["StepExecutions"]}


def runbook(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"content": {"schemaVersion": "0.3", "mainSteps": list(steps), **more}}


def test_the_runbooks_of_aws_act_on_ec2(drs_simulator):
    region = Region(drs_simulator)
    one = region.instances[0]
    stopped = region.run("AWS-StopEC2Instance", InstanceId=[one])
    assert (stopped["AutomationExecutionStatus"], region.states()) == ("Success", ["stopped", "running"])
    assert statuses(stopped) == {"stopInstances": "Success", "forceStopInstances": "Success"}
    started = region.run("AWS-StartEC2Instance", InstanceId=[one])
    assert (started["AutomationExecutionStatus"], region.states()) == ("Success", ["running", "running"])
    began = region.ec2.describe_instances(InstanceIds=[one])["Reservations"][0]["Instances"][0]["LaunchTime"]
    restarted = region.run("AWS-RestartEC2Instance", InstanceId=region.instances)
    assert (restarted["AutomationExecutionStatus"], region.states()) == ("Success", ["running", "running"])
    shown = region.ec2.describe_instances(InstanceIds=[one])["Reservations"][0]["Instances"][0]
    assert shown["LaunchTime"] > began, "it was stopped meanwhile"
    calls = [entry["operation"] for entry in drs_simulator.log if entry.get("service") == "ec2"]
    assert calls.count("StopInstances") == 4 and calls.count("StartInstances") == 2


@pytest.mark.parametrize("document", ["AWS-StopEC2Instance", "AWS-StartEC2Instance", "AWS-RestartEC2Instance"])
@pytest.mark.parametrize("instance", ["i-00000000000000000", "not-an-instance"])
def test_the_runbooks_of_aws_fail_on_ids_that_are_no_instances(drs_simulator, document, instance):
    region = Region(drs_simulator)
    done = region.run(document, InstanceId=[instance, region.instances[0]])
    assert done["AutomationExecutionStatus"] == "Failed"
    assert "InvalidInstanceID" in done["FailureMessage"]
    assert region.states() == ["running", "running"]


def test_a_runbook_waits_for_the_state_and_times_out(drs_simulator):
    change = {"InstanceIds": ["{{ Id }}"], "DesiredState": "stopped", "CheckStateOnly": True}
    step = {"name": "check", "action": "aws:changeInstanceState", "timeoutSeconds": 60, "inputs": change}
    region = Region(drs_simulator, {"Check": runbook(step, parameters={"Id": {"type": "String"}})})
    waiting = region.run("Check", 59, Id=[region.instances[0]])
    assert waiting["AutomationExecutionStatus"] == "InProgress"
    region.simulator.advance(5)
    assert region.get(waiting["AutomationExecutionId"])["AutomationExecutionStatus"] == "TimedOut"
    other = region.run("Check", 10, Id=[region.instances[0]])
    region.ec2.stop_instances(InstanceIds=[region.instances[0]])
    region.simulator.advance(45)
    assert region.get(other["AutomationExecutionId"])["AutomationExecutionStatus"] == "Success"


PROMOTE = """
schemaVersion: "0.3"
description: Promote a replica and point DNS at it
parameters:
  Zone: {type: String}
  Names: {type: StringList, default: [db]}
outputs: [find.Id, point.Change]
mainSteps:
  - name: find
    action: aws:executeAwsApi
    inputs:
      Service: ec2
      Api: describe_instances
      Filters:
        - {Name: "tag:Name", Values: ["{{ Names }}"]}
    outputs:
      - {Name: Id, Selector: "$.Reservations[0].Instances[0].InstanceId", Type: String}
      - {Name: Ip, Selector: "$.Reservations[0].Instances[0].PrivateIpAddress", Type: String}
      - {Name: Names, Selector: "$.Reservations..Tags[?(@.Key == 'Name')].Value", Type: StringList}
  - name: point
    action: aws:executeAwsApi
    inputs:
      Service: route53
      Api: ChangeResourceRecordSets
      HostedZoneId: "{{ Zone }}"
      ChangeBatch:
        Changes:
          - Action: UPSERT
            ResourceRecordSet:
              {Name: "db.example.com", Type: A, TTL: 60, ResourceRecords: [{Value: "{{ find.Ip }}"}]}
    outputs:
      - {Name: Change, Selector: "$.ChangeInfo.Status", Type: String}
  - name: tag
    action: aws:executeAwsApi
    inputs:
      Service: ec2
      Api: CreateTags
      Resources: ["{{ find.Id }}"]
      Tags: [{Key: Role, Value: "primary of {{ find.Names }}"}]
  - name: check
    action: aws:assertAwsResourceProperty
    isEnd: true
    inputs:
      Service: ec2
      Api: DescribeTags
      Filters: [{Name: resource-id, Values: ["{{ find.Id }}"]}, {Name: key, Values: [Role]}]
      PropertySelector: "$.Tags[0].Value"
      DesiredValues: ['primary of ["a"]']
"""


@pytest.mark.parametrize("form", ["yaml", "json", "mapping", "created"])
def test_a_rehearsal_proves_a_runbook_with_outputs_and_another_service(drs_simulator, form):
    content = {"yaml": PROMOTE, "json": json.dumps(yaml.safe_load(PROMOTE)), "mapping": yaml.safe_load(PROMOTE)}
    region = Region(drs_simulator, {} if form == "created" else {"Promote": {"content": content[form]}})
    if form == "created":
        region.ssm.create_document(
            Name="Promote", Content=content["json"], DocumentType="Automation", DocumentFormat="JSON"
        )
    zone = boto3.client("route53", REGION).create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]
    started = region.run("Promote", 1, Zone=[zone["Id"]], Names=["a"])
    assert started["Outputs"]["point.Change"] == [
        "No output available yet because the step is not successfully executed"
    ]
    region.simulator.advance(60)
    done = region.get(started["AutomationExecutionId"])
    assert statuses(done) == dict.fromkeys(("find", "point", "tag", "check"), "Success"), done.get("FailureMessage")
    assert done["Outputs"]["find.Id"] == [region.instances[0]]
    assert done["Outputs"]["find.Names"] == ["a"]
    assert done["Outputs"]["point.Change"] == ["INSYNC"]
    records = boto3.client("route53", REGION).list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
    shown = region.ec2.describe_instances(InstanceIds=region.instances[:1])["Reservations"][0]["Instances"][0]
    (record,) = [one for one in records if one["Type"] == "A"]
    assert record["ResourceRecords"] == [{"Value": shown["PrivateIpAddress"]}]
    assert {"Key": "Role", "Value": 'primary of ["a"]'} in shown["Tags"]
    assert region.ssm.get_document(Name="Promote")["DocumentType"] == "Automation"


def test_a_runbook_that_waits_for_a_property(drs_simulator):
    wait = {
        "name": "wait",
        "action": "aws:waitForAwsResourceProperty",
        "timeoutSeconds": 300,
        "inputs": {
            "Service": "drs",
            "Api": "DescribeJobs",
            "filters": {"jobIDs": ["{{ Job }}"]},
            "PropertySelector": "$.items[0].status",
            "DesiredValues": ["COMPLETED"],
        },
        "outputs": [{"Name": "Status", "Selector": "$.items[0].participatingServers[0].launchStatus"}],
    }
    book = runbook(wait, parameters={"Job": {"type": "String"}})
    server = {"id": "s-00000000000000001", "hostname": "db01"}
    region = Region(drs_simulator, {"Wait": book}, servers=[server])
    job = boto3.client("drs", REGION).start_recovery(sourceServers=[{"sourceServerID": server["id"]}])["job"]["jobID"]
    early = region.run("Wait", 301, Job=[job])
    assert (early["AutomationExecutionStatus"], statuses(early)) == ("TimedOut", {"wait": "TimedOut"})
    late = region.run("Wait", 299, Job=[job])
    assert (late["AutomationExecutionStatus"], late["Outputs"]["wait.Status"]) == ("Success", ["LAUNCHED"])


def api(name: str, operation: str = "DescribeRegions", **more: Any) -> dict[str, Any]:
    return {"name": name, "action": "aws:executeAwsApi", "inputs": {"Service": "ec2", "Api": operation}, **more}


def broken(name: str, **more: Any) -> dict[str, Any]:
    inputs = {"Service": "ec2", "Api": "StopInstances", "InstanceIds": ["i-00000000000000000"]}
    return {"name": name, "action": "aws:executeAwsApi", "inputs": inputs, **more}


@pytest.mark.parametrize(
    ("steps", "status", "ran"),
    [
        ([broken("one"), api("two")], "Failed", {"one": "Failed", "two": "Pending"}),
        ([broken("one", onFailure="Continue"), api("two")], "Success", {"one": "Failed", "two": "Success"}),
        (
            [broken("one", onFailure="Continue", isCritical=True), api("two")],
            "Failed",
            {"one": "Failed", "two": "Success"},
        ),
        (
            [broken("one", onFailure="step:three"), api("two"), api("three")],
            "Failed",
            {"one": "Failed", "two": "Pending", "three": "Success"},
        ),
        (
            [broken("one", onFailure="step:three", isCritical="false"), api("two"), api("three")],
            "Success",
            {"one": "Failed", "two": "Pending", "three": "Success"},
        ),
        (
            [api("one", nextStep="three"), api("two"), api("three")],
            "Success",
            {"one": "Success", "two": "Pending", "three": "Success"},
        ),
        ([api("one", isEnd=True), api("two")], "Success", {"one": "Success", "two": "Pending"}),
        ([broken("one", onFailure="Continue", isEnd=True), api("two")], "Success", {"one": "Failed", "two": "Pending"}),
    ],
)
def test_where_a_runbook_goes_on(drs_simulator, steps, status, ran):
    region = Region(drs_simulator, {"Book": runbook(*steps)})
    done = region.run("Book", 60)
    assert (done["AutomationExecutionStatus"], statuses(done)) == (status, ran)


def test_attempts_and_faults(drs_simulator):
    region = Region(drs_simulator, {"Once": runbook(api("one")), "Thrice": runbook(api("one", maxAttempts=3))})
    region.simulator.add_fault("DescribeRegions", error="RequestLimitExceeded", times=3)
    once, thrice = region.run("Once", 30), region.run("Thrice", 30)
    assert (once["AutomationExecutionStatus"], thrice["AutomationExecutionStatus"]) == ("Failed", "Success")
    assert "RequestLimitExceeded" in once["FailureMessage"]
    region.simulator.add_fault("DescribeRegions", hold=True, times=1)
    region.simulator.add_fault("DescribeRegions", delay=600.0, times=1)
    region.simulator.add_fault("DescribeRegions", reset=True, skip=1, times=1)
    assert region.run("Once", 30)["AutomationExecutionStatus"] == "Success", "nobody waits for a runbook's answer"
    assert region.run("Once", 30)["AutomationExecutionStatus"] == "Failed"


@pytest.mark.parametrize(
    ("value", "chosen"),
    [("primary", "left"), ("REPLICA-2", "right"), ("7", "right"), ("none", "other")],
)
def test_a_branch_goes_where_its_choices_say(drs_simulator, value, chosen):
    choices = [
        {"NextStep": "left", "Variable": "{{ Role }}", "StringEquals": "primary"},
        {
            "NextStep": "right",
            "Or": [
                {
                    "And": [
                        {"Variable": "{{ Role }}", "StartsWith": "REPLICA"},
                        {"Not": {"Variable": "{{ Role }}", "EndsWith": "-1"}},
                    ]
                },
                {"Variable": "{{ Role }}", "EqualsIgnoreCase": "7"},
            ],
        },
    ]
    branch = {"name": "which", "action": "aws:branch", "inputs": {"Choices": choices, "Default": "other"}}
    ends = [api(name, isEnd=True) for name in ("left", "right", "other")]
    region = Region(drs_simulator, {"Book": runbook(branch, *ends, parameters={"Role": {"type": "String"}})})
    done = region.run("Book", 60, Role=[value])
    assert [name for name, status in statuses(done).items() if status == "Success"] == ["which", chosen]


def test_numbers_and_booleans_of_a_branch(drs_simulator):
    choices = [
        {"NextStep": "many", "Variable": "{{ Count }}", "NumericGreater": 3},
        {"NextStep": "forced", "Variable": "{{ Force }}", "BooleanEquals": True},
    ]
    branch = {"name": "which", "action": "aws:branch", "isEnd": True, "inputs": {"Choices": choices}}
    parameters = {"Count": {"type": "Integer"}, "Force": {"type": "Boolean", "default": False}}
    book = runbook(branch, api("many", isEnd=True), api("forced"), parameters=parameters)
    region = Region(drs_simulator, {"Book": book})
    assert statuses(region.run("Book", 60, Count=["4"]))["many"] == "Success"
    assert statuses(region.run("Book", 60, Count=["3"], Force=["true"]))["forced"] == "Success"
    neither = statuses(region.run("Book", 60, Count=["3"]))
    assert neither == {"which": "Success", "many": "Pending", "forced": "Pending"}
    assert "not both numbers" in region.run("Book", 60, Count=["x"])["FailureMessage"]


def test_a_runbook_that_sleeps_and_one_that_asks(drs_simulator):
    sleep = {"name": "sleep", "action": "aws:sleep", "inputs": {"Duration": "PT10M"}}
    ask = {
        "name": "ask",
        "action": "aws:approve",
        "timeoutSeconds": 1000,
        "onFailure": "Abort",
        "inputs": {"Approvers": ["{{ Who }}"], "MinRequiredApprovals": 2},
    }
    book = runbook(sleep, ask, api("done"), parameters={"Who": {"type": "StringList"}})
    region = Region(drs_simulator, {"Book": book})
    started = region.run("Book", 599, Who=["arn:aws:iam::123456789012:user/ann", "arn:aws:iam::123456789012:user/bo"])
    execution = started["AutomationExecutionId"]
    assert statuses(started)["sleep"] == "InProgress"
    region.simulator.advance(5)
    assert region.get(execution)["AutomationExecutionStatus"] == "Waiting"
    for _ in range(2):
        assert statuses(region.get(execution))["done"] == "Pending"
        region.ssm.send_automation_signal(AutomationExecutionId=execution, SignalType="Approve")
    region.simulator.advance(5)
    assert region.get(execution)["AutomationExecutionStatus"] == "Success"
    for signal, status in (("Reject", "Failed"), (None, "TimedOut")):
        again = region.run("Book", 610, Who=["ann"])["AutomationExecutionId"]
        if signal:
            region.ssm.send_automation_signal(AutomationExecutionId=again, SignalType=signal)
        region.simulator.advance(1000)
        assert region.get(again)["AutomationExecutionStatus"] == status


def test_other_actions_and_named_steps_go_on_as_the_scenario_says(drs_simulator):
    script = {"name": "script", "action": "aws:executeScript", "inputs": {"Runtime": "python3.11", "Script": "1"}}
    steps = [
        {"name": "script", "duration": 30, "outputs": {"Primary": ["db-2"]}},
        {"name": "fail", "outcome": "Failed", "message": "said so"},
    ]
    tag = api("tag", "CreateTags")
    tag["inputs"] |= {"Resources": ["{{ Id }}"], "Tags": [{"Key": "Primary", "Value": "{{ script.Primary }}"}]}
    book = runbook(script, tag, api("fail"), parameters={"Id": {"type": "String"}})
    region = Region(drs_simulator, {"Book": {**book, "steps": steps}})
    running = region.run("Book", 29, Id=[region.instances[0]])
    assert statuses(running)["script"] == "InProgress"
    region.simulator.advance(30)
    done = region.get(running["AutomationExecutionId"])
    assert statuses(done) == {"script": "Success", "tag": "Success", "fail": "Failed"}
    assert "said so" in done["FailureMessage"]
    tags = region.ec2.describe_tags(Filters=[{"Name": "key", "Values": ["Primary"]}])["Tags"]
    assert [one["Value"] for one in tags] == ["db-2"]


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"Service": "ec3", "Api": "DescribeRegions"}, "no service ec3"),
        ({"Service": "ec2", "Api": "DescribeRegion"}, "ec2 has no operation DescribeRegion"),
        ({"Service": "ec2", "Api": "StopInstances", "InstanceIds": ["{{ nobody.Id }}"]}, "nobody.Id"),
        ({"Service": "ec2", "Api": "StopInstances", "Instances": ["i-1"]}, "Instances"),
        ({"Service": "backup-gateway", "Api": "ListGateways"}, "has no ListGateways of backup-gateway"),
    ],
)
def test_a_step_that_cannot_be_carried_out_fails_and_says_why(drs_simulator, inputs, said):
    step = {"name": "one", "action": "aws:executeAwsApi", "inputs": inputs}
    region = Region(drs_simulator, {"Book": runbook(step)})
    done = region.run("Book", 60)
    assert done["AutomationExecutionStatus"] == "Failed"
    assert said in done["FailureMessage"]


def test_a_selector_that_finds_nothing_fails_its_step(drs_simulator):
    outputs = [{"Name": "Id", "Selector": "$.Reservations[9].Instances[0].InstanceId", "Type": "String"}]
    region = Region(drs_simulator, {"Book": runbook(api("one", "DescribeInstances", outputs=outputs))})
    done = region.run("Book", 60)
    assert done["AutomationExecutionStatus"] == "Failed" and "finds nothing" in done["FailureMessage"]


def test_a_runbook_acts_with_the_permissions_of_its_role_or_of_whoever_started_it(drs_simulator):
    region = Region(drs_simulator, iam=True)
    iam, sts = boto3.client("iam"), boto3.client("sts", REGION)
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": "*", "Service": "ssm.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }

    def role(name: str, *actions: str) -> str:
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        allowed = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy)
        return str(arn)

    starter = role("starter", "ssm:*", "iam:PassRole")
    acting = role("acting", "ec2:StopInstances", "ec2:DescribeInstances")
    given = sts.assume_role(RoleArn=starter, RoleSessionName="me")["Credentials"]
    ssm = boto3.client(
        "ssm",
        REGION,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )

    def stop(**parameters: list[str]) -> dict[str, Any]:
        started = ssm.start_automation_execution(
            DocumentName="AWS-StopEC2Instance", Parameters={"InstanceId": region.instances[:1], **parameters}
        )
        region.simulator.advance(120)
        return region.get(started["AutomationExecutionId"])

    own = stop()
    assert own["AutomationExecutionStatus"] == "Failed" and "UnauthorizedOperation" in own["FailureMessage"]
    unknown = stop(AutomationAssumeRole=["arn:aws:iam::123456789012:role/nobody"])
    assert unknown["AutomationExecutionStatus"] == "Failed" and "cannot assume" in unknown["FailureMessage"]
    assert region.states() == ["running", "running"]
    assert stop(AutomationAssumeRole=[acting])["AutomationExecutionStatus"] == "Success"
    assert region.states() == ["stopped", "running"]


def test_targets_act_one_by_one(drs_simulator):
    region = Region(drs_simulator)
    started = region.ssm.start_automation_execution(
        DocumentName="AWS-StopEC2Instance",
        TargetParameterName="InstanceId",
        Targets=[{"Key": "ParameterValues", "Values": region.instances}],
        MaxConcurrency="1",
    )["AutomationExecutionId"]
    region.simulator.advance(5)
    assert region.states() == ["stopping", "running"]
    region.simulator.advance(600)
    assert region.states() == ["stopped", "stopped"]
    assert region.get(started)["AutomationExecutionStatus"] == "Success"


def test_the_scenario_may_still_say_how_a_runbook_of_aws_ends(drs_simulator):
    region = Region(drs_simulator, {"AWS-StopEC2Instance": {"outcome": "Failed", "message": "no capacity"}})
    done = region.run("AWS-StopEC2Instance", InstanceId=region.instances)
    assert done["AutomationExecutionStatus"] == "Failed" and region.states() == ["running", "running"]


def test_a_step_never_succeeds_on_an_instance_that_dies_while_it_runs(drs_simulator):
    """Without content, and as aws:runCommand of a document with content."""
    command = {
        "name": "script",
        "action": "aws:runCommand",
        "timeoutSeconds": 90,
        "inputs": {"DocumentName": "AWS-RunShellScript", "InstanceIds": ["{{ Id }}"]},
    }
    documents = {
        "Unknown": {"kind": "Automation", "duration": 30},
        "Known": {
            **runbook(command, parameters={"Id": {"type": "String"}}),
            "steps": [{"name": "script", "duration": 30, "timeout": 90}],
        },
    }
    region = Region(drs_simulator, documents)
    one, other = region.instances
    start = region.ssm.start_automation_execution
    dying = [start(DocumentName=name, Parameters={"Id": [one]})["AutomationExecutionId"] for name in documents]
    living = [start(DocumentName=name, Parameters={"Id": [other]})["AutomationExecutionId"] for name in documents]
    region.simulator.advance(10)
    region.ec2.stop_instances(InstanceIds=[one])
    region.simulator.advance(75)
    assert [region.get(each)["AutomationExecutionStatus"] for each in living] == ["Success", "Success"]
    assert [region.get(each)["AutomationExecutionStatus"] for each in dying] == ["InProgress", "InProgress"]
    region.simulator.advance(10)
    assert region.get(dying[1])["AutomationExecutionStatus"] == "TimedOut"
    region.simulator.advance(3600)
    assert region.get(dying[0])["AutomationExecutionStatus"] == "TimedOut"
    late = region.run("Known", 60, Id=[one])
    assert late["AutomationExecutionStatus"] == "Failed" and "not in a valid state" in late["FailureMessage"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "neither JSON nor YAML"),
        ("text", "no mapping"),
        ({"schemaVersion": "2.2", "mainSteps": [api("one")]}, "schemaVersion is 2.2"),
        ({"schemaVersion": "0.3"}, "mainSteps lists no steps"),
        ({"schemaVersion": "0.3", "mainSteps": [api("one"), api("one")]}, "two steps of mainSteps have one name"),
        ({"schemaVersion": "0.3", "mainSteps": [api("one", nextStep="two")]}, "goes on to two, which is no step"),
        ({"schemaVersion": "0.3", "mainSteps": [api("a b")]}, "no name of a step"),
    ],
)
def test_content_that_is_no_runbook_is_refused(content, said):
    with pytest.raises(ScenarioError, match=said):
        load_scenario({"documents": {"Book": {"content": content}}})


def test_a_scenario_that_speaks_of_a_step_that_is_not_there_is_refused():
    with pytest.raises(ScenarioError, match="steps names nobody"):
        load_scenario({"documents": {"Book": {**runbook(api("one")), "steps": [{"name": "nobody"}]}}})


def test_a_runbook_takes_no_parameters_that_it_does_not_have(drs_simulator):
    region = Region(drs_simulator, {"Book": runbook(api("one"), parameters={"Id": {"type": "String"}})})
    for parameters in ({}, {"Id": ["a"], "More": ["b"]}):
        with pytest.raises(ClientError, match="InvalidAutomationExecutionParameters"):
            region.ssm.start_automation_execution(DocumentName="Book", Parameters=parameters)
