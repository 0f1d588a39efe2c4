"""The health checks of a wave: each a wait with a deadline over the instances that the wave launched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException

from drs_provider.plan import HttpCheck, InstanceStatusCheck, TcpCheck
from drs_provider.plan.steps import WAIT_FOR_LAUNCH
from drs_provider.runs.rehearsing import pace
from drs_provider.sensors.health import (
    Ec2InstanceStatusSensor,
    HttpHealthSensor,
    SsmAgentOnlineSensor,
    TcpPortSensor,
)
from drs_provider.steps.health.event import HealthEvent
from drs_provider.tasks.advice import after_failure
from drs_provider.tasks.failure_log import TaskFailedError
from drs_provider.tasks.recovery_work import RecoveryWork, is_final, nothing_launched, pulled, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import BaseOperator, Context

    from drs_provider.plan import HealthCheck, LoadedPlan, Wave

__all__ = ["AgentsWork", "HttpWork", "InstanceStatusWork", "TcpPortWork", "health_work"]

# Services come up within seconds of each other: a look every five seconds costs a wave less than its own noise.
_POLL_SECONDS = 5.0


def health_work(*, check: HealthCheck, loaded: LoadedPlan, wave: Wave, **kwargs: Any) -> BaseOperator:
    """Return the work of one health check.

    :param check: the check, as the plan says it.
    :param kwargs: the task's ``task_id`` and so on.
    """
    common: dict[str, Any] = {
        "instances": [],
        "timeout": pace().deadline(check.timeout).total_seconds(),
        "poke_interval": _POLL_SECONDS,
        "deferrable": True,
        "aws_conn_id": loaded.plan.target_of(wave).aws_conn_id,
        "region_name": loaded.plan.target_of(wave).region,
        **kwargs,
    }
    work: _HealthWork
    if isinstance(check, InstanceStatusCheck):
        work = InstanceStatusWork(**common)
    elif isinstance(check, TcpCheck):
        work = TcpPortWork(port=check.port, via=check.via, **common)
    elif isinstance(check, HttpCheck):
        work = HttpWork(
            path=check.path,
            port=check.effective_port,
            scheme=check.scheme,
            expected_status=check.expect,
            via=check.via,
            **common,
        )
    else:
        work = AgentsWork(**common)
    work.loaded, work.wave, work.check = loaded, wave, check
    return work


class _HealthWork(RecoveryWork):
    """What all checks share: the wave's instances, and a failure that is final, because its deadline has passed."""

    wave: Wave
    check: HealthCheck
    instances: Any

    def execute(self, context: Context) -> Any:
        """Look at the instances that the wave launched, and wait until they are healthy."""
        self.begin(context, acts=False)
        self.note_start(context)
        self._take_instances(context)
        if nothing_launched(self.instances):
            self.log.warning("No server of the wave was launched: there is nothing to check")
            return {}
        return self._judged(context, lambda: super(_HealthWork, self).execute(context))

    def go_on(self, context: Context) -> Any:
        """Look once more, where the triggerer was away when the time was up."""
        self._take_instances(context)
        return super().go_on(context)  # type: ignore[misc]

    def execute_complete(self, context: Context, *args: Any, **kwargs: Any) -> Any:
        """Judge what the triggerer saw; a success never comes here."""
        return self._judged(
            context,
            lambda: super(_HealthWork, self).execute_complete(context, *args, **kwargs),  # type: ignore[misc]
        )

    def agents_online(self, context: Context, *args: Any, **kwargs: Any) -> Any:
        """Ask on the instances themselves, now that their agents answer."""
        return self._judged(
            context,
            lambda: super(_HealthWork, self).agents_online(context, *args, **kwargs),  # type: ignore[misc]
        )

    def _take_instances(self, context: Context) -> None:
        self.instances = pulled(context, f"{self.wave.name}.{WAIT_FOR_LAUNCH}")

    def _judged(self, context: Context, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except AirflowSkipException:
            raise
        except Exception as error:
            if not is_final(error, context, self.patience_over):
                raise
            reason = reason_of(error)
            ti = context["ti"]
            self.leave_evidence(
                context,
                HealthEvent(
                    **self.times(context),
                    status="failed",
                    wave=self.wave.name,
                    name=ti.task_id.rpartition(".")[2],
                    check=_words(self.check),
                    reason=reason,
                ),
            )
            remedy = after_failure(self.loaded.plan, self.run(context), self.wave.name)
            raise TaskFailedError(reason, remedy) from error


class InstanceStatusWork(_HealthWork, Ec2InstanceStatusSensor):
    """Both EC2 status checks of every instance pass."""

    template_fields = ()


class AgentsWork(_HealthWork, SsmAgentOnlineSensor):
    """The SSM agent of every instance is online."""

    template_fields = ()


class TcpPortWork(_HealthWork, TcpPortSensor):
    """A port of every instance accepts connections."""

    template_fields = ()


class HttpWork(_HealthWork, HttpHealthSensor):
    """Every instance answers an HTTP request as expected."""

    template_fields = ()


def _words(check: HealthCheck) -> str:
    if isinstance(check, TcpCheck):
        return f"tcp {check.port}"
    if isinstance(check, HttpCheck):
        return f"{check.scheme} :{check.effective_port}{check.path} → {check.expect}"
    return check.type
