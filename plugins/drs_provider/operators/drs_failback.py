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

from drs_provider.hooks.drs import DrsHook
from drs_provider.hooks.faults import Fault, classify, error_text
from drs_provider.links.drs import DrsRecoveryInstancesLink

__all__ = ["DrsDisconnectRecoveryInstanceOperator", "DrsReverseReplicationOperator"]

T = TypeVar("T")


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
        """Return what ``done`` finds, asking DRS where it finds nothing, until it does or the time is up."""
        deadline = time.time() + self.timeout.total_seconds()
        pause = 1.0
        trouble = "DRS accepted it and does not show it"
        while True:
            result = done()
            if result is not None:
                return result
            try:
                ask()
            except Exception as error:
                trouble = error_text(error)
                if classify(error) is Fault.DEFINITE:
                    raise AirflowException(f"{instance_id}: {trouble}") from error
                self.log.warning("%s: %s", instance_id, trouble)
            else:
                result = done()
                if result is not None:
                    return result
            if time.time() + pause > deadline:
                raise AirflowException(f"{instance_id}: not done within {self.timeout}: {trouble}")
            time.sleep(pause * random.uniform(0.8, 1.2))
            pause = min(pause * 2, 20.0)


class DrsReverseReplicationOperator(_RecoveryInstancesOperator):
    """
    Start replication back to where the servers came from (ReverseReplication), for servers whose origin is in AWS.

    Each call makes a source server in the origin region, of direction FAILBACK; run on an instance that was failed
    back, it points the forward server at it again. Wait for CONTINUOUS with
    :class:`~drs_provider.sensors.drs.DrsReplicationSensor` in the origin region, then launch it with
    :class:`~drs_provider.operators.drs.DrsStartRecoveryOperator` and ``is_drill=False``. A second try finds what the
    first has begun.

    Returns ``{recovery instance id: ARN of the source server in the other direction}``.

    :param recovery_instance_ids: The recovery instances. (templated)
    :param timeout: How long to go on through transient errors and conflicts, for each instance.
    :raises AirflowException: when DRS refuses, or the time is up.
    """

    def execute(self, context: Any) -> dict[str, str]:
        """Reverse the replication of every instance."""
        ids = list(self.recovery_instance_ids)
        DrsRecoveryInstancesLink.push(context, self, self.hook, ids)
        return {instance_id: self._reverse(instance_id) for instance_id in ids}

    def _reverse(self, instance_id: str) -> str:
        instance = self._instance(instance_id)
        if instance is None:
            raise AirflowException(f"{instance_id} is not a recovery instance here")
        client: Any = self.hook.conn
        answered: list[str] = []

        def done() -> str | None:
            if answered:
                return answered[0]
            servers = self.hook.source_servers([instance["sourceServerID"]])
            arn = servers[0].get("reversedDirectionSourceServerArn") if servers else None
            return str(arn) if arn else None

        def ask() -> None:
            answer = client.reverse_replication(recoveryInstanceID=instance_id)
            answered.append(str(answer["reversedDirectionSourceServerArn"]))

        arn = self._once(instance_id, done, ask)
        self.log.info(
            "%s replicates back to %s%s", instance_id, arn, "" if answered else ", as an earlier call had begun"
        )
        return arn


class DrsDisconnectRecoveryInstanceOperator(_RecoveryInstancesOperator):
    """
    Disconnect recovery instances from DRS (DisconnectRecoveryInstance): they go on running, without failback.

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
