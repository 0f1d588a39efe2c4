"""The base of the sensors over a trigger: the same wait in a worker, between reschedules and in the triggerer.

The base class of all sensors counts its time-out by itself, from the start of its loop and between two looks. It would
end a wait without a word on what was waited for, and before a deadline that counts from something else. So its loop is
not used: the wait ends at its own deadline, in every mode, and says what was wrong.
"""

from __future__ import annotations

import contextlib
import time
from abc import abstractmethod
from datetime import datetime, timedelta, timezone
from typing import Any, NoReturn, TypeVar

from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from airflow.providers.amazon.aws.sensors.base_aws import AwsBaseSensor
from airflow.providers.common.compat.sdk import AirflowException, AirflowSkipException, conf
from airflow.sdk import PokeReturnValue
from airflow.sdk.exceptions import AirflowRescheduleException

from drs_provider.aws.calls import run_blocking
from drs_provider.aws.faults import TransientError
from drs_provider.hooks.ssm import SsmHook
from drs_provider.operators.ssm_targets import Instances, instance_ids_of
from drs_provider.operators.triggerer_absence import OutlivesTriggerer
from drs_provider.triggers.polling import PollFailed
from drs_provider.triggers.posts import NotYet, OneLook, WaitFailed, WorkerPost
from drs_provider.triggers.waiting import WaitTrigger, deferral_timeout

__all__ = ["InstanceSensor", "WaitSensor"]

Hook = TypeVar("Hook", bound=AwsGenericHook[Any])


class WaitSensor(OutlivesTriggerer, AwsBaseSensor[Hook]):
    """A sensor whose wait is a trigger's.

    The deadline is ``timeout`` seconds after the try has started, by the clock. Its end fails the task, or skips it
    with ``soft_fail`` or ``never_fail``, as every failure of the wait does.

    :param timeout: seconds, or a ``timedelta``; ``poke_interval``, ``soft_fail``, ``never_fail`` and ``mode`` as in
        every sensor. ``silent_fail``, ``exponential_backoff`` and ``max_wait`` have no effect: transient errors never
        end a wait, and looks back off by themselves.
    :param deferrable: wait in the triggerer.
    """

    def __init__(
        self,
        *,
        timeout: float | timedelta = 900,
        poke_interval: float | timedelta = 10,
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
        """What every trigger gets from its sensor: the interval, where the task ends, and the connection."""
        return {
            "poll_interval": float(self.poke_interval),
            # Asset events come from workers only.
            "end_task": not self.outlets,
            "aws_conn_id": self.aws_conn_id,
            "region_name": self.region_name,
            "verify": self.verify,
            "botocore_config": self.botocore_config,
        }

    def execute(self, context: Any) -> Any:
        """Look once; then wait, in this worker or in the triggerer, or come back for the next look."""
        trigger = self.make_trigger(self._began(context) + float(self.timeout))
        if not self.deferrable and not self.reschedule:
            return self._outcome(trigger, self._post)
        with contextlib.suppress(NotYet):
            return self._outcome(trigger, OneLook(self.hook))
        if self.deferrable:
            return self.defer(trigger=trigger, method_name="execute_complete", timeout=deferral_timeout(trigger))
        left = trigger.deadline - time.time()
        pause = timedelta(seconds=min(float(self.poke_interval), max(left, 0.0)))
        raise AirflowRescheduleException(datetime.now(timezone.utc) + pause)  # type: ignore[no-untyped-call]

    def poke(self, context: Any) -> PokeReturnValue:
        """Look once."""
        trigger = self.make_trigger(self._began(context) + float(self.timeout))
        try:
            return PokeReturnValue(True, self._outcome(trigger, OneLook(self.hook)))
        except NotYet:
            return PokeReturnValue(False)

    def execute_complete(self, context: Any, event: dict[str, Any] | None = None) -> Any:
        """Take the trigger's event: return its value, or raise what it says."""
        if not event or event.get("status") != "success":
            self.fail(event or {"message": "The trigger ended without a result"})
        return event["value"]

    def resume_execution(self, next_method: str, next_kwargs: Any, context: Any) -> Any:
        """Resume, and let a skip say what was wrong: the base class puts one of its own in the place of it."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSkipException as skip:
            raise skip.__cause__ if isinstance(skip.__cause__, AirflowSkipException) else skip from None

    def go_on(self, context: Any) -> Any:
        """Look once more, the time being up, and go on as if the trigger had seen it."""
        return self.execute_complete(context, self._event(self.make_trigger(time.time()), self._post))

    def on_kill(self) -> None:
        """End the wait; what is waited for is left alone."""
        self._killed = True

    def failure(self, event: dict[str, Any]) -> Exception:
        """Return the exception for an event without success, ``{"message", …}``."""
        return AirflowException(event["message"])

    def fail(self, event: dict[str, Any]) -> NoReturn:
        """End the task without success: failed, or skipped where it may fail."""
        failure = self.failure(event)
        if self.soft_fail or self.never_fail:
            raise AirflowSkipException(str(failure))
        transient = event.get("transient")
        raise failure from TransientError.of_dict(transient) if transient else None

    def _began(self, context: Any) -> float:
        """Return when the try began, in epoch seconds; between reschedules Airflow keeps that."""
        first = context["ti"].get_first_reschedule_date(context) if self.reschedule else None
        return first.timestamp() if first else time.time()

    def _outcome(self, trigger: WaitTrigger, post: WorkerPost) -> Any:
        event = self._event(trigger, post)
        if event["status"] != "success":
            self.fail(event)
        return event["value"]

    @staticmethod
    def _event(trigger: WaitTrigger, post: WorkerPost) -> dict[str, Any]:
        """Wait in this worker, and return what the trigger's event would say."""
        try:
            return {"status": "success", "value": run_blocking(trigger.wait(post))}
        except WaitFailed as failure:
            return {"status": "error", "message": str(failure), **failure.details}
        except PollFailed as failure:
            return {"status": "error", "message": str(failure)}
        except TransientError as error:
            return {"status": "error", "message": f"AWS does not answer {error}", "transient": error.as_dict()}

    @property
    def _post(self) -> WorkerPost:
        return WorkerPost(self.hook, lambda: self._killed)


class InstanceSensor(WaitSensor[SsmHook]):
    """A sensor over instances.

    :param instances: instance ids, or the return value of the wait for a launch, of which the launched servers count.
        (templated)
    """

    aws_hook_class = SsmHook

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
