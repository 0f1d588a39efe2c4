"""A failback in this process: plain boto3 for the steps before, operators for the step that a test is about."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from drs_provider.aws import pauses
from drs_provider.aws.drs import termination
from drs_provider.aws.drs.failback import Cycle, read_cycles
from drs_provider.hooks.drs import DrsHook
from drs_provider.triggers.posts import WorkerPost
from tests.simulator.drs.failback_steps import A1, B1, ORIGIN, RECOVERY, Client

__all__ = ["INTO", "World"]

INTO = {
    "launchIntoInstanceProperties": {"launchIntoEC2InstanceID": A1},
    "copyTags": False,
    "copyPrivateIp": False,
    "targetInstanceTypeRightSizingMethod": "NONE",
}


class World:
    """
    One server, its origin, and the calls that were made.

    :param simulator: the simulator of this process; its clock stands, and moves on by half a minute a pause of a task.
    :param original: the state of the instance at the origin.
    :param more: what else the scenario has.
    """

    def __init__(
        self,
        simulator: Any,
        task_context: Callable[..., Any],
        monkeypatch: pytest.MonkeyPatch,
        original: str = "stopped",
        **more: Any,
    ) -> None:
        forward = {"id": B1, "hostname": "db01", "origin_region": ORIGIN, "origin_instance": A1}
        instance = {"id": A1, "name": "db01", "state": original, "tags": {"AWSDRS": "AllowLaunchingIntoThisInstance"}}
        origin = {"region": ORIGIN, "instances": [instance]}
        simulator.load({"servers": [forward], "accounts": [origin], **more})
        simulator.freeze()
        self.simulator = simulator
        self.task_context = task_context
        self.client = Client(simulator.advance)
        #: What happens after so many seconds of pauses, by these.
        self.later: dict[int, Callable[[], Any]] = {}
        self._paused = 0

        def pause(seconds: float) -> None:
            self._paused += 30
            simulator.advance(30)
            self.later.pop(self._paused, lambda: None)()

        async def wait(post: Any, seconds: float) -> None:
            pause(seconds)

        paused = SimpleNamespace(sleep=pause, monotonic=time.monotonic)
        monkeypatch.setattr(WorkerPost, "sleep", wait)
        monkeypatch.setattr(pauses, "time", paused)
        monkeypatch.setattr(termination, "time", SimpleNamespace(sleep=paused.sleep, time=time.time))

    def hook(self, region: str) -> DrsHook:
        return DrsHook(aws_conn_id=None, region_name=region)

    def cycle(self) -> Cycle:
        return read_cycles(self.hook(RECOVERY), self.hook(ORIGIN), [B1])[B1]

    def launch_into_the_original(self) -> None:
        self.client.origin.update_launch_configuration(sourceServerID=self.client.a2, **INTO)

    def run(self, kind: Any, ids: list[str], region: str = ORIGIN, **more: Any) -> Any:
        """Run an operator on servers or instances."""
        what = "recovery_instance_ids" if ids[0].startswith("i-") else "source_server_ids"
        what = "servers" if kind.__name__ == "DrsStartRecoveryOperator" else what
        task = kind(task_id="task", aws_conn_id=None, region_name=region, **{what: ids}, **more)
        return task.execute(self.task_context(task))

    def calls(self, operation: str) -> list[str | None]:
        """Return how each call of an operation was answered: the error's code, None where it was accepted."""
        return [entry.get("error") for entry in self.simulator.log if entry.get("operation") == operation]
