"""Sensors for the health of recovery instances: EC2 status checks, a TCP port, an HTTP answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.common.compat.sdk import AirflowException

from drs_provider.links.ssm import SsmCommandLink
from drs_provider.operators.ssm_probes import http_document, tcp_document
from drs_provider.operators.ssm_script import Document, ScriptTask
from drs_provider.operators.triggerer_absence import OutlivesTriggerer
from drs_provider.sensors.ssm import SsmAgentOnlineSensor
from drs_provider.sensors.waits import InstanceSensor
from drs_provider.triggers.health import Ec2InstanceStatusTrigger, HttpHealthTrigger, TcpPortTrigger
from drs_provider.triggers.waiting import WaitTrigger

__all__ = ["Ec2InstanceStatusSensor", "HttpHealthSensor", "SsmAgentOnlineSensor", "TcpPortSensor"]

#: How much earlier than the task the script gives up, so that it is the script that says what was wrong.
_SCRIPT_MARGIN = 20


class Ec2InstanceStatusSensor(InstanceSensor):
    """Wait until both EC2 status checks of every instance pass (DescribeInstanceStatus).

    :param instances: instance ids, or the return value of the wait for a launch. (templated)
    :param timeout: seconds until the task fails; ``poke_interval`` seconds between two looks.
    :param deferrable: wait in the triggerer.
    :returns: ``{instance id: "ok"}``
    :raises AirflowException: when the deadline passes, or an instance is terminated; the message names the instances.
    """

    template_fields: Sequence[str] = aws_template_fields("instances")

    def make_trigger(self, deadline: float) -> Ec2InstanceStatusTrigger:
        """Return the trigger that waits."""
        return Ec2InstanceStatusTrigger(instance_ids=self.instance_ids, deadline=deadline, **self.trigger_arguments)


class _ProbeSensor(ScriptTask, InstanceSensor):
    """Base of the sensors that ask an instance over the network, or have it ask itself."""

    operator_extra_links = (SsmCommandLink(),)
    by_platform = True

    def __init__(
        self,
        *,
        instances: Any,
        via: Literal["worker", "ssm"] = "worker",
        address: Literal["private", "public"] = "private",
        probe_timeout: float = 5.0,
        timeout: float = 300,
        **kwargs: Any,
    ) -> None:
        super().__init__(instances=instances, timeout=timeout, **kwargs)
        if via not in ("worker", "ssm"):
            raise ValueError(f"via has to be worker or ssm, not {via!r}")
        self.via = via
        self.address = address
        self.probe_timeout = probe_timeout
        self.agent_timeout = timeout
        self.poll_interval = float(self.poke_interval)

    @property
    def probe_arguments(self) -> dict[str, Any]:
        """What the triggers of both kinds get."""
        return {
            **self.trigger_arguments,
            "instance_ids": self.instance_ids,
            "address": self.address,
            "probe_timeout": self.probe_timeout,
        }

    @property
    def script_seconds(self) -> int:
        """How long the script on an instance asks."""
        return max(int(float(self.timeout)) - _SCRIPT_MARGIN, 5)

    def execute(self, context: Any) -> Any:
        """Ask over the network, or by a script on the instances."""
        return self.run_script(context) if self.via == "ssm" else super().execute(context)

    def execute_complete(
        self, context: Any, event: dict[str, Any] | None = None, command_ids: list[str] | None = None
    ) -> Any:
        """Take the trigger's event: return its value, or raise what it says."""
        try:
            return ScriptTask.execute_complete(self, context, event, command_ids or [])
        except AirflowException as failure:
            self.fail({"message": str(failure)})

    def go_on(self, context: Any) -> Any:
        """Look once more and judge what there is, or go on with the script that an earlier try sent."""
        return OutlivesTriggerer.go_on(self, context) if self.via == "ssm" else super().go_on(context)

    def on_kill(self) -> None:
        """End the wait, and cancel the script on the instances."""
        ScriptTask.on_kill(self)


class TcpPortSensor(_ProbeSensor):
    """Wait until a TCP port of every instance accepts a connection.

    :param instances: instance ids, or the return value of the wait for a launch. (templated)
    :param port: the port. (templated)
    :param via: ``worker`` connects from where the task waits, a worker or the triggerer; the addresses come from EC2
        (DescribeInstances). ``ssm`` has each instance ask itself, by a script (SendCommand).
    :param address: which address is asked with ``worker``: ``private`` or ``public``.
    :param host: whom the script asks with ``ssm``.
    :param probe_timeout: seconds that one connection may take.
    :param timeout: seconds until the task fails; ``poke_interval`` seconds between two rounds, or with ``ssm`` between
        two looks at the scripts. With ``ssm`` the agents may take as long to come online, before.
    :param deferrable: wait in the triggerer.
    :returns: the address at which each instance answered, by id; with ``ssm`` what the scripts did, as
        :class:`~drs_provider.operators.ssm.SsmScriptOperator` returns it.
    :raises AirflowException: when the deadline passes; the message names the instances that did not answer, and why.
    """

    template_fields: Sequence[str] = aws_template_fields("instances", "port")

    def __init__(self, *, port: int, host: str = "localhost", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.port = port
        self.host = host

    @property
    def script_name(self) -> str:
        """What runs, for messages."""
        return f"TCP port {self.port}"

    def document_for(self, platform: str) -> Document:
        """Return the script for a platform."""
        return tcp_document(platform, host=self.host, port=int(self.port), seconds=self.script_seconds)

    def make_trigger(self, deadline: float) -> WaitTrigger:
        """Return the trigger that waits."""
        return TcpPortTrigger(port=int(self.port), deadline=deadline, **self.probe_arguments)


class HttpHealthSensor(_ProbeSensor):
    """Wait until every instance answers an HTTP GET with the expected status.

    Certificates are not verified, because an instance is asked by its address; redirects are not followed.

    :param instances: instance ids, or the return value of the wait for a launch. (templated)
    :param path: the path, with the query if any. (templated)
    :param port: the TCP port; by default 80, or 443 with ``https``. (templated)
    :param scheme: ``http`` or ``https``.
    :param expected_status: the status that means healthy.
    :param headers: headers of the request, such as ``Host``; not with ``ssm``.
    :param via: ``worker`` asks from where the task waits, a worker or the triggerer; the addresses come from EC2
        (DescribeInstances). ``ssm`` has each instance ask itself, by a script (SendCommand) that uses ``curl`` or
        ``Invoke-WebRequest``.
    :param address: which address is asked with ``worker``: ``private`` or ``public``.
    :param host: whom the script asks with ``ssm``.
    :param probe_timeout: seconds that one request may take.
    :param timeout: seconds until the task fails; ``poke_interval`` seconds between two rounds, or with ``ssm`` between
        two looks at the scripts. With ``ssm`` the agents may take as long to come online, before.
    :param deferrable: wait in the triggerer.
    :returns: the address at which each instance answered, by id; with ``ssm`` what the scripts did, as
        :class:`~drs_provider.operators.ssm.SsmScriptOperator` returns it.
    :raises AirflowException: when the deadline passes; the message names the instances, and what they answered.
    """

    template_fields: Sequence[str] = aws_template_fields("instances", "path", "port")

    def __init__(
        self,
        *,
        path: str = "/",
        port: int | None = None,
        scheme: Literal["http", "https"] = "http",
        expected_status: int = 200,
        headers: Mapping[str, str] | None = None,
        host: str = "localhost",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.path = path
        self.port = port
        self.scheme = scheme
        self.expected_status = expected_status
        self.headers = headers
        self.host = host

    @property
    def effective_port(self) -> int:
        """The port, or the scheme's own."""
        return int(self.port or (443 if self.scheme == "https" else 80))

    @property
    def script_name(self) -> str:
        """What runs, for messages."""
        return f"{self.scheme.upper()} {self.expected_status} at port {self.effective_port}"

    def document_for(self, platform: str) -> Document:
        """Return the script for a platform."""
        url = f"{self.scheme}://{self.host}:{self.effective_port}/{self.path.lstrip('/')}"
        return http_document(platform, url=url, expected_status=self.expected_status, seconds=self.script_seconds)

    def make_trigger(self, deadline: float) -> WaitTrigger:
        """Return the trigger that waits."""
        return HttpHealthTrigger(
            path=self.path,
            port=self.effective_port,
            scheme=self.scheme,
            expected_status=self.expected_status,
            headers=dict(self.headers or {}),
            deadline=deadline,
            **self.probe_arguments,
        )
