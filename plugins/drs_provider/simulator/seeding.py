"""Seeds what a scenario has besides DRS: EC2 instances that DRS did not launch, SNS topics, and IAM roles."""

from __future__ import annotations

import json
from typing import Any

from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends
from moto.sns.models import sns_backends

from drs_provider.simulator.moto_compat.instance_states import with_instance_id
from drs_provider.simulator.moto_compat.instance_times import began_at
from drs_provider.simulator.scenario import InstanceSpec, RoleSpec, Scenario

__all__ = ["seed_scenario"]

_IMAGE = {"linux": "ami-1e749f67", "windows": "ami-56ec3e2f"}
_DAY = 86400.0


def seed_scenario(scenario: Scenario, now: float) -> None:
    """Put the scenario's instances, topics and roles in place; the instances have been running for a day."""
    for account, region, site in scenario.sites():
        for spec in site.instances:
            instance = _instance(account, region, spec)
            began_at(instance, now - _DAY)
            if spec.state == "stopped":
                instance.stop()
    for topic in scenario.topics:
        *_, region, account, name = topic.split(":") if topic.startswith("arn:") else ("", "", topic)
        sns_backends[account or scenario.account][region or scenario.region].create_topic(name)
    for role in scenario.roles:
        _role(scenario, role)


def _instance(account: str, region: str, spec: InstanceSpec) -> Any:
    backend = ec2_backends[account][region]
    tags = {"Name": spec.name, **spec.tags} if spec.name else dict(spec.tags)
    with with_instance_id(spec.id):
        reservation = backend.run_instances(
            _IMAGE[spec.os],
            1,
            None,
            [],
            instance_type="t3.small",
            is_instance_type_default=False,
            region_name=region,
            security_group_ids=[],
            tags={"instance": tags},
            nics={},
        )
    return reservation.instances[0]


def _role(scenario: Scenario, spec: RoleSpec) -> None:
    account, _, path = spec.arn.removeprefix("arn:aws:iam::").partition(":role/")
    *folders, name = path.split("/")
    trusted = spec.trusts or sorted({account, *(site[0] for site in scenario.sites())})
    statement: dict[str, Any] = {"Effect": "Allow", "Principal": {"AWS": trusted}, "Action": "sts:AssumeRole"}
    if spec.external_id is not None:
        statement["Condition"] = {"StringEquals": {"sts:ExternalId": spec.external_id}}
    backend = iam_backends[account]["aws"]
    backend.create_role(
        role_name=name,
        assume_role_policy_document=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        path="/".join(["", *folders, ""]),
        permissions_boundary=None,
        description="",
        tags=[],
        max_session_duration=None,
    )
    for number, document in enumerate(spec.policies):
        backend.put_role_policy(name, f"policy-{number}", json.dumps(document))
