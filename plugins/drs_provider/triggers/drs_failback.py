"""Waiting for the way back in the triggerer, for days: until the reversed replication is in sync, until protected."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from drs_provider.aws.drs.failback import instance_replicated_by, is_failback
from drs_provider.aws.drs.job_wait import UNSEEN_SECONDS
from drs_provider.aws.drs.progress import Progress
from drs_provider.aws.drs.reads import DrsReads
from drs_provider.aws.drs.standstill import Standstill
from drs_provider.aws.faults import error_text, transient_cause
from drs_provider.triggers.drs import SERVER_BATCH, fetch_source_servers
from drs_provider.triggers.polling import DeadlinePassed
from drs_provider.triggers.posts import Post, WaitFailed
from drs_provider.triggers.waiting import WaitTrigger

__all__ = ["DrsFailbackSyncTrigger", "DrsProtectionTrigger"]

Item = Mapping[str, Any]

PROGRESS_SECONDS = 60.0
"""The shortest time between two lines of progress in the log."""
CONFIRM_SECONDS = 60.0
"""How long the question at the other end may take, before it is asked again at the next look."""


class DrsFailbackSyncTrigger(WaitTrigger):
    """
    Waits until FAILBACK servers are in sync: CONTINUOUS, rescanned, and with no more lag than that.

    The log has the progress: percent, lag, ETA, bytes to send. It reports a server that stands still, and that goes on.

    :param source_server_ids: The servers.
    :param max_lag: The longest acceptable lag in seconds; None accepts any.
    :param stall_after: Seconds without progress after which a server stands still.
    """

    fields: tuple[str, ...] = ("source_server_ids", "max_lag", "stall_after")
    back = True
    what = "The reversed replication"

    def __init__(
        self, *, source_server_ids: Sequence[str], max_lag: float | None, stall_after: float, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.source_server_ids = list(source_server_ids)
        self.max_lag = max_lag
        self.stall_after = stall_after

    async def wait(self, post: Post) -> dict[str, dict[str, Any]]:
        """Wait until every server is in sync, or the deadline passes."""
        standstill = Standstill(self.stall_after)
        problems: dict[str, str] = dict.fromkeys(self.source_server_ids, "not looked at yet")
        told, told_at, unseen_since = "", 0.0, 0.0
        async with post.watch(
            "drs-source-server",
            fetch_source_servers,
            self.source_server_ids,
            lambda _: self.poll_interval,
            service="drs",
            batch=SERVER_BATCH,
        ) as watch:
            while True:
                try:
                    seen = await watch.next(self.deadline)
                except DeadlinePassed as error:
                    reasons = [f"{one}: {problem}" for one, problem in problems.items()]
                    message = "; ".join(filter(None, [f"{self.what} is not complete in time", *reasons, str(error)]))
                    raise WaitFailed(message, timed_out=True) from None
                problems = self._problems(seen)
                unseen = [one for one in self.source_server_ids if one not in seen]
                unseen_since = (unseen_since or time.time()) if unseen else 0.0
                if unseen and time.time() > unseen_since + UNSEEN_SECONDS:
                    raise WaitFailed(f"DRS has no source server {', '.join(unseen)} here: it may have been deleted")
                if not problems:
                    problems = await self._unconfirmed(post, seen)
                if not problems:
                    return self._result(seen, standstill)
                text = "; ".join(f"{one}: {problem}" for one, problem in problems.items())
                now = time.time()
                if text != told and now >= told_at + PROGRESS_SECONDS:
                    self.log.info("Waiting: %s", text)
                    told, told_at = text, now
                waiting = {one: Progress.of(seen[one]) for one in problems if one in seen}
                for line in standstill.look(waiting, now):
                    self.log.warning("%s", line)

    def _problems(self, seen: Mapping[str, Item]) -> dict[str, str]:
        found = {}
        for one in self.source_server_ids:
            if one not in seen:
                found[one] = "is not a source server here"
                continue
            if is_failback(seen[one]) != self.back:
                direction = seen[one].get("replicationDirection")
                raise WaitFailed(f"{one} is of direction {direction}: this wait is for the other one")
            progress = Progress.of(seen[one])
            if not progress.in_sync(self.max_lag):
                found[one] = str(progress)
        return found

    async def _unconfirmed(self, post: Post, seen: Mapping[str, Item]) -> dict[str, str]:
        """Return what else is missing, by server, where all are in sync."""
        return {}

    def _result(self, seen: Mapping[str, Item], standstill: Standstill) -> dict[str, dict[str, Any]]:
        found = {}
        for one in self.source_server_ids:
            progress = Progress.of(seen[one])
            found[one] = {
                "state": progress.state,
                "lag_seconds": progress.lag,
                "total_bytes": progress.total,
                "rescanned_bytes": progress.rescanned,
                "instance": instance_replicated_by(seen[one]),
                "stood_still_seconds": round(standstill.longest.get(one, 0.0)),
            }
        return found


class DrsProtectionTrigger(DrsFailbackSyncTrigger):
    """
    Waits until forward servers protect what was launched back: CONTINUOUS, rescanned and without lag.

    Both ends have to show it: after a launch into the original, the forward server names that instance, CONTINUOUS,
    before anything replicates it, and a list may be an older one.

    :param protects: The recovery instance at the origin by the server that is to protect it.
    :param peer: ``aws_conn_id`` and ``region_name`` of the origin.
    """

    fields = ("source_server_ids", "max_lag", "stall_after", "protects", "peer")
    back = False
    what = "Protection"

    def __init__(self, *, protects: Mapping[str, str], peer: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.protects = dict(protects)
        self.peer = dict(peer)

    async def _unconfirmed(self, post: Post, seen: Mapping[str, Item]) -> dict[str, str]:
        connection = {**self.connection, **self.peer}
        origin = post.elsewhere(lambda service: self.hook_of(service, connection), connection)

        async def question(calls: Any) -> list[dict[str, Any]]:
            return await DrsReads(calls).recovery_instances(instance_ids=self.protects.values())

        try:
            found = await origin.ask(question, time.time() + CONFIRM_SECONDS, service="drs")
        except Exception as error:
            # A wait of days does not end because the origin does not answer at its last moment.
            if transient_cause(error) is None:
                raise
            self.log.warning("The origin does not answer: %s", error_text(error))
            return dict.fromkeys(self.source_server_ids, "in sync; the origin does not answer")
        instances = {str(one["recoveryInstanceID"]): one for one in found}
        problems = {}
        for server, name in self.protects.items():
            # A record is deleted only when the instance is protected; its id is the EC2 instance's.
            instance = instances.get(name)
            ec2 = name if instance is None else instance.get("ec2InstanceID")
            replicated = instance_replicated_by(seen[server])
            if replicated != ec2:
                problems[server] = f"replicates {replicated}, not {ec2}"
            elif instance is not None and Progress.of(instance).state != "CONTINUOUS":
                problems[server] = f"{ec2} itself is {Progress.of(instance).state}"
        return problems
