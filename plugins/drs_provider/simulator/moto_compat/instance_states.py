"""The states between: pending, stopping and shutting-down last for a while, where moto passes over them.

StartInstances, StopInstances and TerminateInstances answer with the state between, and the instance reaches its next
state by the simulation's clock. An instance that is on its way elsewhere is not started, and none above EC2's limits.
"""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Callable, Iterator
from typing import Any, Final

import moto.ec2.models.instances as moto_instances
from moto.ec2.exceptions import EC2ClientError, OperationNotPermitted4
from moto.ec2.models.instances import Instance, InstanceBackend

from drs_provider.simulator import runtime
from drs_provider.simulator.ec2_limits import LimitReached, refuse_above_limits

__all__ = ["holder_of", "install", "set_state", "with_instance_id"]

_CODES: Final = {
    "pending": 0,
    "running": 16,
    "shutting-down": 32,
    "terminated": 48,
    "stopping": 64,
    "stopped": 80,
}
_GOING = ("shutting-down", "terminated")


def install() -> None:
    """Let instances take their time. Called once a process."""
    backend: Any = InstanceBackend
    backend.start_instances = _starting(InstanceBackend.start_instances)
    backend.stop_instances = _stopping(InstanceBackend.stop_instances)
    backend.terminate_instances = _terminating(InstanceBackend.terminate_instances)
    instance: Any = Instance
    instance.terminate = _giving_back(Instance.terminate)


def holder_of(subnet: Any, address: str) -> Any:
    """What has a private address of a subnet; None: nothing."""
    return subnet._subnet_ips.get(address)


def set_state(instance: Any, name: str) -> None:
    """Let an instance be in a state, and nothing else happen to it."""
    instance._state.name, instance._state.code = name, _CODES[name]


def _starting(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def start_instances(self: Any, instance_ids: list[str]) -> Any:
        simulation = runtime.current()
        if simulation is None:
            return original(self, instance_ids)
        instances = self.get_multi_instances_by_id(instance_ids)
        for instance in instances:
            if instance.state in (*_GOING, "stopping"):
                raise _incorrect_state(instance, "started")
        stopped = [instance for instance in instances if instance.state == "stopped"]
        try:
            refuse_above_limits(self.account_id, self.region_name, [str(one.instance_type) for one in stopped])
        except LimitReached as error:
            raise EC2ClientError(error.code, error.message) from error
        before = _before(instances)
        for instance in stopped:
            instance.start()
            _between(simulation, instance, "pending", "running", simulation.scenario.ec2.starting)
        return before

    return start_instances


def _stopping(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def stop_instances(self: Any, instance_ids: list[str]) -> Any:
        simulation = runtime.current()
        instances = self.get_multi_instances_by_id(instance_ids)
        if simulation is None or any(instance.disable_api_stop is True for instance in instances):
            return original(self, instance_ids)
        for instance in instances:
            if instance.state in (*_GOING, "pending"):
                raise _incorrect_state(instance, "stopped")
        before = _before(instances)
        for instance in instances:
            if instance.state == "running":
                instance.stop()
                _between(simulation, instance, "stopping", "stopped", simulation.scenario.ec2.stopping)
        return before

    return stop_instances


def _terminating(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def terminate_instances(self: Any, instance_ids: list[str]) -> Any:
        simulation = runtime.current()
        if simulation is None or not instance_ids:
            return original(self, instance_ids)
        instances = self.get_multi_instances_by_id(instance_ids)
        for instance in instances:
            if instance.disable_api_termination is True:
                raise OperationNotPermitted4(instance.id)
        before = _before(instances)
        for instance in instances:
            if instance.state not in _GOING:
                instance.terminate()
                _between(simulation, instance, "shutting-down", "terminated", simulation.scenario.ec2.shutting_down)
        return before

    return terminate_instances


def _giving_back(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def terminate(instance: Any) -> Any:
        """moto keeps the addresses of what is terminated."""
        used = [(nic.subnet, nic.private_ip_address) for nic in instance.nics.values()]
        answer = original(instance)
        for subnet, address in used:
            if holder_of(subnet, address) is instance:
                subnet.del_subnet_ip(address)
        return answer

    return terminate


def _before(instances: list[Any]) -> list[tuple[Any, Any]]:
    return [(instance, copy.copy(instance._state)) for instance in instances]


def _between(simulation: runtime.Runtime, instance: Any, state: str, last: str, seconds: float) -> None:
    if not seconds:
        return
    set_state(instance, state)

    def reached() -> None:
        if instance.state == state:
            set_state(instance, last)

    simulation.clock.call_in(seconds, reached)


def _incorrect_state(instance: Any, what: str) -> EC2ClientError:
    message = f"The instance '{instance.id}' is not in a state from which it can be {what}."
    return EC2ClientError("IncorrectInstanceState", message)


@contextlib.contextmanager
def with_instance_id(instance_id: str | None) -> Iterator[None]:
    """moto makes up the ids of instances; for a while it makes up this one. Runs under the simulation's lock."""
    module: Any = moto_instances
    original = module.random_instance_id
    if instance_id is not None:
        module.random_instance_id = lambda: instance_id
    try:
        yield
    finally:
        module.random_instance_id = original
