"""A `drs-sim` process, started and controlled from another one, over HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from drs_provider.simulator.faults import Fault
from drs_provider.simulator.scenario import Scenario

__all__ = ["RemoteSimulator", "SimulatorProcess"]


class RemoteSimulator:
    """The controls of a simulator that runs elsewhere: the same as those of `Simulation`, over HTTP.

    :param endpoint_url: what `drs-sim` printed.
    :param log_path: its log file, where that is known here.
    """

    def __init__(self, endpoint_url: str, log_path: Path | None = None) -> None:
        self.endpoint_url = endpoint_url
        self.log_path = log_path

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables with which every AWS client speaks to it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-west-2",
        }

    @property
    def log(self) -> list[dict[str, Any]]:
        """What happened so far: calls and changes of state, oldest first."""
        entries: list[dict[str, Any]] = self._call("GET", "log")
        return entries

    def load(self, source: Path | str | Mapping[str, Any] | Scenario, speed: float | None = None) -> None:
        """Forget everything, and begin with a scenario; `speed` is kept where it is absent.

        :raises RuntimeError: the scenario is not valid; the message says file, line and what was expected.
        """
        if isinstance(source, Scenario):
            body: Any = source.to_dict()
        elif isinstance(source, Mapping):
            body = dict(source)
        else:
            body = {"path": str(Path(source).resolve())}
        self._call("POST", "scenario" if speed is None else f"scenario?speed={speed}", body)

    def reset(self) -> None:
        """Begin again with the scenario that was loaded last; the log in memory is emptied."""
        self._call("POST", "reset")

    def clear_log(self) -> None:
        """Empty the log, its file too."""
        self._call("DELETE", "log")

    def add_fault(self, operation: str | Fault, **fields: Any) -> dict[str, Any]:
        """Put a fault in force; see `Fault` for the fields. Returns it, with its `id`."""
        if isinstance(operation, Fault):
            body: dict[str, Any] = operation.model_dump(exclude_defaults=True)
        else:
            body = {"operation": operation, **fields}
        fault: dict[str, Any] = self._call("POST", "faults", body)
        return fault

    def faults(self) -> list[dict[str, Any]]:
        """The faults in force; `struck` says how often each hit."""
        faults: list[dict[str, Any]] = self._call("GET", "faults")
        return faults

    def unstruck_faults(self) -> list[dict[str, Any]]:
        """The faults that hit no call since the scenario was loaded, in force or not any more."""
        faults: list[dict[str, Any]] = self._call("GET", "faults/unstruck")
        return faults

    def clear_faults(self) -> None:
        """Take all faults out of force, and let go what they hold."""
        self._call("DELETE", "faults")

    def release(self, fault_id: int | None = None) -> None:
        """Let the answers go that a `hold` fault holds back."""
        self._call("POST", "release", {} if fault_id is None else {"id": fault_id})

    def happen(self, event: str, server_id: str) -> None:
        """Let a person do something to the machine of a source server on premises; see `Simulation.happen`."""
        self._call("POST", "events", {"event": event, "server": server_id})

    def freeze(self) -> None:
        """Stop the clock."""
        self._call("POST", "freeze")

    def resume(self) -> None:
        """Let the clock go on."""
        self._call("POST", "resume")

    def advance(self, seconds: float) -> None:
        """Move the clock on by so many seconds (clock seconds, not divided by the speed)."""
        self._call("POST", "advance", {"seconds": seconds})

    def _call(self, method: str, page: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.endpoint_url}/moto-api/drs/{page}", data=data, method=method)
        try:
            with urlopen(request, timeout=60) as response:
                return json.load(response)
        except HTTPError as error:
            raise RuntimeError(json.load(error)["error"]) from error


class SimulatorProcess(RemoteSimulator):
    """A `drs-sim` process of one's own, on a free port.

    :param log_path: where it appends its log.
    """

    def __init__(self, log_path: Path, scenario: Path | None = None, speed: float = 1.0, port: int = 0) -> None:
        command = [sys.executable, "-m", "drs_provider.simulator.cli"]
        command += ["--port", str(port), "--speed", str(speed), "--log", str(log_path)]
        if scenario is not None:
            command += ["--scenario", str(scenario)]
        # A proxy or an endpoint of ours must not lead the simulator to itself.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
        assert self.process.stdout is not None
        endpoint_url = self.process.stdout.readline().strip()
        if not endpoint_url.startswith("http"):
            raise RuntimeError(f"drs-sim did not start: exit status {self.process.wait()}")
        super().__init__(endpoint_url, log_path)

    def stop(self) -> None:
        """End the process."""
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
