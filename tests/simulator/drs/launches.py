"""What tests of launches share: scenarios of a few servers, jobs, their ends and their logs."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

ONE, TWO, THREE = (f"s-{number:017d}" for number in (1, 2, 3))


def server(server_id: str, **more: Any) -> dict[str, Any]:
    return {"id": server_id, "hostname": f"host-{server_id[-1]}", **more}


def start(drs: Any, *servers: str, drill: bool = True, **more: Any) -> str:
    chosen = [{"sourceServerID": one} for one in servers]
    return str(drs.start_recovery(isDrill=drill, sourceServers=chosen, **more)["job"]["jobID"])


def job_of(drs: Any, job_id: str) -> dict[str, Any]:
    job: dict[str, Any] = drs.describe_jobs(filters={"jobIDs": [job_id]})["items"][0]
    return job


def ends(drs: Any, job_id: str) -> dict[str, str]:
    job = job_of(drs, job_id)
    assert job["status"] == "COMPLETED", job
    return {one["sourceServerID"]: one["launchStatus"] for one in job["participatingServers"]}


def events(drs: Any, job_id: str, server_id: str | None = None) -> list[str]:
    items = drs.describe_job_log_items(jobID=job_id)["items"]
    return [
        item["event"]
        for item in items
        if server_id is None or item.get("eventData", {}).get("sourceServerID") == server_id
    ]


def refusal(call: Any, **request: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as error:
        call(**request)
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def log_items(drs: Any, job_id: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = drs.describe_job_log_items(jobID=job_id)["items"]
    return items


def raw_errors(drs: Any, job_id: str) -> list[str]:
    """The rawErrors of a job, in the order of its log."""
    data = [item.get("eventData", {}) for item in log_items(drs, job_id)]
    return [str(one["rawError"]) for one in data if "rawError" in one]


def template_data(drs: Any, server_id: str, version: str = "$Default") -> tuple[str, dict[str, Any]]:
    """The id of a server's launch template, and the data of a version of it."""
    template = drs.get_launch_configuration(sourceServerID=server_id)["ec2LaunchTemplateID"]
    ec2 = boto3.client("ec2", "us-west-2")
    versions = ec2.describe_launch_template_versions(LaunchTemplateId=template, Versions=[version])
    return template, versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]


def change_template(drs: Any, server_id: str, default: bool = True, **changes: Any) -> str:
    """Add a version to a server's launch template, with other data, and make it the default; returns its number."""
    template, data = template_data(drs, server_id)
    ec2 = boto3.client("ec2", "us-west-2")
    changed = {key: value for key, value in {**data, **changes}.items() if value is not None}
    version = ec2.create_launch_template_version(LaunchTemplateId=template, LaunchTemplateData=changed)
    number = str(version["LaunchTemplateVersion"]["VersionNumber"])
    if default:
        ec2.modify_launch_template(LaunchTemplateId=template, DefaultVersion=number)
    return number


def launched_instance(drs: Any, server_id: str) -> dict[str, Any]:
    """The EC2 instance that a server was launched as, as DescribeInstances shows it."""
    (recovered,) = drs.describe_recovery_instances(filters={"sourceServerIDs": [server_id]})["items"]
    found = boto3.client("ec2", "us-west-2").describe_instances(InstanceIds=[recovered["ec2InstanceID"]])
    instance: dict[str, Any] = found["Reservations"][0]["Instances"][0]
    return instance
