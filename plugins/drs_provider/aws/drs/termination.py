"""Ending recovery instances so that doing it twice does no harm."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from drs_provider.aws.backoff import Backoff
from drs_provider.aws.calls import TRANSIENT, chunks, patience_of, run_blocking
from drs_provider.aws.drs.failback_guard import check_terminate
from drs_provider.aws.drs.questions import DrsQuestions
from drs_provider.aws.drs.reads import is_complete
from drs_provider.aws.ec2.instance_end import instance_states, not_gone, not_stopped
from drs_provider.aws.faults import ActionFailed, Fault, classify, error_text

__all__ = ["Termination", "instances_to_end", "wait_until_gone"]

Item = Mapping[str, Any]

MAX_INSTANCES = 200
"""The most instances that TerminateRecoveryInstances takes."""
GONE = frozenset({"TERMINATED", "NOT_FOUND"})


def instances_to_end(drs: DrsQuestions, instance_ids: Sequence[str], job_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return the recovery instances that are named, and those that the jobs launched, as far as they still exist."""
    found = {one["recoveryInstanceID"]: one for one in drs.recovery_instances(instance_ids=instance_ids)}
    jobs = drs.jobs(job_ids) if job_ids else []
    servers = {server["sourceServerID"] for job in jobs for server in job.get("participatingServers") or ()}
    for instance in drs.recovery_instances(server_ids=sorted(servers)) if servers else ():
        if instance.get("jobID") in job_ids:
            found[instance["recoveryInstanceID"]] = instance
    return [one for one in found.values() if one.get("ec2InstanceState") not in GONE]


class Termination:
    """
    Sees that DRS ends recovery instances.

    :param drs: The connection to the recovery region.
    :param log: Where to tell what happens.
    """

    def __init__(self, drs: DrsQuestions, log: Any) -> None:
        self.drs = drs
        self.log = log
        self.job_ids: list[str] = []

    def end(self, instances: Sequence[Item], deadline: float, *, overdue: Collection[str] = ()) -> list[str]:
        """
        Start the end of the instances and return their EC2 ids.

        One instance that DRS refuses fails the call for all, so a refused group is halved until it stands alone. A
        conflict means that a job holds an instance, often the TERMINATE job of an earlier try: what is still there and
        in no such job is asked for again.

        :param deadline: When to give up, in epoch seconds.
        :param overdue: Launch jobs that should have ended: an instance that one of them still holds is asked for once,
            for the job may never let go of it.
        :raises FailbackRefusedError: when an instance was failed back, and is production; nothing is ended then.
        :raises ActionFailed: when DRS refuses instances for good, or until the deadline; the others are ended.
        :raises botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError: the transient error itself, for a
            caller that does not want to wait here (:func:`~drs_provider.aws.calls.limited_patience`).
        """
        check_terminate(self.drs, instances)
        patient_until = time.time() + patience_of(math.inf)
        # A TERMINATE job is a job: it takes no more servers than the account's quota, or the call fails for all.
        size = max(1, min(MAX_INSTANCES, self.drs.quotas().servers_per_job)) if instances else 1
        held = {str(one["recoveryInstanceID"]) for one in instances if one.get("jobID") in overdue}
        free = [str(one["recoveryInstanceID"]) for one in instances if str(one["recoveryInstanceID"]) not in held]
        groups = [*chunks(free, size), *chunks(sorted(held), size)]
        refused: dict[str, str] = {}
        pauses = Backoff(deadline)
        while groups:
            again: list[list[str]] = []
            for group in groups:
                error = self._ask(group)
                left = self._still_there(group) if error else []
                if error is None or not left:
                    continue
                fault = classify(error)
                if fault in TRANSIENT and time.time() + pauses.pause > patient_until:
                    raise error
                final = fault is Fault.DEFINITE or (fault is Fault.CONFLICT and left[0] in held)
                if pauses.is_over or (final and len(left) == 1):
                    refused.update(dict.fromkeys(left, error_text(error)))
                elif fault in (Fault.DEFINITE, Fault.CONFLICT) and len(left) > 1:
                    again += [left[: len(left) // 2], left[len(left) // 2 :]]
                else:
                    again.append(left)
            groups = again
            if groups:
                time.sleep(pauses.take())
        if refused:
            reasons = "; ".join(f"{one}: {reason}" for one, reason in sorted(refused.items()))
            raise ActionFailed(f"DRS does not end {len(refused)} of {len(instances)} recovery instances: {reasons}")
        return [str(one.get("ec2InstanceID") or one["recoveryInstanceID"]) for one in instances]

    def _ask(self, instance_ids: Sequence[str]) -> Exception | None:
        client: Any = self.drs.client("drs")
        try:
            job = client.terminate_recovery_instances(recoveryInstanceIDs=sorted(instance_ids))["job"]
        except Exception as error:
            self.log.warning("TerminateRecoveryInstances: %s", error_text(error))
            return error
        self.job_ids.append(str(job["jobID"]))
        self.log.info("Job %s ends %s", job["jobID"], ", ".join(sorted(instance_ids)))
        return None

    def _still_there(self, instance_ids: Sequence[str]) -> list[str]:
        """Return the instances that exist and that no TERMINATE job in progress holds."""
        alive = {one["recoveryInstanceID"] for one in instances_to_end(self.drs, instance_ids, [])}
        ending: set[str] = set()
        for job in self.drs.jobs_since(datetime.now(timezone.utc) - timedelta(hours=2)):
            held = {str(server.get("recoveryInstanceID")) for server in job.get("participatingServers") or ()}
            if job.get("type") != "TERMINATE" or is_complete(job) or held.isdisjoint(instance_ids):
                continue
            ending |= held
            if job["jobID"] not in self.job_ids:
                self.job_ids.append(str(job["jobID"]))
                self.log.info("Job %s is ending %s", job["jobID"], ", ".join(sorted(held.intersection(instance_ids))))
        return [one for one in instance_ids if one in alive and one not in ending]


def wait_until_gone(
    drs: DrsQuestions,
    instance_ids: Sequence[str],
    deadline: float,
    interval: float,
    log: Any,
    *,
    stopped: Sequence[str] = (),
) -> None:
    """
    Block until EC2 says that every instance is terminated, or stopped.

    :param stopped: The instances that have to be stopped.
    :param deadline: When to give up, in epoch seconds.
    :param interval: Seconds between two looks.
    :raises ActionFailed: when instances are left at the deadline.
    """
    calls = drs.calls("ec2")
    while True:
        states = run_blocking(instance_states(calls, [*instance_ids, *stopped]))
        left = [*not_gone(instance_ids, states), *not_stopped(stopped, states)]
        if not left:
            return
        if time.time() + interval > deadline:
            raise ActionFailed(f"Not terminated or stopped in time: {', '.join(left)}")
        log.info("Waiting until terminated or stopped: %s", ", ".join(left))
        time.sleep(interval)
