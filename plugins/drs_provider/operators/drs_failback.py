"""Operators for the way back: reversing replication, and disconnecting recovery instances."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.common.compat.sdk import AirflowException

from drs_provider.aws.faults import Fault, classify, error_text
from drs_provider.hooks.drs import DrsHook
from drs_provider.links.drs import DrsRecoveryInstancesLink

__all__ = ["DrsDisconnectRecoveryInstanceOperator", "DrsReverseReplicationOperator"]

T = TypeVar("T")

NOT_BEGUN = (None, "NOT_STARTED", "STOPPED", "DISCONNECTED", "REPLICATION_STATE_NOT_AVAILABLE")
"""States of a recovery instance's own replication in which nothing replicates it."""


class _RecoveryInstancesOperator(AwsBaseOperator[DrsHook]):
    """
    Base of the operators that do one thing to each of several recovery instances, once.

    Neither API has a client token: whether it is done already is looked up before each call, and after every answer
    that leaves it open.
    """

    aws_hook_class = DrsHook
    template_fields: Sequence[str] = aws_template_fields("recovery_instance_ids")
    operator_extra_links = (DrsRecoveryInstancesLink(),)
    ui_color = "#e3f9e7"

    def __init__(
        self, *, recovery_instance_ids: Sequence[str], timeout: timedelta = timedelta(minutes=10), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.recovery_instance_ids = recovery_instance_ids
        self.timeout = timeout

    def _instance(self, instance_id: str) -> dict[str, Any] | None:
        found = self.hook.recovery_instances(instance_ids=[instance_id])
        return found[0] if found else None

    def _once(self, instance_id: str, done: Callable[[], T | None], ask: Callable[[], object]) -> T:
        """Return what ``done`` finds, asking DRS until it accepts once where it finds nothing, or the time is up."""
        deadline = time.time() + self.timeout.total_seconds()
        pause = 1.0
        accepted = False
        trouble = ""
        while True:
            result = done()
            if result is not None:
                return result
            if not accepted:
                try:
                    ask()
                except Exception as error:
                    trouble = error_text(error)
                    if classify(error) is Fault.DEFINITE:
                        raise AirflowException(f"{instance_id}: {trouble}") from error
                    self.log.warning("%s: %s", instance_id, trouble)
                else:
                    accepted, trouble = True, "DRS accepted it and does not show it"
                    continue
            if time.time() + pause > deadline:
                raise AirflowException(f"{instance_id}: not done within {self.timeout}: {trouble}")
            time.sleep(pause * random.uniform(0.8, 1.2))
            pause = min(pause * 2, 20.0)


class DrsReverseReplicationOperator(_RecoveryInstancesOperator):
    """
    Start replication back to where the servers came from (ReverseReplication), for servers whose origin is in AWS.

    Each call makes a source server in the origin region, of direction FAILBACK; run on an instance that was failed
    back, in the origin region, it points the forward server at that instance again. DRS answers with a conflict until
    the instance's agent has initialised: the operator asks again until the time is up. A second try finds what the
    first has begun.

    Replication has begun when the instance's own replication has left NOT_STARTED **and** a source server of the
    origin replicates the instance. ``reversedDirectionSourceServerArn`` proves neither: it outlives a failback.

    Next, give the launch template of a new source server a subnet, security group and instance profile, which it
    lacks; wait for it with :class:`~drs_provider.sensors.drs.DrsReplicationSensor` in the origin region, then launch
    it with :class:`~drs_provider.operators.drs.DrsStartRecoveryOperator` and ``is_drill=False``.

    Returns ``{recovery instance id: ARN of the source server that replicates it}``.

    :param recovery_instance_ids: The recovery instances. (templated)
    :param timeout: How long to go on through transient errors and conflicts, for each instance.
    :param origin_aws_conn_id: The connection that may read the source servers of the origin, where that is another
        account; by default the operator's own connection. (templated)
    :raises AirflowException: when DRS refuses, or the time is up.
    """

    template_fields: Sequence[str] = aws_template_fields("recovery_instance_ids", "origin_aws_conn_id")

    def __init__(self, *, origin_aws_conn_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.origin_aws_conn_id = origin_aws_conn_id

    def execute(self, context: Any) -> dict[str, str]:
        """Reverse the replication of every instance."""
        ids = list(self.recovery_instance_ids)
        DrsRecoveryInstancesLink.push(context, self, self.hook, ids)
        return {instance_id: self._reverse(instance_id) for instance_id in ids}

    def _reverse(self, instance_id: str) -> str:
        if self._instance(instance_id) is None:
            raise AirflowException(f"{instance_id} is not a recovery instance here")
        client: Any = self.hook.conn
        asked: list[str] = []

        def ask() -> None:
            asked.append(instance_id)
            client.reverse_replication(recoveryInstanceID=instance_id)

        arn = self._once(instance_id, lambda: self._replicated_by(instance_id), ask)
        self.log.info("%s is replicated by %s%s", instance_id, arn, "" if asked else ", as an earlier call had begun")
        return arn

    def _replicated_by(self, instance_id: str) -> str | None:
        """Return the ARN of the source server that replicates an instance, once both sides show it."""
        instance = self._instance(instance_id)
        servers = self.hook.source_servers([instance["sourceServerID"]]) if instance is not None else []
        origin = servers[0].get("sourceCloudProperties") if servers else None
        if instance is None or not origin:
            return None
        # The origin is asked in any case, so that a missing permission shows before anything is reversed.
        candidates = [one["arn"] for one in self._at_origin(origin) if _replicates(one, instance, servers[0])]
        begun = instance.get("dataReplicationInfo", {}).get("dataReplicationState") not in NOT_BEGUN
        return str(candidates[0]) if begun and candidates else None

    def _at_origin(self, origin: dict[str, Any]) -> list[dict[str, Any]]:
        parameters = {**self._hook_parameters, "region_name": origin["originRegion"]}
        if self.origin_aws_conn_id is not None:
            parameters["aws_conn_id"] = self.origin_aws_conn_id
        return self.aws_hook_class(**parameters).source_servers()


def _replicates(server: dict[str, Any], instance: dict[str, Any], launched_from: dict[str, Any]) -> bool:
    """Whether a source server of the origin replicates an instance that was launched from another one, or itself."""
    hints = server.get("sourceProperties", {}).get("identificationHints", {})
    if hints.get("awsInstanceID") != instance.get("ec2InstanceID"):
        return False
    if server.get("dataReplicationInfo", {}).get("dataReplicationState") in ("STOPPED", "DISCONNECTED"):
        return False
    # Within a region, the server that launched the instance replicates it; otherwise it is one of the other direction.
    other_way = server.get("replicationDirection") != launched_from.get("replicationDirection")
    return bool(other_way or server["sourceServerID"] == launched_from["sourceServerID"])


class DrsDisconnectRecoveryInstanceOperator(_RecoveryInstancesOperator):
    """
    Disconnect recovery instances from DRS (DisconnectRecoveryInstance): they go on running, without failback.

    DRS refuses it for an instance that is protected again after a failback.

    Returns the ids of the instances, all of them disconnected.

    :param recovery_instance_ids: The recovery instances; one that DRS does not know any more counts as disconnected.
        (templated)
    :param timeout: How long to go on through transient errors and conflicts, for each instance.
    :raises AirflowException: when DRS refuses, or the time is up.
    """

    def execute(self, context: Any) -> list[str]:
        """Disconnect every instance."""
        ids = list(self.recovery_instance_ids)
        DrsRecoveryInstancesLink.push(context, self, self.hook, ids)
        for instance_id in ids:
            self._disconnect(instance_id)
        return ids

    def _disconnect(self, instance_id: str) -> None:
        client: Any = self.hook.conn
        accepted: list[bool] = []

        def done() -> bool | None:
            if accepted:
                return True
            instance = self._instance(instance_id)
            state = (instance or {}).get("dataReplicationInfo", {}).get("dataReplicationState")
            return True if instance is None or state == "DISCONNECTED" else None

        def ask() -> None:
            client.disconnect_recovery_instance(recoveryInstanceID=instance_id)
            accepted.append(True)

        self._once(instance_id, done, ask)
        self.log.info("%s is disconnected%s", instance_id, "" if accepted else ", and was before")
