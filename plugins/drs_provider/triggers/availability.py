"""Waiting in the triggerer until AWS answers an operation again that it throttles, or that does not get through.

What is asked meanwhile changes nothing and needs no permission that a plan's run does not have: the operation itself
where it only reads, with an id that nothing has where it needs one, since "there is no such server" is an answer as
well; otherwise a small question to the same service. All waits of one connection and region share the questions.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple

from drs_provider.aws.calls import Calls
from drs_provider.aws.faults import TRANSIENT, TransientError, classify
from drs_provider.triggers.polling import DeadlinePassed
from drs_provider.triggers.posts import Post, WaitFailed
from drs_provider.triggers.waiting import WaitTrigger

__all__ = ["AwsAvailableTrigger", "Probe", "probe_of"]

REMIND_SECONDS = 300.0
"""How often the log says what is still waited for."""
LOOK_SECONDS = 30.0


class Probe(NamedTuple):
    """A question that tells whether an operation is answered.

    :param service: the service, as botocore names it.
    :param method: the method of its client.
    :param params: what the method is given.
    """

    service: str
    method: str
    params: dict[str, Any]


_SERVER = {"sourceServerID": "s-00000000000000000"}
_PROBES = {
    "DescribeJobs": Probe("drs", "describe_jobs", {"maxResults": 1}),
    "DescribeJobLogItems": Probe("drs", "describe_job_log_items", {"jobID": "drsjob-00000000000000000"}),
    "DescribeSourceServers": Probe("drs", "describe_source_servers", {"maxResults": 1}),
    "DescribeRecoveryInstances": Probe("drs", "describe_recovery_instances", {"maxResults": 1}),
    "DescribeRecoverySnapshots": Probe("drs", "describe_recovery_snapshots", {**_SERVER, "maxResults": 1}),
    "GetLaunchConfiguration": Probe("drs", "get_launch_configuration", _SERVER),
    "DescribeInstances": Probe("ec2", "describe_instances", {"MaxResults": 5}),
    "DescribeInstanceStatus": Probe("ec2", "describe_instance_status", {"MaxResults": 5}),
    "DescribeLaunchTemplateVersions": Probe(
        "ec2", "describe_launch_template_versions", {"LaunchTemplateId": "lt-00000000000000000", "Versions": ["1"]}
    ),
    "StopInstances": Probe("ec2", "describe_instances", {"MaxResults": 5}),
    "DescribeInstanceInformation": Probe("ssm", "describe_instance_information", {"MaxResults": 5}),
    "DescribeDocument": Probe("ssm", "describe_document", {"Name": "AWS-RunShellScript"}),
    "ListCommands": Probe("ssm", "list_commands", {"MaxResults": 1}),
    "ListCommandInvocations": Probe("ssm", "list_command_invocations", {"MaxResults": 1}),
    "GetCommandInvocation": Probe("ssm", "list_command_invocations", {"MaxResults": 1}),
    "SendCommand": Probe("ssm", "list_commands", {"MaxResults": 1}),
    "GetAutomationExecution": Probe(
        "ssm", "get_automation_execution", {"AutomationExecutionId": "00000000-0000-0000-0000-000000000000"}
    ),
    "DescribeAutomationExecutions": Probe("ssm", "describe_automation_executions", {"MaxResults": 1}),
    "StartAutomationExecution": Probe("ssm", "describe_automation_executions", {"MaxResults": 1}),
    "GetCallerIdentity": Probe("sts", "get_caller_identity", {}),
}
_ELSE = "DescribeJobs"


def probe_of(operation: str | None) -> Probe:
    """Return the question that tells whether an operation is answered; for one that is not listed, DRS is asked."""
    return _PROBES.get(operation or _ELSE, _PROBES[_ELSE])


async def fetch_answers(calls: Calls, ids: Sequence[str]) -> dict[str, bool]:
    """Ask for each operation; whatever is said is an answer, but for what passes by itself, which is raised."""
    for operation in ids:
        probe = probe_of(operation)
        try:
            await calls.call(probe.method, **probe.params)
        except Exception as error:
            if classify(error) in TRANSIENT:
                raise
    return dict.fromkeys(ids, True)


class AwsAvailableTrigger(WaitTrigger):
    """
    Waits until AWS answers an operation, then lets the task begin again.

    :param operation: The API operation that was not answered; None: DRS as such.
    :param reason: What was said instead, for the log.
    :param since: Since when it is not answered, in epoch seconds.
    :param pause: Seconds to wait before the first question: the longer, the more often it was in vain.
    """

    fields = ("operation", "reason", "since", "pause")

    def __init__(self, *, operation: str | None, reason: str, since: float, pause: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.operation = operation
        self.reason = reason
        self.since = since
        self.pause = pause

    def __str__(self) -> str:
        since, until = (
            datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")
            for moment in (self.since, self.deadline)
        )
        what = self.operation or "calls"
        return f"Waiting for AWS to answer {what} since {since}, until {until} at the latest; it says: {self.reason}"

    async def wait(self, post: Post) -> None:
        """Wait for the first answer, or the deadline."""
        self.log.info("%s", self)
        post.progress.show(what=str(self))
        await post.sleep(max(min(self.pause, self.deadline - time.time()), 0.0))
        asked = self.operation if self.operation in _PROBES else _ELSE
        service = probe_of(asked).service
        async with post.watch(
            f"{service}-available", fetch_answers, [asked], lambda _: LOOK_SECONDS, service=service, batch=1
        ) as watch:
            while True:
                try:
                    await watch.next(min(time.time() + REMIND_SECONDS, self.deadline))
                    break
                except (DeadlinePassed, TransientError) as error:
                    if time.time() >= self.deadline:
                        raise WaitFailed(f"{self} ({error})", timed_out=True) from None
                    self.log.info("%s", self)
        self.log.info("AWS answers again after %.0f s", time.time() - self.since)
