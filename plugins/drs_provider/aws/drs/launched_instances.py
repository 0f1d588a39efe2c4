"""Whether what a job launched is still there. DRS never says: the servers of its job stay LAUNCHED.

A drill's end, a rollback, a person in the console and another launch of the same server leave the job as it is. What
counts is EC2's word on the instances that the jobs' logs name (LAUNCH_END).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from drs_provider.aws.calls import run_blocking
from drs_provider.aws.drs.questions import DrsQuestions
from drs_provider.aws.drs.reads import instances_in_log, is_complete
from drs_provider.aws.ec2.instance_end import instance_states

__all__ = ["ended_servers"]

_ENDED = frozenset({"shutting-down", "terminated"})


def ended_servers(drs: DrsQuestions, jobs: Iterable[Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    """
    Return the source servers by job id that a job launched, and whose instances are gone by now.

    :param jobs: Jobs in the shape of DescribeJobs; those that have not ended are left alone. Where a job's log names
        no instance for a server, the job's own word stands.
    """
    named: dict[tuple[str, str], str] = {}
    for job in jobs:
        launched = {
            str(server["sourceServerID"])
            for server in job.get("participatingServers") or ()
            if server.get("launchStatus") == "LAUNCHED"
        }
        if launched and is_complete(job):
            job_id = str(job["jobID"])
            for one in instances_in_log(drs.job_log(job_id)):
                if one.server in launched:
                    named[job_id, one.server] = one.instance_id
    states = run_blocking(instance_states(drs.calls("ec2"), sorted(set(named.values())))) if named else {}
    found: dict[str, frozenset[str]] = {}
    for (job_id, server), instance in named.items():
        # EC2 forgets an instance an hour after its end.
        if states.get(instance, "terminated") in _ENDED:
            found[job_id] = found.get(job_id, frozenset()) | {server}
    return found
