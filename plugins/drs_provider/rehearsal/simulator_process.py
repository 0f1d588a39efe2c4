"""The DRS simulator as a process of its own, and its log as others read it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from drs_provider.rehearsal.environment import clean_environment
from drs_provider.rehearsal.processes import ChildProcess, free_port, stop_all, wait_until

__all__ = ["EventLog", "SimulatorProcess"]

_CONTROL = "/moto-api/drs"


class EventLog:
    """Reads the simulator's log as it grows.

    :param path: the file of JSON lines.
    :param earlier: whether what the file holds already counts; the simulator appends to it.
    """

    def __init__(self, path: Path, *, earlier: bool = True) -> None:
        self.path = path
        self.entries: list[dict[str, Any]] = []
        self._position = path.stat().st_size if not earlier and path.exists() else 0

    def read(self) -> list[dict[str, Any]]:
        """Return every entry so far; only what is new is read from the file."""
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self._position)
                for line in file:
                    if not line.endswith(b"\n"):
                        break  # half written; the next read finds it whole
                    self._position += len(line)
                    self.entries.append(json.loads(line))
        return self.entries

    def calls(self, operation: str) -> list[dict[str, Any]]:
        """Return the calls of one API operation, in order."""
        return [entry for entry in self.read() if entry.get("operation") == operation]

    def events(self, event: str) -> list[dict[str, Any]]:
        """Return the changes of state of one name, in order."""
        return [entry for entry in self.read() if entry.get("event") == event]


class SimulatorProcess:
    """A simulator that serves one scenario.

    :param folder: where its scenario file and log are kept.
    :param scenario: the scenario, as the mapping that a scenario file holds, or the path of such a file.
    :param speed: how many times faster than real time its phases pass.
    :param log_path: the log of API calls and changes of state; absent: in the folder.
    """

    def __init__(
        self, folder: Path, scenario: Mapping[str, Any] | Path, *, speed: float = 1.0, log_path: Path | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if isinstance(scenario, Path):
            scenario_path = scenario
        else:
            scenario_path = folder / "scenario.yaml"
            # JSON is YAML: no value of a scenario can be read as something else.
            scenario_path.write_text(json.dumps(scenario, indent=2))
        self.port = free_port()
        self.endpoint_url = f"http://127.0.0.1:{self.port}"
        self.log = EventLog(log_path or folder / "simulator.jsonl", earlier=False)
        command = [sys.executable, "-m", "drs_provider.simulator.cli", "--scenario", str(scenario_path)]
        command += ["--port", str(self.port), "--speed", str(speed), "--log", str(self.log.path)]
        self.process = ChildProcess("the DRS simulator", command, clean_environment(), folder / "simulator.log")

    def start(self, timeout: float = 60) -> None:
        """Start the process; return when it answers.

        :param timeout: seconds until it must answer.
        :raises ProcessDied: when it ends, for instance because its scenario is not valid.
        """
        self.process.start()
        self.wait_until_ready(timeout)

    def wait_until_ready(self, timeout: float = 60) -> None:
        """Return when the process, started before, answers; parameters and errors are those of :meth:`start`."""
        wait_until(self._answers, "the simulator's first answer", timeout=timeout, children=[self.process])

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.endpoint_url}{_CONTROL}/log", timeout=5, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call the simulator's control interface, such as ``control("POST", "/faults", [...])``."""
        answer = httpx.request(method, f"{self.endpoint_url}{_CONTROL}{path}", json=body, timeout=30, trust_env=False)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def unstruck_faults(self) -> list[str]:
        """Return the faults that hit no call, in words; none where the simulator does not answer any more."""
        try:
            return [str(fault["text"]) for fault in self.control("GET", "/faults/unstruck")]
        except httpx.HTTPError:
            return []

    def stop(self) -> None:
        """End the process."""
        stop_all([self.process])
