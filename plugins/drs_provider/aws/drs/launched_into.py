"""EC2 instances that existed before DRS launched a server into them: they are stopped at an end, never terminated.

A server whose launch settings name an EC2 instance (``launchIntoInstanceProperties``) is launched into it: the instance
keeps its id, its network and its tags, and gets other disks. DRS lists it as the recovery instance of the job, and
would terminate it like any other.
"""

from __future__ import annotations

import contextvars
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from drs_provider.aws.calls import chunks, run_blocking
from drs_provider.aws.drs.questions import DrsQuestions
from drs_provider.aws.faults import TRANSIENT, classify, error_code, error_text
from drs_provider.timestamps import parse_timestamp

__all__ = ["CONSENT", "CONSENT_TAG", "launch_target", "launched_into", "release", "set_apart", "stop_instances"]

Item = Mapping[str, Any]

CONSENT_TAG, CONSENT = "AWSDRS", "AllowLaunchingIntoThisInstance"
"""The tag by which an EC2 instance consents to be launched into (user guide, "Launch into existing instance")."""

_AT_A_TIME = 10
_STOPPABLE = frozenset({"pending", "running"})


def launch_target(configuration: Mapping[str, Any]) -> str | None:
    """Return the id of the EC2 instance that a server is launched into; None: a new one.

    :param configuration: the answer of GetLaunchConfiguration.
    """
    return (configuration.get("launchIntoInstanceProperties") or {}).get("launchIntoEC2InstanceID") or None


def launched_into(drs: DrsQuestions, instances: Sequence[Item], jobs: Iterable[Item]) -> set[str]:
    """
    Return the EC2 ids of the recovery instances that existed before their job.

    Either the launch settings of the source server name the instance, or it has the tag by which an instance consents
    to be launched into and is older than its job (the attachment of its first network interface tells, since EC2's
    launch time is that of the last start).

    :param drs: The connection to the recovery region.
    :param instances: Recovery instances, in the shape of DescribeRecoveryInstances: ``ec2InstanceID``,
        ``sourceServerID`` and ``jobID`` count.
    :param jobs: The jobs that launched them, in the shape of DescribeJobs.
    :raises botocore.exceptions.ClientError: when this cannot be read: nothing may be terminated then.
    """
    by_id = {str(one["ec2InstanceID"]): one for one in instances if one.get("ec2InstanceID")}
    created = {str(job["jobID"]): parse_timestamp(str(job["creationDateTime"])) for job in jobs}
    found: set[str] = set()
    for described in _described(drs, sorted(by_id)):
        identity = str(described["InstanceId"])
        tags = {str(tag["Key"]): tag["Value"] for tag in described.get("Tags") or ()}
        if tags.get(CONSENT_TAG) == CONSENT and not _born_after(
            described, created.get(str(by_id[identity].get("jobID")))
        ):
            found.add(identity)
    rest = [one for identity, one in by_id.items() if identity not in found]
    servers = sorted({str(one["sourceServerID"]) for one in rest if one.get("sourceServerID")})
    targets = dict(zip(servers, _targets(drs, servers), strict=True))
    return found | {
        str(one["ec2InstanceID"]) for one in rest if targets.get(str(one.get("sourceServerID"))) == one["ec2InstanceID"]
    }


def set_apart(
    drs: DrsQuestions, instances: Sequence[Item], jobs: Iterable[Item]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """
    Return the recovery instances that may be terminated, and apart from them those that existed before their job.

    Whatever terminates recovery instances asks this first; the others are stopped (:func:`stop_instances`), and DRS is
    had to forget them (:func:`release`).

    :param instances: Recovery instances, in the shape of DescribeRecoveryInstances.
    :param jobs: The jobs that launched them, in the shape of DescribeJobs.
    :raises botocore.exceptions.ClientError: when this cannot be read: nothing may be terminated then.
    """
    before = launched_into(drs, instances, jobs)
    launched = [dict(one) for one in instances if one.get("ec2InstanceID") not in before]
    return launched, [dict(one) for one in instances if one.get("ec2InstanceID") in before]


def stop_instances(drs: DrsQuestions, instance_ids: Sequence[str], log: Any) -> None:
    """
    Stop EC2 instances that run (StopInstances); one that is stopped already stays as it is.

    :param instance_ids: EC2 instance ids.
    :param log: Where to tell what happens.
    :raises botocore.exceptions.ClientError: when EC2 refuses.
    """
    running = [
        str(one["InstanceId"])
        for one in _described(drs, instance_ids)
        if (one.get("State") or {}).get("Name") in _STOPPABLE
    ]
    if running:
        log.info("Stopping what was there before the launch: %s", ", ".join(running))
        drs.client("ec2").stop_instances(InstanceIds=running)


def release(drs: DrsQuestions, ec2_ids: Collection[str], instances: Iterable[Item], log: Any) -> None:
    """
    Let DRS forget instances that are stopped and were there before.

    Disconnected and deleted (DisconnectRecoveryInstance, DeleteRecoveryInstance) they exist in EC2 only. Until then
    they are the previous instances of their servers, which the next launch deletes.

    :param ec2_ids: The EC2 ids of what is to be forgotten.
    :param instances: Recovery instances, in the shape of DescribeRecoveryInstances.
    :param log: Where to tell what happens.
    :raises botocore.exceptions.ClientError: a transient error; where DRS refuses for good, that is told only.
    """
    client: Any = drs.client("drs")
    for instance in instances:
        if instance.get("ec2InstanceID") not in ec2_ids:
            continue
        identity = str(instance["recoveryInstanceID"])
        for call in (client.disconnect_recovery_instance, client.delete_recovery_instance):
            try:
                call(recoveryInstanceID=identity)
            except Exception as error:
                if classify(error) in TRANSIENT:
                    raise
                log.warning("DRS still lists %s as a recovery instance: %s", identity, error_text(error))
                break


def _described(drs: DrsQuestions, instance_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return EC2's description of the instances that exist; by filter, since one that is gone fails a call by id."""
    found: list[dict[str, Any]] = []
    for some in chunks(instance_ids, 200):
        groups = run_blocking(
            drs.calls("ec2").read_all(
                "describe_instances", "Reservations", Filters=[{"Name": "instance-id", "Values": some}]
            )
        )
        found += [one for group in groups for one in group.get("Instances") or ()]
    return found


def _born_after(described: Item, created: datetime | None) -> bool:
    """Whether an instance is younger than the job; False where that is not known."""
    attached = [
        (interface.get("Attachment") or {}).get("AttachTime") for interface in described.get("NetworkInterfaces") or ()
    ]
    moments = [moment for moment in attached if isinstance(moment, datetime)]
    return created is not None and bool(moments) and min(moments) >= created


def _targets(drs: DrsQuestions, server_ids: Sequence[str]) -> list[str | None]:
    """Return which instance each server is launched into by its settings, None: a new one."""
    calls = drs.calls()

    def ask(server_id: str) -> str | None:
        try:
            return launch_target(run_blocking(calls.read("get_launch_configuration", sourceServerID=server_id)))
        except Exception as error:
            if error_code(error) == "ResourceNotFoundException":
                return None  # A server that was taken out of DRS has no settings; the tag has been looked at.
            raise

    with ThreadPoolExecutor(max_workers=_AT_A_TIME, thread_name_prefix="launched-into") as pool:
        # With the caller's patience, which a thread does not inherit.
        asked = [pool.submit(contextvars.copy_context().run, ask, server_id) for server_id in server_ids]
        return [one.result() for one in asked]
