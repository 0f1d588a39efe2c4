"""Makes moto's EC2 instances start and stop by the simulation's clock.

moto stamps an instance with the wall clock, and only when it is made. With a clock that stands still or is moved on by
hand, that is not when the instance was launched; and AWS renews the launch time when a stopped instance starts.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from moto.ec2.models.instances import Instance

from drs_provider.simulator import runtime

__all__ = ["began_at", "ended_at", "install", "on_change", "started_at", "stopped_at"]

_STARTED = "drs_simulator_started"
_STOPPED = "drs_simulator_stopped"
_CALLBACKS = "drs_simulator_callbacks"


def install() -> None:
    """Let every instance note its times. Called once a process."""
    instance: Any = Instance
    for name, note in (("__init__", _started), ("start", _started), ("stop", _stopped), ("terminate", _stopped)):
        setattr(instance, name, _noting(getattr(instance, name), note))


def on_change(instance: Any, callback: Callable[[], None]) -> None:
    """Call back whenever an instance has been started, stopped or terminated."""
    vars(instance).setdefault(_CALLBACKS, []).append(callback)


def started_at(instance: Any) -> float:
    """When an instance last began to run (epoch seconds)."""
    return float(getattr(instance, _STARTED))


def began_at(instance: Any, at: float) -> None:
    """Say that an instance has been running since then (epoch seconds)."""
    setattr(instance, _STARTED, at)
    instance.launch_time = datetime.fromtimestamp(at, tz=timezone.utc).replace(tzinfo=None)


def ended_at(instance: Any, at: float) -> None:
    """Say that an instance no longer runs (epoch seconds)."""
    _stopped(instance, at)


def stopped_at(instance: Any) -> float | None:
    """When an instance was stopped or terminated (epoch seconds); None while it runs."""
    at: float | None = getattr(instance, _STOPPED)
    return at


def _noting(original: Any, note: Any) -> Any:
    @functools.wraps(original)
    def noting(instance: Any, *args: Any, **fields: Any) -> Any:
        answer = original(instance, *args, **fields)
        simulation = runtime.current()
        note(instance, simulation.clock.now() if simulation is not None else datetime.now(timezone.utc).timestamp())
        for callback in vars(instance).get(_CALLBACKS, ()):
            callback()
        return answer

    return noting


def _started(instance: Any, now: float) -> None:
    if getattr(instance, _STOPPED, now) is not None:
        setattr(instance, _STARTED, now)
        instance.launch_time = datetime.fromtimestamp(now, tz=timezone.utc).replace(tzinfo=None)
    setattr(instance, _STOPPED, None)


def _stopped(instance: Any, now: float) -> None:
    if getattr(instance, _STOPPED, None) is None:
        setattr(instance, _STOPPED, now)
