"""The base of the sensors over a trigger: the same wait in a worker and in the triggerer."""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import Any, NoReturn

from airflow.providers.amazon.aws.sensors.base_aws import AwsBaseSensor
from airflow.providers.common.compat.sdk import AirflowException, AirflowSkipException, conf
from airflow.sdk.bases.sensor import PokeReturnValue

from drs_provider.hooks.calls import run_blocking
from drs_provider.hooks.ssm import SsmHook
from drs_provider.operators.ssm_targets import Instances, instance_ids_of
from drs_provider.triggers.posts import WaitFailed, WaitTrigger, WorkerPost, deferral_timeout

__all__ = ["InstanceSensor", "WaitSensor"]


class WaitSensor(AwsBaseSensor[SsmHook]):
    """A sensor whose wait is a trigger's.

    The deadline is ``timeout`` seconds after the try has started, by the clock. Its end fails the task, or skips it
    with ``soft_fail``.

    :param timeout: seconds; ``poke_interval``, ``soft_fail`` and ``mode`` as in every sensor.
    :param deferrable: wait in the triggerer.
    """

    aws_hook_class = SsmHook

    def __init__(
        self,
        *,
        timeout: float = 900,
        poke_interval: float = 10,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(timeout=timeout, poke_interval=poke_interval, **kwargs)
        self.deferrable = deferrable
        self._killed = False

    @abstractmethod
    def make_trigger(self, deadline: float) -> WaitTrigger:
        """Return the trigger that waits.

        :param deadline: epoch seconds.
        """

    @property
    def trigger_arguments(self) -> dict[str, Any]:
        """What every trigger gets from its sensor: the interval and the connection."""
        return {
            "poll_interval": float(self.poke_interval),
            "aws_conn_id": self.aws_conn_id,
            "region_name": self.region_name,
            "verify": self.verify,
            "botocore_config": self.botocore_config,
        }

    def execute(self, context: Any) -> Any:
        """Look once; then wait, in this worker or in the triggerer."""
        if not self.deferrable and self.reschedule:
            return super().execute(context)
        deadline = time.time() + float(self.timeout)
        if not self.deferrable:
            return self._waited(deadline)
        done, value = self._look()
        if done:
            return value
        trigger = self.make_trigger(deadline)
        return self.defer(trigger=trigger, method_name="execute_complete", timeout=deferral_timeout(trigger))

    def poke(self, context: Any) -> PokeReturnValue:
        """Look once."""
        done, value = self._look()
        return PokeReturnValue(done, value)

    def execute_complete(self, context: Any, event: dict[str, Any] | None) -> None:
        """Raise what the trigger found; a success never comes here."""
        self._fail((event or {}).get("message") or "The trigger ended without a result")

    def on_kill(self) -> None:
        """End the wait; what is waited for is left alone."""
        self._killed = True

    def _look(self) -> tuple[bool, Any]:
        # A deadline in the past leaves one look.
        try:
            return True, run_blocking(self.make_trigger(0.0).wait(self._post))
        except WaitFailed as failure:
            if failure.timed_out:
                return False, None
            return self._fail(str(failure)), None

    def _waited(self, deadline: float) -> Any:
        try:
            return run_blocking(self.make_trigger(deadline).wait(self._post))
        except WaitFailed as failure:
            return self._fail(str(failure))

    def _fail(self, message: str) -> NoReturn:
        raise (AirflowSkipException if self.soft_fail else AirflowException)(message)

    @property
    def _post(self) -> WorkerPost:
        return WorkerPost(self.hook, lambda: self._killed)


class InstanceSensor(WaitSensor):
    """A sensor over instances.

    :param instances: instance ids, or the return value of the wait for a launch, of which the launched servers count.
        (templated)
    """

    def __init__(self, *, instances: Instances, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.instances: Instances | None = instances

    @property
    def instance_ids(self) -> list[str]:
        """The instances that have to be healthy.

        :raises AirflowException: when there is none: a check of nothing would pass.
        """
        ids, left_out = instance_ids_of(self.instances)
        if not ids:
            reasons = "; ".join(f"{server_id}: {reason}" for server_id, reason in left_out.items())
            raise AirflowException("There is no instance to look at" + (f": {reasons}" if reasons else ""))
        return ids
