"""Operators for the way back that act on recovery instances: reverse, launch, stop, disconnect, delete."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.common.compat.sdk import AirflowException, conf
from airflow.sdk import BaseOperatorLink

from drs_provider.aws.calls import run_blocking
from drs_provider.aws.drs.failback import (
    Cycle,
    Place,
    home_of,
    origin_of,
    replicates,
    reversed_arn,
)
from drs_provider.aws.drs.failback_guard import (
    FailbackRefusedError,
    check_delete_record,
    check_reverse,
    check_stop_failback,
)
from drs_provider.aws.drs.failback_launch import launch_failback_once
from drs_provider.aws.drs.launch_key import LaunchKey, RunIdentity
from drs_provider.aws.drs.progress import Progress
from drs_provider.aws.faults import ActionFailed
from drs_provider.hooks.drs import DrsHook
from drs_provider.hooks.installation import installation
from drs_provider.links.drs import DrsJobLink, DrsRecoveryInstancesLink
from drs_provider.operators.drs import run_began
from drs_provider.operators.drs_act_once import ActOnceOperator
from drs_provider.operators.triggerer_absence import OutlivesTriggerer
from drs_provider.triggers.pause import PauseTrigger
from drs_provider.triggers.waiting import deferral_timeout

__all__ = [
    "DrsDeleteRecoveryInstanceOperator",
    "DrsDisconnectRecoveryInstanceOperator",
    "DrsReverseReplicationOperator",
    "DrsStartFailbackLaunchOperator",
    "DrsStopFailbackOperator",
    "DrsUpdateFailbackReplicationConfigurationOperator",
]

Item = Mapping[str, Any]

PAUSE_SECONDS = 20.0
"""How long a deferred reverse pauses before it asks again."""


class _RecoveryInstancesOperator(ActOnceOperator):
    """
    Base of the operators that act on recovery instances.

    :param recovery_instance_ids: The recovery instances. (templated)
    """

    template_fields: Sequence[str] = aws_template_fields("recovery_instance_ids", "peer_aws_conn_id")
    operator_extra_links: Collection[BaseOperatorLink] = (DrsRecoveryInstancesLink(),)
    ui_color = "#e3f9e7"

    def __init__(self, *, recovery_instance_ids: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.recovery_instance_ids = recovery_instance_ids

    def begin(self, context: Any) -> list[str]:
        """Store the link, and return the ids."""
        ids = list(self.recovery_instance_ids)
        DrsRecoveryInstancesLink.push(context, self, self.hook, ids)
        return ids

    def cycle_of(self, instance: Item) -> Cycle:
        """
        Return the cycle that a recovery instance is in.

        :raises FailbackRefusedError: where what launched it is not known.
        """
        server = self.source_servers([str(instance["sourceServerID"])]).get(str(instance["sourceServerID"]))
        cycle = None if server is None else self.cycles([server]).get(str(instance["sourceServerID"]))
        if cycle is None:
            raise FailbackRefusedError(
                f"{instance['recoveryInstanceID']}: DRS does not show the servers that it was launched from, so that "
                "nothing tells whether it is production."
            )
        return cycle


class DrsReverseReplicationOperator(OutlivesTriggerer, _RecoveryInstancesOperator):
    """
    Start replication back to where the servers came from (ReverseReplication), for servers whose origin is in AWS.

    Of a recovery instance, it makes a source server in the origin region, of direction FAILBACK; of an instance that
    was failed back, run in the origin region, it points the forward server at that instance again. DRS answers with a
    conflict until the instance's agent has initialised: the operator asks again until the time is up. A second try
    finds what the first has begun.

    Replication has begun when the instance's own replication has left NOT_STARTED **and** exactly one source server at
    the other end, of the other direction, replicates the instance by its EC2 id. ``reversedDirectionSourceServerArn``
    proves neither: it outlives a failback, and a FAILBACK server has one from birth.

    Refused, without a call: what a drill launched where that would point the server that protects production at it;
    what was failed back already; and while a server of an earlier failback is left at the origin.

    Next, give the launch template of a new source server a subnet, security group and instance profile, which it
    lacks; wait for it with :class:`~drs_provider.sensors.drs_failback.DrsFailbackSyncSensor` in the origin region, then
    launch it with :class:`~drs_provider.operators.drs.DrsStartRecoveryOperator` and ``is_drill=False``. After a launch
    back, wait with :class:`~drs_provider.sensors.drs_failback.DrsProtectionSensor`.

    Returns ``{recovery instance id: ARN of the source server that replicates it}``.

    :param recovery_instance_ids: The recovery instances. (templated)
    :param timeout: How long to go on through transient errors and conflicts, for all instances together.
    :param peer_aws_conn_id: The connection that may read the source servers of the other end, where that is in another
        account; by default the operator's own connection. (templated)
    :param deferrable: Pause in the triggerer between two looks.
    :raises AirflowException: when it must not be done, DRS refuses, or the time is up.
    """

    def __init__(
        self,
        *,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.deferrable = deferrable

    def execute(self, context: Any) -> dict[str, str]:
        """Reverse the replication of every instance."""
        self.begin(context)
        return self._reverse(time.time() + self.timeout.total_seconds(), set())

    def look_again(
        self, context: Any, event: Any = None, deadline: float = 0.0, accepted: Sequence[str] = ()
    ) -> dict[str, str]:
        """Go on after a pause in the triggerer."""
        return self._reverse(deadline, set(accepted))

    def _reverse(self, deadline: float, accepted: set[str]) -> dict[str, str]:
        reversing = _Reversing(self)

        def ask(one: str) -> None:
            self.hook.start_client.reverse_replication(recoveryInstanceID=one)
            self.log.info("ReverseReplication of %s was accepted", one)

        def pause(seconds: float) -> None:
            trigger = PauseTrigger(deadline=time.time() + PAUSE_SECONDS, end_task=False)
            self.defer(
                trigger=trigger,
                method_name="look_again",
                kwargs={"deadline": deadline, "accepted": sorted(accepted)},
                timeout=deferral_timeout(trigger),
            )

        more: dict[str, Any] = {"pause": pause} if self.deferrable else {}
        done = self.once(
            list(self.recovery_instance_ids),
            look=reversing.look,
            ask=ask,
            check=reversing.check,
            deadline=deadline,
            accepted=accepted,
            **more,
        )
        for one, arn in done.items():
            earlier = "" if one in accepted else ", as an earlier call had begun"
            self.log.info("%s is replicated by %s%s", one, arn, earlier)
        return done


class _Reversing:
    """What is known of instances that are being reversed, as of the last look."""

    def __init__(self, operator: DrsReverseReplicationOperator) -> None:
        self.operator = operator
        self.instances: dict[str, Item] = {}
        self.servers: dict[str, Item] = {}
        self.elsewhere: dict[Place, list[Item]] = {}

    def look(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the ARN of the source server that replicates an instance, for those that both ends show it of."""
        operator = self.operator
        self.instances = operator.recovery_instances(ids)
        self.servers = operator.source_servers(sorted({str(one["sourceServerID"]) for one in self.instances.values()}))
        self.elsewhere = {}
        done = {}
        for one, instance in self.instances.items():
            launched_from = self.servers.get(str(instance["sourceServerID"]))
            if launched_from is None or origin_of(launched_from) is None:
                continue
            # The origin is asked in any case, so that a missing permission shows before anything is reversed.
            found = [server for server in self._at_origin(launched_from) if replicates(server, instance, launched_from)]
            if Progress.of(instance).replicates and len(found) == 1 and Progress.of(found[0]).replicates:
                done[one] = str(found[0]["arn"])
        return done

    def check(self, one: str) -> None:
        """Raise what forbids to reverse an instance."""
        instance = self.instances.get(one)
        if instance is None:
            raise FailbackRefusedError(f"{one} is not a recovery instance here")
        launched_from = self.servers.get(str(instance["sourceServerID"]))
        if launched_from is None or origin_of(launched_from) is None:
            raise FailbackRefusedError(f"{one} does not come from AWS, or DRS does not show what it was launched from")
        at_origin = self._at_origin(launched_from)
        related = [
            str(server["sourceServerID"])
            for server in at_origin
            if replicates(server, instance, launched_from) or server["arn"] == reversed_arn(launched_from)
        ]
        launched = self._drs_at_origin(launched_from).recovery_instances(server_ids=related) if related else []
        check_reverse(instance, launched_from, at_origin, launched)

    def _drs_at_origin(self, launched_from: Item) -> DrsHook:
        place, here = origin_of(launched_from), home_of(launched_from)
        return self.operator.hook if place is None or place == here else self.operator.peer(place, here)

    def _at_origin(self, launched_from: Item) -> list[Item]:
        place = origin_of(launched_from) or home_of(launched_from)
        if place not in self.elsewhere:
            self.elsewhere[place] = list(self._drs_at_origin(launched_from).source_servers())
        return self.elsewhere[place]


class DrsDisconnectRecoveryInstanceOperator(_RecoveryInstancesOperator):
    """
    Disconnect recovery instances from DRS (DisconnectRecoveryInstance): they go on running, without failback.

    DRS refuses it for an instance that is protected again after a failback.

    Returns the ids of the instances, all of them disconnected.

    :param recovery_instance_ids: The recovery instances; one that DRS does not know any more counts as disconnected.
        (templated)
    :param timeout: How long to go on through transient errors and conflicts.
    :raises AirflowException: when DRS refuses, or the time is up.
    """

    def execute(self, context: Any) -> list[str]:
        """Disconnect every instance."""
        accepted: set[str] = set()

        def look(ids: Sequence[str]) -> dict[str, bool]:
            found = self.recovery_instances(ids)
            return {
                one: True
                for one in ids
                if one in accepted or one not in found or Progress.of(found[one]).state == "DISCONNECTED"
            }

        def ask(one: str) -> None:
            self.hook.start_client.disconnect_recovery_instance(recoveryInstanceID=one)

        done = self.once(self.begin(context), look=look, ask=ask, accepted=accepted)
        for one in done:
            self.log.info("%s is disconnected%s", one, "" if one in accepted else ", and was before")
        return list(done)


class DrsDeleteRecoveryInstanceOperator(_RecoveryInstancesOperator):
    """
    Delete DRS's record of recovery instances (DeleteRecoveryInstance); the EC2 instances go on running.

    After a failback this, never a termination, is what the launched instances get: they are production. It is refused
    until they are protected: replicated by the forward server, CONTINUOUS, rescanned and without lag. Others have to be
    disconnected first.

    Returns the ids of the instances.

    :param recovery_instance_ids: The recovery instances; one that DRS does not know any more counts as deleted.
        (templated)
    :param timeout: How long to go on through transient errors and conflicts.
    :param peer_aws_conn_id: The connection that may read DRS in the recovery region, where that is in another account;
        by default the operator's own. (templated)
    :raises AirflowException: when it must not be done, DRS refuses, or the time is up.
    """

    def execute(self, context: Any) -> list[str]:
        """Delete the record of every instance."""
        ids = self.begin(context)
        found: dict[str, Item] = {}

        def look(left: Sequence[str]) -> dict[str, bool]:
            found.clear()
            found.update(self.recovery_instances(left))
            return {one: True for one in left if one not in found}

        def check(one: str) -> None:
            if Progress.of(found[one]).state != "DISCONNECTED":
                check_delete_record(found[one], self.cycle_of(found[one]))

        def ask(one: str) -> None:
            self.hook.start_client.delete_recovery_instance(recoveryInstanceID=one)
            self.log.info("The record of %s is deleted", one)

        return list(self.once(ids, look=look, ask=ask, check=check))


class DrsStopFailbackOperator(_RecoveryInstancesOperator):
    """
    Stop the failback of recovery instances (StopFailback): before a launch back to undo it, after it to tidy up.

    Refused for what was failed back, and for what was left behind until production is protected. A source server that
    replicates an instance goes on: stop that first
    (:class:`~drs_provider.operators.drs_replication.DrsStopReplicationOperator`).

    Returns ``{recovery instance id: state of its failback}``.

    :param recovery_instance_ids: The recovery instances; one that DRS does not know any more counts as stopped.
        (templated)
    :param timeout: How long to go on through transient errors and conflicts.
    :param peer_aws_conn_id: The connection that may read DRS at the origin, where that is in another account; by
        default the operator's own. (templated)
    :raises AirflowException: when it must not be done, DRS refuses, or the time is up.
    """

    NOT_BEGUN = ("FAILBACK_NOT_STARTED", "FAILBACK_NOT_READY_FOR_LAUNCH")

    def execute(self, context: Any) -> dict[str, str | None]:
        """Stop the failback of every instance."""
        found: dict[str, Item] = {}

        def look(left: Sequence[str]) -> dict[str, str]:
            found.clear()
            found.update(self.recovery_instances(left))
            states = {one: str((found[one].get("failback") or {}).get("state")) if one in found else "" for one in left}
            return {one: state for one, state in states.items() if not state or state in self.NOT_BEGUN}

        def check(one: str) -> None:
            check_stop_failback(found[one], self.cycle_of(found[one]))

        def ask(one: str) -> None:
            self.hook.start_client.stop_failback(recoveryInstanceID=one)
            self.log.info("The failback of %s is stopped", one)

        done = self.once(self.begin(context), look=look, ask=ask, check=check)
        return {one: state or None for one, state in done.items()}


class DrsUpdateFailbackReplicationConfigurationOperator(_RecoveryInstancesOperator):
    """
    Set how recovery instances replicate to machines on premises (UpdateFailbackReplicationConfiguration).

    What is set already is not set again.

    Returns the configurations by recovery instance id, in the shape of GetFailbackReplicationConfiguration.

    :param recovery_instance_ids: The recovery instances. (templated)
    :param settings: What to set, by the API's names: ``bandwidthThrottling`` (Mbit/s, 0: no limit),
        ``internetProtocol`` (``IPV4`` or ``IPV6``), ``name``, ``usePrivateIP``. What is left out stays. (templated)
    :param timeout: How long to go on through transient errors and conflicts.
    :raises AirflowException: when DRS refuses, or the time is up.
    """

    template_fields: Sequence[str] = aws_template_fields("recovery_instance_ids", "settings", "peer_aws_conn_id")
    SETTINGS = frozenset({"bandwidthThrottling", "internetProtocol", "name", "usePrivateIP"})

    def __init__(self, *, settings: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        unknown = sorted(set(settings) - self.SETTINGS) if isinstance(settings, Mapping) else []
        if unknown:
            known = ", ".join(sorted(self.SETTINGS))
            raise ValueError(f"not a failback replication setting: {', '.join(unknown)}; there are {known}")
        self.settings = settings

    def execute(self, context: Any) -> dict[str, Any]:
        """Set the configuration of every instance."""
        calls = self.hook.calls()

        def look(left: Sequence[str]) -> dict[str, dict[str, Any]]:
            done = {}
            for one in left:
                answer = run_blocking(calls.read("get_failback_replication_configuration", recoveryInstanceID=one))
                answer.pop("ResponseMetadata", None)
                if all(answer.get(name) == value for name, value in self.settings.items()):
                    done[one] = answer
            return done

        def ask(one: str) -> None:
            self.hook.start_client.update_failback_replication_configuration(recoveryInstanceID=one, **self.settings)

        return self.once(self.begin(context), look=look, ask=ask)


class DrsStartFailbackLaunchOperator(_RecoveryInstancesOperator):
    """
    Launch what recovery instances hold on the machines on premises that they came from (StartFailbackLaunch).

    For origins that are not in AWS; an origin in AWS is launched by
    :class:`~drs_provider.operators.drs.DrsStartRecoveryOperator` in the origin region. The failback client on each
    machine has to be READY_FOR_LAUNCH, and what the instances write from now on is lost: stop their applications
    before. Instances are launched in jobs of at most 200, and of what the account's quotas allow; each job has the tags
    of the launch, by which the next try of the task adopts it, whatever was killed and whenever. Wait for the jobs with
    :class:`~drs_provider.sensors.drs.DrsJobSensor`.

    Returns ``{"region", "mode", "jobs": [{"job_id", "launch_key", "attempt", "adopted", "source_servers"}]}``.

    :param recovery_instance_ids: The recovery instances. (templated)
    :param tags: Further tags for the jobs. (templated)
    :param wave: What the launch is called in its tags; defaults to the task's id. (templated)
    :param attempt: Counts launches of instances that failed before; jobs of another attempt are not adopted.
        (templated)
    :param timeout: How long to go on through transient errors.
    :raises AirflowException: when an instance is not ready, is in another job, or DRS refuses.
    """

    template_fields: Sequence[str] = aws_template_fields(
        "recovery_instance_ids", "tags", "wave", "attempt", "peer_aws_conn_id"
    )
    operator_extra_links = (DrsJobLink(),)

    def __init__(
        self,
        *,
        tags: Mapping[str, str] | None = None,
        wave: str | None = None,
        attempt: int | str = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.tags = tags
        self.wave = wave
        self.attempt = attempt

    def execute(self, context: Any) -> dict[str, Any]:
        """Adopt the jobs that exist, start the others."""
        ti = context["ti"]
        own = RunIdentity(ti.dag_id, ti.run_id, installation=installation())
        key = LaunchKey.of(context, self.wave, int(self.attempt), own)
        known: list[str] = []

        def on_job(job_id: str) -> None:
            known.append(job_id)
            DrsJobLink.push(context, self, self.hook, known)

        try:
            jobs = launch_failback_once(
                self.hook,
                key,
                list(self.recovery_instance_ids),
                since=min(run_began(context), datetime.now(timezone.utc)),
                tags=self.tags,
                seconds=self.timeout.total_seconds(),
                on_job=on_job,
                log=self.log,
            )
        except ActionFailed as failure:
            raise AirflowException(str(failure)) from failure
        return {
            "region": self.hook.conn_region_name,
            "mode": "recovery",
            "jobs": [job.as_dict() for job in jobs],
        }

    def on_kill(self) -> None:
        """Leave started jobs alone: DRS has no call that ends one, and the next try adopts them."""
        self.log.warning("Jobs that this task has started go on in DRS; the next try adopts them")
